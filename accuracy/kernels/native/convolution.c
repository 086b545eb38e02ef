/* A convolution on arrays whose currents become codes in registers: no current is ever written to memory.
 *
 * Positions are rows of a matrix that is never made: each points into the padded image, and the taps of the kernel are
 * offsets from there. A unit is one block (slice and line) of a vector of columns. Up to four units of several positions
 * are summed at once over all rows of a partition; then each sum is clipped, rounded to its code, and its worth added to
 * the output. x86 only; elsewhere `lanes` says 0 and the caller goes another way.
 */
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
    float floor;                           /* outputs below are raised to it; -inf for none */
};

struct image {
    const float *x; /* any strides, in floats */
    int64_t stride_image, stride_channel, stride_y, stride_x, height, width, channels, top, left;
    float *out; /* (images, padded height, padded width, channels), zeros where nothing is written */
    int64_t padded_height, padded_width;
    float factor, lo, hi; /* integers rint(clip(x * factor, lo, hi)) */
};

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>

/* Quantise images start..end into their padded places; returns how many values lay outside lo..hi. */
__attribute__((target_clones("avx512f", "avx2", "default"))) int64_t quantise_images(const struct image *c,
                                                                                     int64_t start, int64_t end)
{
    const float rounder = 12582912.0f; /* 1.5 * 2^23: adding and taking it off rounds half to even */
    int64_t outside = 0, channels = c->channels;
    float factor = c->factor, lo = c->lo, hi = c->hi;
    for (int64_t image = start; image < end; image++)
        for (int64_t y = 0; y < c->height; y++) {
            const float *line = c->x + image * c->stride_image + y * c->stride_y;
            float *out = c->out + ((image * c->padded_height + c->top + y) * c->padded_width + c->left) * channels;
            int64_t across = c->stride_channel == 1 && c->stride_x == channels ? 1 : c->width;
            int64_t along = across == 1 ? channels * c->width : channels;
            int64_t step = across == 1 ? 1 : c->stride_channel;
            for (int64_t x = 0; x < across; x++, out += along) {
                const float *in = line + x * c->stride_x;
                int32_t count = 0;
                if (step == 1)
                    for (int64_t k = 0; k < along; k++) {
                        float v = in[k] * factor;
                        count += (v < lo) | (v > hi);
                        v = v > lo ? v : lo;
                        v = v < hi ? v : hi;
                        out[k] = (v + rounder) - rounder;
                    }
                else
                    for (int64_t k = 0; k < along; k++) {
                        float v = in[k * step] * factor;
                        count += (v < lo) | (v > hi);
                        v = v > lo ? v : lo;
                        v = v < hi ? v : hi;
                        out[k] = (v + rounder) - rounder;
                    }
                outside += count;
            }
        }
    return outside;
}

#define TILE 192 /* positions that weights are read for at once: a multiple of all that a strip handles */

/* UNITS x POSITIONS accumulators stay in registers; `count` of the positions are real. */
#define STRIP(NAME, UNITS, POSITIONS)                                                                                  \
    static TARGET void NAME(const struct convolution *c, int64_t partition, int64_t unit, const float *w,              \
                            const float *const *at, float *const *to, int count)                                       \
    {                                                                                                                  \
        V sum[POSITIONS][UNITS];                                                                                       \
        for (int p = 0; p < POSITIONS; p++)                                                                            \
            for (int u = 0; u < UNITS; u++)                                                                            \
                sum[p][u] = SPREAD(0.0f);                                                                              \
        int64_t channels = c->channel_count[partition];                                                                \
        for (int64_t tap = 0; tap < c->taps; tap++) {                                                                  \
            int64_t offset = c->tap_offset[tap] + c->channel_first[partition];                                         \
            for (int64_t k = offset; k < offset + channels; k++, w += UNITS * LANES) {                                 \
                V row[UNITS];                                                                                          \
                for (int u = 0; u < UNITS; u++)                                                                        \
                    row[u] = LOAD(w + u * LANES);                                                                      \
                for (int p = 0; p < POSITIONS; p++) {                                                                  \
                    V value = SPREAD(at[p][k]);                                                                        \
                    for (int u = 0; u < UNITS; u++)                                                                    \
                        sum[p][u] = FMA(value, row[u], sum[p][u]);                                                     \
                }                                                                                                      \
            }                                                                                                          \
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
                STORE(out, closes ? LARGEST(total, floor) : total);                                                    \
            }                                                                                                          \
        }                                                                                                              \
    }

typedef void (*strip)(const struct convolution *, int64_t, int64_t, const float *, const float *const *, float *const *,
                      int);

/* Positions start..end of all images. Where columns do not fill whole vectors outputs are made aside and copied. */
#define READ(NAME, PREFIX, MANY, SOME, ALL)                                                                            \
    static TARGET void NAME(const struct convolution *c, int64_t start, int64_t end)                                   \
    {                                                                                                                  \
        int64_t units = c->blocks * c->vectors, wide = c->vectors * LANES;                                             \
        float *aside = wide == c->columns ? NULL : malloc(TILE * wide * sizeof(float));                                \
        int step = units >= 4 ? MANY : units >= 2 ? SOME : ALL;                                                        \
        strip four = PREFIX##_4_many, two = units >= 4 ? PREFIX##_2_many : PREFIX##_2_some;                            \
        strip one = units >= 4 ? PREFIX##_1_many : units >= 2 ? PREFIX##_1_some : PREFIX##_1_most;                     \
        for (int64_t position = start; position < end; position += TILE) {                                             \
            int count = end - position < TILE ? (int)(end - position) : TILE;                                          \
            const float *at[TILE];                                                                                     \
            float *to[TILE];                                                                                           \
            for (int p = 0; p < TILE; p++) {                                                                           \
                int64_t i = position + (p < count ? p : count - 1), line = i / c->out_width;                           \
                int64_t x = i % c->out_width, y = line % c->out_height, image = line / c->out_height;                  \
                at[p] = c->x + ((image * c->height + y * c->stride_y) * c->width + x * c->stride_x) * c->channels;     \
                to[p] = aside ? aside + p * wide : c->out + i * c->columns;                                            \
            }                                                                                                          \
            for (int64_t partition = 0; partition < c->partitions; partition++) {                                      \
                const float *w = c->weight + c->weight_start[partition];                                               \
                int64_t size = c->taps * c->channel_count[partition] * LANES, unit = 0;                                \
                while (unit < units) {                                                                                 \
                    int taken = unit + 4 <= units ? 4 : unit + 2 <= units ? 2 : 1;                                     \
                    strip sum = taken == 4 ? four : taken == 2 ? two : one;                                            \
                    for (int p = 0; p < count; p += step)                                                              \
                        sum(c, partition, unit, w, at + p, to + p, count - p < step ? count - p : step);               \
                    w += taken * size;                                                                                 \
                    unit += taken;                                                                                     \
                }                                                                                                      \
            }                                                                                                          \
            for (int p = 0; aside && p < count; p++)                                                                   \
                memcpy(c->out + (position + p) * c->columns, to[p], c->columns * sizeof(float));                       \
        }                                                                                                              \
        free(aside);                                                                                                   \
    }

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

/* Columns handled together on this processor; 0 where it has none of the vector units above. */
int64_t lanes(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma"))
        return 16;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 8 : 0;
}

/* `width` is what `lanes` said, or 8 where it said 16. */
void read_positions(const struct convolution *c, int64_t width, int64_t start, int64_t end)
{
    (width == 16 ? read_16 : read_8)(c, start, end);
}

#else

int64_t lanes(void) { return 0; }

int64_t quantise_images(const struct image *c, int64_t start, int64_t end)
{
    (void)c, (void)start, (void)end;
    return 0;
}

void read_positions(const struct convolution *c, int64_t width, int64_t start, int64_t end)
{
    (void)c, (void)width, (void)start, (void)end;
}

#endif
