/* A convolution on arrays whose currents become codes in registers: no current is ever written to memory.
 *
 * Positions are rows of a matrix that is never made: each points into the padded image, and the taps of the kernel are
 * offsets from there. A unit is one block (slice and line) of a vector of columns. Up to four units of several
 * positions are summed at once over all rows of a partition; then each sum is clipped, rounded to its code, and its
 * worth added to the output. Where the processor multiplies bytes, weights are integers of three bytes (see
 * convolution_bytes.h).
 */
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct convolution {
    const float *x; /* padded images as integers, (images, height, width, channels) */
    int64_t height, width, channels, out_height, out_width, stride_y, stride_x;
    int64_t taps;
    const int64_t *tap_offset; /* (taps): from the first tap's value, in floats */
    int64_t partitions;
    const int64_t *channel_first, *channel_count; /* (partitions) */
    const int64_t *weight_start;                  /* (partitions): floats into weight */
    const float *weight; /* a partition: (groups of units, taps, channels, units of the group, lanes) */
    int64_t blocks, vectors, columns;
    float unit;                            /* current of one integer at a full cell */
    const float *lo, *hi, *codes_per_unit; /* (blocks) */
    const float *worth;                    /* (partitions, vectors, blocks, lanes): of one code */
    const float *first;                    /* (vectors, lanes): what sums start from */
    float *out;                            /* (positions, columns) */
    float floor;                           /* outputs below are raised to it, NaN stays; -inf for none */
    const float *added;                    /* (positions, columns): added to outputs before that; NULL for nothing */
    const int8_t *digits; /* weights in bytes; a partition: (units, taps, channels / 4, DIGITS, lanes, 4) */
    const int32_t *begin; /* (partitions, units, DIGITS, lanes): what sums of them start from */
};

/* Inputs as they come, and what they are made: integers rint(clip(x * factor, lo, hi)). */
struct image {
    const float *x; /* any strides, in floats */
    int64_t stride_image, stride_channel, stride_y, stride_x, height, width, channels, top, left;
    int64_t padded_height, padded_width;
    float factor, lo, hi;
    int64_t offset; /* added where integers are bytes without sign */
};

struct layer {
    struct image image;
    struct convolution convolution; /* its x and height are filled in for each piece */
    int64_t reach;                  /* padded rows that one output position sees */
    int64_t bands;                  /* parts of an image, by output rows, that are read one by one */
    int64_t images;                 /* images read together where an image is one part */
    char *room;                     /* (threads, room_size): integers of what a thread has in hand */
    int64_t room_size, width;       /* room_size: in bytes; width: see `widest` */
    int64_t infinite;               /* becomes 1 where an input is not finite */
};

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

enum { BYTES = 64 }; /* the width of the form that multiplies bytes */

/* Values as integers of a type: floats, or bytes that are `offset` larger. */
#define QUANTISE_ROW(NAME, TYPE, INTEGER)                                                                              \
    static inline __attribute__((always_inline)) void NAME(TYPE *out, const float *in, int64_t step, int64_t n,        \
                                                           const struct image *c, int32_t *outside,                    \
                                                           int32_t *infinite)                                          \
    {                                                                                                                  \
        const float rounder = 12582912.0f; /* 1.5 * 2^23: adding and taking it off rounds half to even */              \
        const float factor = c->factor, lo = c->lo, hi = c->hi;                                                        \
        const int32_t offset = (int32_t)c->offset;                                                                     \
        int32_t count = 0, bad = 0;                                                                                    \
        for (int64_t k = 0; k < n; k++) {                                                                              \
            float v = in[k * step];                                                                                    \
            bad |= !(fabsf(v) <= FLT_MAX);                                                                             \
            v *= factor;                                                                                               \
            count += (v < lo) | (v > hi);                                                                              \
            v = v > lo ? v : lo;                                                                                       \
            v = v < hi ? v : hi;                                                                                       \
            v = (v + rounder) - rounder;                                                                               \
            out[k] = INTEGER;                                                                                          \
        }                                                                                                              \
        (void)offset;                                                                                                  \
        *outside += count;                                                                                             \
        *infinite |= bad;                                                                                              \
    }
QUANTISE_ROW(row_to_floats, float, v)
QUANTISE_ROW(row_to_bytes, uint8_t, (uint8_t)((int32_t)v + offset))

/* Quantise padded rows from..from + rows of an image. Returns how many values of the first `own` lay outside lo..hi. */
#define QUANTISE_ROWS(NAME, TYPE, ROW)                                                                                 \
    CLONES static int64_t NAME(const struct image *c, int64_t image, int64_t from, int64_t rows, int64_t own,          \
                               TYPE *out, int64_t *infinite)                                                           \
    {                                                                                                                  \
        int64_t outside = 0, channels = c->channels, line = c->padded_width * channels;                                \
        int64_t left = c->left * channels, right = line - left - c->width * channels;                                  \
        int dense = c->stride_channel == 1 && c->stride_x == channels, zero = (int)c->offset;                          \
        int32_t bad = 0;                                                                                               \
        for (int64_t row = 0; row < rows; row++, out += line) {                                                        \
            int64_t y = from + row - c->top;                                                                           \
            if (y < 0 || y >= c->height) {                                                                             \
                memset(out, zero, line * sizeof(TYPE));                                                                \
                continue;                                                                                              \
            }                                                                                                          \
            const float *in = c->x + image * c->stride_image + y * c->stride_y;                                        \
            int32_t count = 0;                                                                                         \
            memset(out, zero, left * sizeof(TYPE));                                                                    \
            if (dense)                                                                                                 \
                ROW(out + left, in, 1, c->width * channels, c, &count, &bad);                                          \
            else if (c->stride_channel == 1)                                                                           \
                for (int64_t x = 0; x < c->width; x++)                                                                 \
                    ROW(out + left + x * channels, in + x * c->stride_x, 1, channels, c, &count, &bad);                \
            else                                                                                                       \
                for (int64_t x = 0; x < c->width; x++)                                                                 \
                    ROW(out + left + x * channels, in + x * c->stride_x, c->stride_channel, channels, c, &count,       \
                        &bad);                                                                                         \
            memset(out + line - right, zero, right * sizeof(TYPE));                                                    \
            outside += row < own ? count : 0;                                                                          \
        }                                                                                                              \
        *infinite |= bad;                                                                                              \
        return outside;                                                                                                \
    }
/* Nothing is added to floats. */
QUANTISE_ROWS(quantise_to_floats, float, row_to_floats)
QUANTISE_ROWS(quantise_to_bytes, uint8_t, row_to_bytes)

#define TILE 192 /* positions that weights are read for at once: a multiple of all that a strip handles */

/* The sums over some inputs of each position. */
#define SUM(UNITS, POSITIONS, INPUT)                                                                                   \
    for (; k < end; k++, w += UNITS * LANES) {                                                                         \
        V row[UNITS];                                                                                                  \
        for (int u = 0; u < UNITS; u++)                                                                                \
            row[u] = LOAD(w + u * LANES);                                                                              \
        for (int p = 0; p < POSITIONS; p++) {                                                                          \
            V value = SPREAD(INPUT);                                                                                   \
            for (int u = 0; u < UNITS; u++)                                                                            \
                sum[p][u] = FMA(value, row[u], sum[p][u]);                                                             \
        }                                                                                                              \
    }

/* UNITS x POSITIONS accumulators stay in registers; `count` of the positions are real. Many positions at even distances
 * are reached from every fourth, as there are not registers for all their addresses. */
#define STRIP(NAME, UNITS, POSITIONS)                                                                                  \
    static TARGET void NAME(const struct convolution *c, int64_t partition, int64_t unit, const float *w,              \
                            const float *const *at, float *const *to, const float *const *more, int count)             \
    {                                                                                                                  \
        V sum[POSITIONS][UNITS];                                                                                       \
        int64_t pitch = at[1] - at[0];                                                                                 \
        int even = POSITIONS > 12;                                                                                     \
        for (int p = 1; even && p < POSITIONS; p++)                                                                    \
            even = at[p] - at[p - 1] == pitch;                                                                         \
        for (int p = 0; p < POSITIONS; p++)                                                                            \
            for (int u = 0; u < UNITS; u++)                                                                            \
                sum[p][u] = SPREAD(0.0f);                                                                              \
        for (int64_t tap = 0; tap < c->taps; tap++) {                                                                  \
            int64_t k = c->tap_offset[tap] + c->channel_first[partition], end = k + c->channel_count[partition];       \
            if (even) {                                                                                                \
                const float *four[(POSITIONS + 3) / 4];                                                                \
                for (int p = 0; p < POSITIONS; p += 4)                                                                 \
                    four[p / 4] = at[p];                                                                               \
                SUM(UNITS, POSITIONS, four[p / 4][k + p % 4 * pitch])                                                  \
            } else                                                                                                     \
                SUM(UNITS, POSITIONS, at[p][k])                                                                        \
        }                                                                                                              \
        for (int u = 0; u < UNITS; u++) {                                                                              \
            int64_t vector = (unit + u) / c->blocks, block = (unit + u) % c->blocks;                                   \
            V lo = SPREAD(c->lo[block]), hi = SPREAD(c->hi[block]), q = SPREAD(c->codes_per_unit[block]);              \
            V scale = SPREAD(c->unit);                                                                                 \
            V worth = LOAD(c->worth + ((partition * c->vectors + vector) * c->blocks + block) * LANES);                \
            int opens = partition == 0 && block == 0;                                                                  \
            int closes = partition + 1 == c->partitions && block + 1 == c->blocks;                                     \
            V start = LOAD(c->first + vector * LANES), floor = SPREAD(c->floor);                                       \
            for (int p = 0; p < count; p++) {                                                                          \
                float *out = to[p] + vector * LANES;                                                                   \
                V code = ROUND(MUL(SUB(LEAST(LARGEST(MUL(sum[p][u], scale), lo), hi), lo), q));                        \
                V total = ADD(MUL(code, worth), opens ? start : LOAD(out));                                            \
                if (closes && more)                                                                                    \
                    total = ADD(total, LOAD(more[p] + vector * LANES));                                                \
                STORE(out, closes ? LARGEST(floor, total) : total);                                                    \
            }                                                                                                          \
        }                                                                                                              \
    }

typedef void (*strip)(const struct convolution *, int64_t, int64_t, const float *, const float *const *, float *const *,
                      const float *const *, int);

/* Positions of a tile: where the value of the first tap and channel stands that each sees, where its outputs go, and
 * what is added to them; outputs are made aside where columns do not fill whole vectors. */
struct tile {
    int64_t first[TILE];
    float *to[TILE];
    const float *more[TILE];
};

static void begin_tile(struct tile *t, const struct convolution *c, int64_t position, int count, float *aside,
                       int64_t wide)
{
    float *more = aside && c->added ? aside + TILE * wide : NULL;
    int64_t line = position / c->out_width, x = position % c->out_width;
    int64_t y = line % c->out_height, image = line / c->out_height;
    int64_t step = c->stride_x * c->channels, at = 0;
    for (int p = 0; p < count; p++) {
        int64_t i = (position + p) * c->columns;
        if (p == 0 || x == 0)
            at = ((image * c->height + y * c->stride_y) * c->width + x * c->stride_x) * c->channels;
        t->first[p] = at;
        t->to[p] = aside ? aside + p * wide : c->out + i;
        if (c->added)
            t->more[p] = more ? more + p * wide : c->added + i;
        if (more)
            memcpy(more + p * wide, c->added + i, c->columns * sizeof(float));
        at += step;
        if (++x == c->out_width) {
            x = 0;
            if (++y == c->out_height) {
                y = 0;
                image++;
            }
        }
    }
    /* A strip reads as many positions as its registers hold. */
    for (int p = count; p < TILE; p++) {
        t->first[p] = t->first[count - 1];
        t->to[p] = t->to[count - 1];
        t->more[p] = t->more[count - 1];
    }
}

static void end_tile(const struct tile *t, const struct convolution *c, int64_t position, int count, const float *aside)
{
    for (int p = 0; aside && p < count; p++)
        memcpy(c->out + (position + p) * c->columns, t->to[p], c->columns * sizeof(float));
}

/* Room for a tile whose columns do not fill whole vectors; NULL where they do. */
static float *room_aside(const struct convolution *c, int64_t wide)
{
    return wide == c->columns ? NULL : calloc((c->added ? 2 : 1) * TILE * wide, sizeof(float));
}

/* Positions start..end of all images. Where columns do not fill whole vectors outputs are made aside and copied. */
#define READ(NAME, PREFIX, MANY, SOME, ALL)                                                                            \
    static TARGET void NAME(const struct convolution *c, int64_t start, int64_t end)                                   \
    {                                                                                                                  \
        int64_t units = c->blocks * c->vectors, wide = c->vectors * LANES;                                             \
        float *aside = room_aside(c, wide);                                                                            \
        struct tile tile = {{0}};                                                                                            \
        const float *const *more = c->added ? tile.more : NULL;                                                        \
        int step = units >= 4 ? MANY : units >= 2 ? SOME : ALL;                                                        \
        strip four = PREFIX##_4_many, two = units >= 4 ? PREFIX##_2_many : PREFIX##_2_some;                            \
        strip one = units >= 4 ? PREFIX##_1_many : units >= 2 ? PREFIX##_1_some : PREFIX##_1_most;                     \
        for (int64_t position = start; position < end; position += TILE) {                                             \
            int count = end - position < TILE ? (int)(end - position) : TILE;                                          \
            const float *at[TILE];                                                                                     \
            begin_tile(&tile, c, position, count, aside, wide);                                                        \
            for (int p = 0; p < TILE; p++)                                                                             \
                at[p] = c->x + tile.first[p];                                                                          \
            for (int64_t partition = 0; partition < c->partitions; partition++) {                                      \
                const float *w = c->weight + c->weight_start[partition];                                               \
                int64_t size = c->taps * c->channel_count[partition] * LANES, unit = 0;                                \
                while (unit < units) {                                                                                 \
                    int taken = unit + 4 <= units ? 4 : unit + 2 <= units ? 2 : 1;                                     \
                    strip sum = taken == 4 ? four : taken == 2 ? two : one;                                            \
                    for (int p = 0; p < count; p += step)                                                              \
                        sum(c, partition, unit, w, at + p, tile.to + p, more ? more + p : NULL,                        \
                            count - p < step ? count - p : step);                                                      \
                    w += taken * size;                                                                                 \
                    unit += taken;                                                                                     \
                }                                                                                                      \
            }                                                                                                          \
            end_tile(&tile, c, position, count, aside);                                                                \
        }                                                                                                              \
        free(aside);                                                                                                   \
    }

#if defined(__x86_64__) && defined(__GNUC__)
#define TARGET __attribute__((target("avx512f,avx2,fma")))
#define LANES 16
#define V __m512
#define SPREAD _mm512_set1_ps
#define LOAD _mm512_loadu_ps
#define STORE _mm512_storeu_ps
#define FMA _mm512_fmadd_ps
#define ADD _mm512_add_ps
#define SUB _mm512_sub_ps
#define MUL _mm512_mul_ps
#define LEAST _mm512_min_ps
#define LARGEST _mm512_max_ps
#define ROUND(v) _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
STRIP(wide_4_many, 4, 6)
STRIP(wide_2_many, 2, 6)
STRIP(wide_1_many, 1, 6)
STRIP(wide_2_some, 2, 12)
STRIP(wide_1_some, 1, 12)
STRIP(wide_1_most, 1, 16)
READ(read_16, wide, 6, 12, 16)

#undef TARGET
#undef LANES
#undef V
#undef SPREAD
#undef LOAD
#undef STORE
#undef FMA
#undef ADD
#undef SUB
#undef MUL
#undef LEAST
#undef LARGEST
#undef ROUND
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 8
#define V __m256
#define SPREAD _mm256_set1_ps
#define LOAD _mm256_loadu_ps
#define STORE _mm256_storeu_ps
#define FMA _mm256_fmadd_ps
#define ADD _mm256_add_ps
#define SUB _mm256_sub_ps
#define MUL _mm256_mul_ps
#define LEAST _mm256_min_ps
#define LARGEST _mm256_max_ps
#define ROUND(v) _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
STRIP(narrow_4_many, 4, 2)
STRIP(narrow_2_many, 2, 2)
STRIP(narrow_1_many, 1, 2)
STRIP(narrow_2_some, 2, 6)
STRIP(narrow_1_some, 1, 6)
STRIP(narrow_1_most, 1, 12)
READ(read_8, narrow, 2, 6, 12)

#undef TARGET
#undef LANES
#undef V
#undef SPREAD
#undef LOAD
#undef STORE
#undef FMA
#undef ADD
#undef SUB
#undef MUL
#undef LEAST
#undef LARGEST
#undef ROUND
#endif

/* Four lanes in the compiler's own vectors: for any other processor (NEON has as many). */
typedef float lanes4 __attribute__((vector_size(16)));
typedef int32_t mask4 __attribute__((vector_size(16)));
static inline lanes4 load4(const float *from)
{
    lanes4 v;
    memcpy(&v, from, sizeof v);
    return v;
}
static inline void store4(float *to, lanes4 v) { memcpy(to, &v, sizeof v); }
static inline lanes4 choose4(mask4 m, lanes4 a, lanes4 b) { return (lanes4)((m & (mask4)a) | (~m & (mask4)b)); }
#define TARGET
#define LANES 4
#define V lanes4
#define SPREAD(v) ((lanes4){0} + (v))
#define LOAD load4
#define STORE store4
#define FMA(a, b, c) ((a) * (b) + (c))
#define ADD(a, b) ((a) + (b))
#define SUB(a, b) ((a) - (b))
#define MUL(a, b) ((a) * (b))
#define LEAST(a, b) choose4((a) < (b), a, b)
#define LARGEST(a, b) choose4((a) > (b), a, b)
#define ROUND(v) (((v) + 12582912.0f) - 12582912.0f)
STRIP(plain_4_many, 4, 3)
STRIP(plain_2_many, 2, 3)
STRIP(plain_1_many, 1, 3)
STRIP(plain_2_some, 2, 6)
STRIP(plain_1_some, 1, 6)
STRIP(plain_1_most, 1, 12)
READ(read_4, plain, 3, 6, 12)

#include "convolution_bytes.h"

/* The widest form that this processor has: lanes of floats, or BYTES. */
int64_t widest(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        return BYTES;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma"))
        return 16;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 8;
#endif
    return 4;
}

static void read_some(const struct convolution *c, int64_t width, int64_t positions)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (width == BYTES) {
        read_bytes(c, 0, positions);
        return;
    }
    if (width == 16) {
        read_16(c, 0, positions);
        return;
    }
    if (width == 8) {
        read_8(c, 0, positions);
        return;
    }
#endif
    (void)width;
    read_4(c, 0, positions);
}

/* Quantise and read parts first..last of all images; returns how many inputs lay outside the range. */
int64_t read_parts(struct layer *l, int64_t first, int64_t last, int64_t thread)
{
    const struct image *image = &l->image;
    struct convolution own = l->convolution;
    int64_t outside = 0, infinite = 0, line = image->padded_width * image->channels, down = own.out_height;
    char *room = l->room + thread * l->room_size;
    own.x = (const float *)room;
    for (int64_t part = first; part < last;) {
        int64_t number = part / l->bands, band = part % l->bands, together = 1;
        int64_t top = down * band / l->bands, end = down * (band + 1) / l->bands;
        int64_t from = top * own.stride_y, to = (end - 1) * own.stride_y + l->reach, next = end * own.stride_y;
        /* A band counts the rows down to where the next begins, the last one what is left of the image. */
        if (end == down)
            to = next = image->padded_height;
        else if (to < next)
            to = next;
        if (l->bands == 1)
            together = last - part < l->images ? last - part : l->images;
        own.height = to - from;
        for (int64_t k = 0; k < together; k++) {
            int64_t at = k * own.height * line;
            if (l->width == BYTES)
                outside += quantise_to_bytes(image, number + k, from, own.height, next - from, (uint8_t *)room + at,
                                             &infinite);
            else
                outside += quantise_to_floats(image, number + k, from, own.height, next - from, (float *)room + at,
                                              &infinite);
        }
        own.out_height = end - top;
        int64_t start = (number * down + top) * own.out_width * own.columns;
        own.out = l->convolution.out + start;
        own.added = l->convolution.added ? l->convolution.added + start : NULL;
        read_some(&own, l->width, together * own.out_height * own.out_width);
        part += together;
    }
    if (infinite)
        __atomic_store_n(&l->infinite, 1, __ATOMIC_RELAXED);
    return outside;
}
