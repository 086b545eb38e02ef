/* What the bit-line kernels share: lists of selected cells, and the choice of an instruction set at run time. */
#ifndef BIT_LINE_COMMON
#define BIT_LINE_COMMON

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define VECTOR_UNITS
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,popcnt")))
#define AVX2 __attribute__((target("avx2,fma,popcnt")))
#endif

/* Cells of nothing behind every list; patterns that cells are selected for at once. */
enum { PADDING = 32, AT_ONCE = 8 };

/* For each of the 256 ways to select among 8 rows: the positions of the selected ones, in order, and how many. */
static uint8_t positions[256][8], selected[256];

static void fill_positions(void) {
    for (int mask = 0; mask < 256; mask++) {
        uint8_t count = 0;
        for (int bit = 0; bit < 8; bit++)
            if (mask >> bit & 1) positions[mask][count++] = (uint8_t)bit;
        selected[mask] = count;
    }
}

/* Write, for each bit of some digits, which of at most 255 rows have it set, without a branch on the digits, and how
 * many do. Lists are `stride` bytes apart and have room for 8 more. */
static inline void select_rows(const uint8_t *digits, int bits, int64_t rows, uint8_t *found, int64_t stride,
                               int32_t *counts) {
    for (int bit = 0; bit < bits; bit++, found += stride) {
        int32_t count = 0;
        for (int64_t from = 0; from < rows; from += 8) {
            uint64_t eight = 0, places;
            if (from + 8 <= rows)
                memcpy(&eight, digits + from, 8);
            else
                for (int64_t k = 0; k < rows - from; k++) eight |= (uint64_t)digits[from + k] << (8 * k);
            /* The same bit of eight bytes becomes eight bits. */
            const unsigned mask = (unsigned)((((eight >> bit) & 0x0101010101010101u) * 0x0102040810204080u) >> 56);
            memcpy(&places, positions[mask], 8);
            places += 0x0101010101010101u * (uint64_t)from;
            memcpy(found + count, &places, 8);
            count += selected[mask];
        }
        counts[bit] = count;
    }
}

#ifdef VECTOR_UNITS
/* The same by compressed vectors; lists have room for 64 more. */
__attribute__((noinline, target("avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt"))) static void select_bytes(
    const uint8_t *digits, int bits, int64_t rows, uint8_t *found, int64_t stride, int32_t *counts) {
    static const uint8_t order[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                      16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                      32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                      48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};
    __m512i numbers = _mm512_loadu_si512(order);
    for (int bit = 0; bit < bits; bit++) counts[bit] = 0;
    for (int64_t from = 0; from < rows; from += 64) {
        const int64_t left = rows - from;
        const __mmask64 there = left < 64 ? ((__mmask64)1 << left) - 1 : ~(__mmask64)0;
        const __m512i own = _mm512_maskz_loadu_epi8(there, digits + from);
        for (int bit = 0; bit < bits; bit++) {
            const __mmask64 on = _mm512_test_epi8_mask(own, _mm512_set1_epi8((char)(1 << bit)));
            _mm512_storeu_si512(found + bit * stride + counts[bit], _mm512_maskz_compress_epi8(on, numbers));
            counts[bit] += (int32_t)__builtin_popcountll(on);
        }
        numbers = _mm512_add_epi8(numbers, _mm512_set1_epi8(64));
    }
}
#endif

/* Whether bytes are compressed in one instruction: AVX-512 VBMI2. */
static int compresses_bytes(int64_t most) {
#ifdef VECTOR_UNITS
    if (most >= 3) return __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512bw");
#endif
    (void)most;
    return 0;
}

/* 2: AVX-512, 1: AVX2, 0: whatever the compiler assumes. `most` limits it, for tests and benchmarks;
 * from 3 up rows are listed with AVX-512 VBMI2 where the processor has that. */
static int available(int most) {
#ifdef VECTOR_UNITS
    __builtin_cpu_init();
    if (most >= 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 2;
    if (most >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    (void)most;
    return 0;
}

static void *allocate(size_t bytes) { return aligned_alloc(64, (bytes + 63) / 64 * 64); }

#endif
