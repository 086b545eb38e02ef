/* Reading arrays whose inputs are applied one bit at a time and whose ADCs read bit by bit.
 *
 * Rows are driven or not, so the currents that eight rows add to a column take 2 x 16 values only: the sums over the
 * two halves of the eight are looked up (16 columns at once) instead of multiplied, all bits of an input side by side.
 * The sixteen sums of a half are made afresh for each tile of positions; they stay in the first-level cache. The
 * ADC and the weighted sum over bits happen in registers; only finished outputs are written.
 *
 * Inputs come packed: a word holds, for eight rows, byte b = bit b of each of them. A convolution's words are made once
 * a pixel and shared by all kernel positions, so nothing is unrolled.
 *
 * Compiled with: -ffp-contract=off
 * Without contraction a code is rounded the same way on every processor.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The 64-byte vectors never cross a function that is not inlined. */
#pragma GCC diagnostic ignored "-Wpsabi"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define VECTOR_UNITS
#define AVX512 __attribute__((target("avx512f,avx2,fma,popcnt")))
#define AVX2 __attribute__((target("avx2,fma,popcnt")))
#endif
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif
#define INLINE static inline __attribute__((always_inline))

#define LANES 16 /* columns handled together */
#define BITS 8   /* input bits handled together */
#define TILE 64  /* output positions handled together at most */
#define TILE_WORDS 8192 /* and at most so many words of them, so that their offsets stay in the second-level cache */
#define SAMPLE 29 /* of so many places in an image, one has all its currents counted */
#define CHUNK 12 /* words whose tables fit the first-level cache: 12 x 2 halves x 16 sums x 64 bytes = 24 KiB */

typedef float columns_t __attribute__((vector_size(4 * LANES)));
typedef double wide_t __attribute__((vector_size(8 * LANES)));
typedef uint8_t bytes_t __attribute__((vector_size(8)));
typedef uint16_t offsets_t __attribute__((vector_size(16)));

/* Rint for 0 <= v < 2^22: adding 1.5 * 2^23 leaves no fraction bits, under round-half-even. */
static const float ROUNDER = 12582912.0f;

struct packing {
    const float *x; /* integers 0..255, or -127..127 */
    int64_t stride_image, stride_channel, stride_y, stride_x;
    int64_t images, height, width, top, left, padded_height, padded_width, octets;
    const int32_t *channel; /* (octets * 8): channel of each slot, -1 for an empty one */
    const int8_t *phase;    /* (octets * 8): +1 keeps positive inputs, -1 the magnitude of negative ones */
    uint64_t *planes;       /* (images, padded_height, padded_width, octets), zeroed by the caller */
    int32_t *sums;          /* the same shape: signed sums of the eight inputs; NULL where nobody asks */
};

/* Transpose an 8 x 8 bit matrix (Hacker's Delight, section 7-3): byte i bit j -> byte j bit i. */
static inline uint64_t transposed(uint64_t w)
{
    uint64_t t;
    t = (w ^ (w >> 7)) & 0x00AA00AA00AA00AAull;
    w ^= t ^ (t << 7);
    t = (w ^ (w >> 14)) & 0x0000CCCC0000CCCCull;
    w ^= t ^ (t << 14);
    t = (w ^ (w >> 28)) & 0x00000000F0F0F0F0ull;
    return w ^ t ^ (t << 28);
}

/* Magnitudes of the inputs of one octet at one pixel, and their signed sum. */
static uint64_t octet_of(const struct packing *p, const float *pixel, int64_t o, int32_t *sum)
{
    uint64_t word = 0;
    *sum = 0;
    for (int s = 0; s < 8; s++) {
        int32_t channel = p->channel[8 * o + s], phase = p->phase[8 * o + s];
        if (channel < 0)
            continue;
        int32_t value = (int32_t)pixel[channel * p->stride_channel] * phase;
        value = value > 0 ? value : 0;
        word |= (uint64_t)value << (8 * s);
        *sum += value * phase;
    }
    return word;
}

/* Whether every octet holds eight channels side by side, all without sign; or fewer, from the first slot on. */
static int is_plain(const struct packing *p)
{
    for (int64_t k = 0; k < 8 * p->octets; k++) {
        int32_t first = p->channel[k / 8 * 8], own = p->channel[k];
        if (first < 0 || (own >= 0 && (p->phase[k] != 1 || own != first + k % 8)))
            return 0;
        if (own < 0 && k % 8 && k + 1 < 8 * p->octets && (k + 1) % 8 && p->channel[k + 1] >= 0)
            return 0;
    }
    return p->stride_channel == 1;
}

/* Inputs of a row of pixels as bytes, `span` of each pixel. */
CLONES static void row_of_bytes(const struct packing *p, const float *row, int64_t span, uint8_t *bytes)
{
    if (p->stride_x == span)
        for (int64_t k = 0; k < p->width * span; k++)
            bytes[k] = (uint8_t)(int32_t)row[k];
    else
        for (int64_t x = 0; x < p->width; x++)
            for (int64_t k = 0; k < span; k++)
                bytes[x * span + k] = (uint8_t)(int32_t)row[x * p->stride_x + k];
}

/* Words of eight inputs to words of eight bits, and sums of the inputs where they are wanted. */
CLONES static void transpose_words(const uint64_t *words, int64_t count, uint64_t *planes, int32_t *sums)
{
    for (int64_t k = 0; k < count; k++)
        planes[k] = transposed(words[k]);
    if (!sums)
        return;
    for (int64_t k = 0; k < count; k++) {
        uint64_t pairs = (words[k] & 0x00FF00FF00FF00FFull) + (words[k] >> 8 & 0x00FF00FF00FF00FFull);
        pairs += pairs >> 16;
        sums[k] = (int32_t)((pairs + (pairs >> 32)) & 0xFFFF);
    }
}

/* Lines first..last, one for each image and row of it. Returns how often memory ran out. */
int64_t pack_inputs(const struct packing *p, int64_t first, int64_t last, int64_t thread)
{
    int64_t span = 0, count = p->width * p->octets;
    int plain = is_plain(p);
    for (int64_t k = 0; k < 8 * p->octets; k++)
        span = p->channel[k] >= span ? p->channel[k] + 1 : span;
    uint64_t *words = malloc(sizeof(uint64_t) * (count + 1));
    uint8_t *bytes = malloc(p->width * span + 8);
    for (int64_t line = first; line < last && words && bytes; line++) {
        int64_t n = line / p->height, y = line % p->height;
        const float *row = p->x + n * p->stride_image + y * p->stride_y;
        int64_t at = ((n * p->padded_height + y + p->top) * p->padded_width + p->left) * p->octets;
        int32_t *sums = p->sums ? p->sums + at : NULL;
        if (!plain) {
            for (int64_t k = 0; k < count; k++) {
                int32_t sum;
                words[k] = octet_of(p, row + k / p->octets * p->stride_x, k % p->octets, &sum);
                if (sums)
                    sums[k] = sum;
            }
            transpose_words(words, count, p->planes + at, NULL);
            continue;
        }
        row_of_bytes(p, row, span, bytes);
        for (int64_t o = 0; o < p->octets; o++) {
            uint64_t used = 0;
            for (int s = 0; s < 8; s++)
                used |= p->channel[8 * o + s] < 0 ? 0 : 0xFFull << (8 * s);
            for (int64_t x = 0; x < p->width; x++) {
                uint64_t word;
                memcpy(&word, bytes + x * span + p->channel[8 * o], sizeof word);
                words[x * p->octets + o] = word & used;
            }
        }
        transpose_words(words, count, p->planes + at, sums);
    }
    int64_t failed = !words || !bytes;
    free(words);
    free(bytes);
    (void)thread;
    return failed;
}

struct reading {
    const uint64_t *planes; /* as packed */
    const int32_t *sums;
    int64_t padded_height, padded_width, octets;
    int64_t out_height, out_width, stride_y, stride_x;
    int64_t taps, partitions, blocks, vectors, columns;
    const int64_t *tap_offset;   /* (taps): offset of each kernel position, in padded pixels */
    const int64_t *octet_first;  /* (partitions) */
    const int64_t *octet_count;  /* (partitions) */
    const int64_t *weight_start; /* (partitions): where a partition's conductances begin */
    const float *conductance;    /* a partition: (taps, octets, 8, blocks, vectors, LANES) */
    const int64_t *word_start;   /* (partitions): where a partition's words begin, and (last) how many there are */
    const uint64_t *mask_plus;   /* (words): rows that count in the input sum, one bit a slot, the same in all bytes */
    const uint64_t *mask_minus;  /* the same for slots of negative inputs */
    const uint8_t *whole;        /* (words): 1 where all slots in use count, so that `sums` serves */
    const float *lo, *hi, *codes_per_unit; /* (blocks) */
    const double *factor;        /* (partitions, blocks, vectors, LANES): worth of a reading */
    const uint8_t *same_factor;  /* (partitions): 1 where a partition's factors are those of the one before */
    const double *sum_factor;    /* (partitions, vectors, LANES), or NULL: worth of the sum of inputs */
    const double *scale;         /* (vectors, LANES): what the sum is multiplied with at last */
    double bit_weight[BITS];     /* worth of each input bit as an integer; 0 for bits that are not applied */
    float *out;                  /* (positions, columns) */
    double *wide;                /* the same in double precision; one of the two is NULL */
    int64_t *counts;             /* (threads, blocks, bins) for calibration, or NULL: currents are counted, not read */
    float *tops;                 /* (threads, blocks, bins): the largest current of each bin */
    int64_t *zeros;              /* (threads, blocks): how many were exactly 0 */
    float *largest;              /* (threads, blocks): the largest seen; those beyond the last bin are not counted */
    const float *reach;          /* (blocks): upper edge of the last bin */
    const float *floor;          /* (blocks): currents up to here are counted in a sample only; 0 for all */
    int64_t bins, absolute;      /* absolute: count magnitudes; otherwise what is below 0 counts as 0 */
    const float *bias, *added;   /* (columns), (positions, columns): added to `out`; NULL for nothing */
    double least;                /* lower bound of `out`, taken after both; -inf for none */
    int64_t positive;            /* no current is negative, and no range either */
    int64_t most;                /* 3 allows lists, 2 AVX-512, 1 AVX2 at most, 0 neither */
};

INLINE void make_tables(columns_t *table, const float *g, int64_t step)
{
    /* The sixteen sums over four rows; entry e adds the rows whose bits are set in e. */
    table[0] = (columns_t){0};
    for (int r = 0; r < 4; r++) {
        columns_t row;
        memcpy(&row, g + r * step, sizeof row);
        for (int e = 0; e < 1 << r; e++)
            table[e + (1 << r)] = table[e] + row;
    }
}

/* Eight accumulators, one an input bit, over the words of a chunk; `some` of them at once. */
INLINE void look_up(columns_t a[BITS], const columns_t *tables, const uint16_t *offsets, int64_t words, int some)
{
#pragma GCC unroll 2
    for (int first = 0; first < BITS; first += some) {
        const char *low = (const char *)tables;
        const uint16_t *offset = offsets + first;
        for (int64_t w = 0; w < words; w++, low += 2 * 16 * sizeof(columns_t), offset += 16) {
            const char *high = low + 16 * sizeof(columns_t);
#pragma GCC unroll 8
            for (int b = 0; b < some; b++)
                a[first + b] += *(const columns_t *)(low + offset[b]);
#pragma GCC unroll 8
            for (int b = 0; b < some; b++)
                a[first + b] += *(const columns_t *)(high + offset[8 + b]);
        }
    }
}

/* Add the codes of eight readings, weighted by their input bits. Plain loops over memory: compilers turn these
 * comparisons into vector minima and maxima, which they do not for lanes of a vector type. */
typedef void digitiser(float *codes, const columns_t *a, const float *weight, float lo, float hi, float q);

INLINE void digitise_plain(float *codes, const columns_t *a, const float *weight, float lo, float hi, float q)
{
    float current[BITS * LANES] __attribute__((aligned(64)));
    memcpy(current, a, sizeof current);
    for (int b = 0; b < BITS; b++)
        for (int c = 0; c < LANES; c++) {
            float i = current[b * LANES + c];
            i = i > lo ? i : lo;
            i = i < hi ? i : hi;
            codes[c] += (((i - lo) * q + ROUNDER) - ROUNDER) * weight[b];
        }
}

#ifdef VECTOR_UNITS
AVX512 INLINE void digitise_avx512(float *codes, const columns_t *a, const float *weight, float lo, float hi, float q)
{
    const __m512 low = _mm512_set1_ps(lo), high = _mm512_set1_ps(hi), scale = _mm512_set1_ps(q);
    __m512 sum = _mm512_load_ps(codes);
    for (int b = 0; b < BITS; b++) {
        __m512 i = _mm512_min_ps(_mm512_max_ps(_mm512_load_ps(a + b), low), high);
        i = _mm512_mul_ps(_mm512_sub_ps(i, low), scale);
        i = _mm512_roundscale_ps(i, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        /* Codes and their sum are integers that float32 holds: nothing is rounded. */
        sum = _mm512_fmadd_ps(i, _mm512_set1_ps(weight[b]), sum);
    }
    _mm512_store_ps(codes, sum);
}
#endif

/* Count those of 16 currents whose bits are set in `chosen`. */
INLINE void count(const struct reading *r, int64_t block, const float *current, uint32_t chosen)
{
    float reach = r->reach[block], scale = reach > 0.0f ? (float)r->bins / reach : 0.0f;
    float largest = r->largest[block], *tops = r->tops + block * r->bins;
    int64_t *counts = r->counts + block * r->bins, zeros = 0;
    for (; chosen; chosen &= chosen - 1) {
        float i = current[__builtin_ctz(chosen)];
        i = i > 0.0f ? i : r->absolute ? -i : 0.0f;
        largest = i > largest ? i : largest;
        zeros += i == 0.0f;
        if (i > 0.0f && i <= reach) {
            int64_t bin = (int64_t)(i * scale);
            bin = bin < r->bins ? bin : r->bins - 1;
            counts[bin]++;
            tops[bin] = i > tops[bin] ? i : tops[bin];
        }
    }
    r->zeros[block] += zeros;
    r->largest[block] = largest;
}

/* Columns of a vector, one bit each. */
INLINE uint32_t columns_of(const struct reading *r, int64_t v)
{
    int64_t left = r->columns - v * LANES;
    return left < LANES ? (1u << left) - 1 : 0xFFFF;
}

/* Which of 16 currents are above the floor up to which the caller knows how many there are. */
INLINE uint32_t above_floor(const struct reading *r, int64_t block, const float *current)
{
    uint32_t above = 0;
    for (int c = 0; c < LANES; c++) {
        float i = r->absolute && current[c] < 0.0f ? -current[c] : current[c];
        above |= (uint32_t)(i > r->floor[block]) << c;
    }
    return above;
}

/* Whether all currents of a position are counted: always without a floor, else in some places of each image. */
INLINE int counts_all(const struct reading *r, int64_t block, int64_t position)
{
    return !(r->floor[block] > 0.0f) || position % (r->out_height * r->out_width) % SAMPLE == 0;
}

/* Where the first taps of positions lie, in padded pixels. */
INLINE void find_pixels(const struct reading *r, int64_t base, int64_t tile, int64_t *pixel)
{
    int64_t area = r->out_height * r->out_width;
    for (int64_t t = 0; t < tile; t++) {
        int64_t position = base + t;
        int64_t image = position / area, y = position % area / r->out_width, x = position % r->out_width;
        pixel[t] = (image * r->padded_height + y * r->stride_y) * r->padded_width + x * r->stride_x;
    }
}

/* The sum of inputs that count in word w of a partition, which stands at `at`. */
INLINE double word_sum(const struct reading *r, int64_t at, int64_t w)
{
    if (r->whole[w])
        return r->sums[at];
    uint64_t plus = r->planes[at] & r->mask_plus[w], minus = r->planes[at] & r->mask_minus[w];
    double sum = 0.0;
    for (int b = 0; b < BITS; b++)
        sum += r->bit_weight[b]
            * (__builtin_popcountll(plus & (0xFFull << (8 * b))) - __builtin_popcountll(minus & (0xFFull << (8 * b))));
    return sum;
}

/* Totals of a tile begin with the worth of the sums of inputs. */
INLINE void begin_totals(const struct reading *r, int64_t tile, const double *input_sum, double *total)
{
    int64_t padded = r->vectors * LANES;
    memset(total, 0, sizeof(double) * tile * padded);
    if (r->sum_factor)
        for (int64_t t = 0; t < tile; t++)
            for (int64_t p = 0; p < r->partitions; p++)
                for (int64_t c = 0; c < padded; c++)
                    total[t * padded + c] += r->sum_factor[p * padded + c] * input_sum[t * r->partitions + p];
}

/* Add the worth of a vector's codes, which are sums over so many readings, to the totals. */
INLINE void add_codes(const struct reading *r, int64_t p, int64_t block, int64_t v, int64_t tile, const columns_t *codes,
                      int64_t readings, double *total)
{
    int64_t padded = r->vectors * LANES;
    double unit = 1.0, floor_sum = 0.0;
    if (!r->counts) {
        for (int b = 0; b < BITS; b++)
            floor_sum += r->bit_weight[b];
        floor_sum = (double)r->lo[block] * floor_sum;
        unit = 1.0 / (double)r->codes_per_unit[block];
    }
    wide_t factor;
    memcpy(&factor, r->factor + (p * r->blocks + block) * padded + v * LANES, sizeof factor);
    for (int64_t t = 0; t < tile; t++) {
        wide_t *sums = (wide_t *)(total + t * padded + v * LANES);
        *sums += factor * (__builtin_convertvector(codes[t], wide_t) * unit + floor_sum * (double)readings);
    }
}

/* Write finished outputs. */
INLINE void finish(const struct reading *r, int64_t base, int64_t tile, const double *total)
{
    const float least = (float)r->least;
    for (int64_t t = 0; t < tile; t++)
        for (int64_t c = 0; c < r->columns; c++) {
            double value = total[t * r->vectors * LANES + c] * r->scale[c];
            int64_t place = (base + t) * r->columns + c;
            if (r->wide) {
                r->wide[place] = value;
                continue;
            }
            /* Rounded after every step, as where they are steps of torch; what is no number stays so. */
            float result = (float)value;
            if (r->bias)
                result += r->bias[c];
            if (r->added)
                result += r->added[place];
            r->out[place] = result < least ? least : result;
        }
}

/* The part of the histograms that belongs to a thread. */
INLINE struct reading own_histograms(const struct reading *all, int64_t thread)
{
    struct reading own = *all;
    if (own.counts) {
        own.counts += thread * own.blocks * own.bins;
        own.tops += thread * own.blocks * own.bins;
        own.zeros += thread * own.blocks;
        own.largest += thread * own.blocks;
    }
    return own;
}

/* Offsets into the tables of both halves of each word, for all positions of a tile, and their sums of inputs. */
INLINE void gather(const struct reading *r, const int64_t *pixel, int64_t tile, uint16_t *offsets, double *input_sum)
{
    int64_t all_words = r->word_start[r->partitions];
    for (int64_t t = 0; t < tile; t++) {
        uint16_t *o = offsets + t * all_words * 16;
        for (int64_t p = 0, w = 0; p < r->partitions; p++) {
            double sum = 0.0;
            for (int64_t k = 0; k < r->taps; k++) {
                int64_t at = (pixel[t] + r->tap_offset[k]) * r->octets + r->octet_first[p];
                for (int64_t i = 0; i < r->octet_count[p]; i++, w++, o += 16) {
                    bytes_t bytes;
                    memcpy(&bytes, r->planes + at + i, sizeof bytes);
                    offsets_t wide = __builtin_convertvector(bytes, offsets_t);
                    *(offsets_t *)o = (wide & 15) * (uint16_t)sizeof(columns_t);
                    *(offsets_t *)(o + 8) = (wide >> 4) * (uint16_t)sizeof(columns_t);
                    if (r->sum_factor)
                        sum += word_sum(r, at + i, w);
                }
            }
            input_sum[t * r->partitions + p] = sum;
        }
    }
}

/* Returns 0, or 1 where memory ran out. `some`: input bits whose sums the registers hold at once. */
INLINE int64_t read_tiles(const struct reading *all, int64_t start, int64_t end, int64_t thread, int some,
                          digitiser *digitise)
{
    const struct reading own = own_histograms(all, thread), *r = &own;
    int64_t padded = r->vectors * LANES, row_step = r->blocks * padded, all_words = r->word_start[r->partitions];
    int64_t most = TILE_WORDS / all_words < 8 ? 8 : TILE_WORDS / all_words;
    most = most < TILE ? most : TILE;
    columns_t *tables = NULL, *acc = NULL, *codes = NULL;
    uint16_t *offsets = NULL;
    double *total = NULL, *input_sum = malloc(sizeof(double) * most * r->partitions);
    int64_t pixel[TILE];
    int failed = posix_memalign((void **)&tables, 64, sizeof(columns_t) * CHUNK * 32)
        || posix_memalign((void **)&acc, 64, sizeof(columns_t) * most * BITS)
        || posix_memalign((void **)&codes, 64, sizeof(columns_t) * most)
        || posix_memalign((void **)&total, 128, sizeof(double) * most * padded)
        || posix_memalign((void **)&offsets, 64, sizeof(uint16_t) * most * all_words * 16) || input_sum == NULL;
    float weight[BITS];
    for (int b = 0; b < BITS; b++)
        weight[b] = (float)r->bit_weight[b];

    for (int64_t base = start; base < end && !failed; base += most) {
        int64_t tile = end - base < most ? end - base : most;
        find_pixels(r, base, tile, pixel);
        gather(r, pixel, tile, offsets, input_sum);
        begin_totals(r, tile, input_sum, total);
        for (int64_t block = 0; block < r->blocks; block++) {
            float lo = r->lo[block], hi = r->hi[block], q = r->codes_per_unit[block];
            for (int64_t v = 0; v < r->vectors; v++) {
                int64_t readings = 0; /* partitions summed in `codes` so far */
                memset(codes, 0, sizeof(columns_t) * tile);
                for (int64_t p = 0; p < r->partitions; p++) {
                    int64_t first = r->word_start[p], words = r->word_start[p + 1] - first;
                    const float *g = r->conductance + r->weight_start[p] + (block * r->vectors + v) * LANES;
                    for (int64_t w = 0; w < words; w += CHUNK) {
                        int64_t chunk = words - w < CHUNK ? words - w : CHUNK;
                        for (int64_t k = 0; k < 2 * chunk; k++)
                            make_tables(tables + 16 * k, g + (8 * w + 4 * k) * row_step, row_step);
                        for (int64_t t = 0; t < tile; t++) {
                            columns_t a[BITS], *kept = acc + t * BITS;
                            for (int b = 0; b < BITS; b++)
                                a[b] = w == 0 ? (columns_t){0} : kept[b];
                            look_up(a, tables, offsets + (t * all_words + first + w) * 16, chunk, some);
                            if (w + chunk == words && r->counts) {
                                float current[BITS * LANES] __attribute__((aligned(64)));
                                memcpy(current, a, sizeof current);
                                int all = counts_all(r, block, base + t);
                                for (int b = 0; b < BITS && weight[b] > 0.0f; b++) {
                                    const float *own = current + b * LANES;
                                    for (int c = 0; c < LANES; c++)
                                        ((float *)(codes + t))[c] += own[c] * weight[b];
                                    count(r, block, own,
                                          columns_of(r, v) & (all ? 0xFFFF : above_floor(r, block, own)));
                                }
                            }
                            else if (w + chunk == words)
                                digitise((float *)(codes + t), a, weight, lo, hi, q);
                            else
                                for (int b = 0; b < BITS; b++)
                                    kept[b] = a[b];
                        }
                    }
                    readings++;
                    if (p + 1 < r->partitions && r->same_factor[p + 1])
                        continue;
                    add_codes(r, p, block, v, tile, codes, readings, total);
                    readings = 0;
                    memset(codes, 0, sizeof(columns_t) * tile);
                }
            }
        }
        finish(r, base, tile, total);
    }
    free(tables);
    free(acc);
    free(codes);
    free(offsets);
    free(total);
    free(input_sum);
    return failed;
}

#ifdef VECTOR_UNITS
AVX512 static int64_t read_avx512(const struct reading *r, int64_t start, int64_t end, int64_t thread)
{
    return read_tiles(r, start, end, thread, 8, digitise_avx512);
}

AVX2 static int64_t read_avx2(const struct reading *r, int64_t start, int64_t end, int64_t thread)
{
    return read_tiles(r, start, end, thread, 4, digitise_plain);
}
#endif

static int64_t read_plain(const struct reading *r, int64_t start, int64_t end, int64_t thread)
{
    return read_tiles(r, start, end, thread, 4, digitise_plain);
}

#ifdef VECTOR_UNITS
#include "bit_serial_lists.h"
#endif

/* The best that this processor has: 3 for AVX-512 that compresses bytes and words, 2 for AVX-512, 1 for AVX2, 0 for what the compiler takes for granted. */
int64_t instruction_set(void)
{
#ifdef VECTOR_UNITS
    if (__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2"))
        return 3;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 1;
#endif
    return 0;
}

int64_t read_positions(const struct reading *r, int64_t start, int64_t end, int64_t thread)
{
#ifdef VECTOR_UNITS
    int64_t best = r->most < instruction_set() ? r->most : instruction_set();
    if (best == 3)
        return read_lists(r, start, end, thread);
    if (best == 2)
        return read_avx512(r, start, end, thread);
    if (best == 1)
        return read_avx2(r, start, end, thread);
#endif
    return read_plain(r, start, end, thread);
}
