/* Elementwise work around an analog product, one pass over memory each: inputs to integers, currents to outputs.
 *
 * Loops are plain so that compilers turn them into vector code; columns are the innermost axis. A code is
 * rint((clip(v) - lo) * q) with round half to even, by adding and taking off 1.5 * 2^23 (exact below 2^22).
 *
 * Compiled with: -ffp-contract=off
 * Without contraction a code is rounded the same way on every processor.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

#define LANES 16 /* columns handled together: a constant, so that their sums stay in registers */

static const float ROUNDER = 12582912.0f;

struct quantisation {
    const float *x;
    float *out;
    float factor, lo, hi;
    int32_t infinite; /* becomes 1 where an input is not finite */
};

/* out = rint(clip(x * factor, lo, hi)) of values first..last; returns how many lay outside lo..hi. */
CLONES int64_t quantise(struct quantisation *c, int64_t first, int64_t last, int64_t thread)
{
    const float *restrict x = c->x;
    float *restrict out = c->out, factor = c->factor, lo = c->lo, hi = c->hi;
    int64_t outside = 0;
    int32_t infinite = 0;
    for (int64_t start = first; start < last; start += 4096) {
        int64_t end = start + 4096 < last ? start + 4096 : last;
        int32_t count = 0;
        for (int64_t i = start; i < end; i++) {
            float v = x[i];
            infinite |= !(fabsf(v) <= FLT_MAX);
            v *= factor;
            count += (v < lo) | (v > hi);
            v = v > lo ? v : lo;
            v = v < hi ? v : hi;
            out[i] = (v + ROUNDER) - ROUNDER;
        }
        outside += count;
    }
    if (infinite)
        __atomic_store_n(&c->infinite, 1, __ATOMIC_RELAXED);
    (void)thread;
    return outside;
}

struct digitisation {
    const float *v; /* currents in units of `unit`, (positions, blocks, columns) */
    int64_t blocks, columns;
    float unit;
    const float *lo, *hi, *codes_per_unit; /* (blocks) */
    const void *worth;                     /* (blocks, columns), of out's type: worth of one code */
    const void *first;                     /* (columns): what the first sum starts from; NULL to add to out */
    void *out;                             /* (positions, columns) */
    float floor;                           /* outputs below are raised to it; -inf for none */
};

/* Sums over the blocks of one position; LANES columns at once, the rest one by one. */
#define DIGITISE(NAME, TYPE)                                                                                           \
    CLONES int64_t NAME(const struct digitisation *c, int64_t start, int64_t end, int64_t thread)                      \
    {                                                                                                                  \
        int64_t columns = c->columns, whole = columns / LANES * LANES;                                                 \
        const TYPE *worth = c->worth, *begin = c->first;                                                               \
        float unit = c->unit;                                                                                          \
        TYPE floor = c->floor;                                                                                         \
        for (int64_t p = start; p < end; p++) {                                                                        \
            const float *v = c->v + p * c->blocks * columns;                                                           \
            TYPE *out = (TYPE *)c->out + p * columns;                                                                  \
            const TYPE *from = begin ? begin : out;                                                                    \
            for (int64_t k = 0; k < whole; k += LANES) {                                                               \
                TYPE sum[LANES];                                                                                       \
                for (int l = 0; l < LANES; l++)                                                                        \
                    sum[l] = from[k + l];                                                                              \
                for (int64_t b = 0; b < c->blocks; b++) {                                                              \
                    float lo = c->lo[b], hi = c->hi[b], q = c->codes_per_unit[b];                                      \
                    const float *block = v + b * columns + k;                                                          \
                    const TYPE *w = worth + b * columns + k;                                                           \
                    for (int l = 0; l < LANES; l++)                                                                    \
                        sum[l] += CODE(block[l]) * w[l];                                                               \
                }                                                                                                      \
                for (int l = 0; l < LANES; l++)                                                                        \
                    out[k + l] = sum[l] > floor ? sum[l] : floor;                                                      \
            }                                                                                                          \
            for (int64_t k = whole; k < columns; k++) {                                                                \
                TYPE sum = from[k];                                                                                    \
                for (int64_t b = 0; b < c->blocks; b++) {                                                              \
                    float lo = c->lo[b], hi = c->hi[b], q = c->codes_per_unit[b];                                      \
                    sum += CODE(v[b * columns + k]) * worth[b * columns + k];                                          \
                }                                                                                                      \
                out[k] = sum > floor ? sum : floor;                                                                    \
            }                                                                                                          \
        }                                                                                                              \
        (void)thread;                                                                                                  \
        return 0;                                                                                                      \
    }

#define CLIPPED(i) ((i) > lo ? ((i) < hi ? (i) : hi) : lo)
#define CODE(value) (((CLIPPED((value) * unit) - lo) * q + ROUNDER) - ROUNDER)

DIGITISE(digitise_single, float)
DIGITISE(digitise_double, double)

struct counting {
    const float *v;
    float factor; /* 1 or -1: which side is counted; values on the other side count as 0 */
    int32_t absolute;
    float scale; /* bins / reach */
    int64_t bins;
    int64_t *counts; /* (threads, bins) */
    float *largest;  /* (threads, bins) */
};

/* Count values in equal bins from 0 and keep the largest of each; returns the number of zeros. */
int64_t count_values(const struct counting *c, int64_t first, int64_t last, int64_t thread)
{
    int64_t *counts = c->counts + thread * c->bins, zeros = 0, top = c->bins - 1;
    float *largest = c->largest + thread * c->bins, factor = c->factor, scale = c->scale;
    for (int64_t i = first; i < last; i++) {
        float a = c->absolute ? fabsf(c->v[i]) : c->v[i] * factor;
        if (!(a > 0.0f)) {
            zeros++;
            continue;
        }
        int64_t bin = (int64_t)(a * scale);
        bin = bin < top ? bin : top;
        counts[bin]++;
        if (a > largest[bin])
            largest[bin] = a;
    }
    return zeros;
}
