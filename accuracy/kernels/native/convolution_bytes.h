/* The form of the convolution for processors that multiply bytes (AVX-512 VNNI): sums are integers, and exact.
 *
 * A weight is an integer of three digits to the base 256, each from -128 to 127; its last digit is worth less than the
 * last bit of a float of the largest weight. Inputs are bytes without sign; signed ones are stored 128 larger, and sums
 * start from what takes that off again. One instruction adds four rows of 16 columns, so that three digits take three
 * quarters of the instructions that floats do. Part of convolution.c.
 */

enum { DIGITS = 3, LARGEST = 127 * 65536 + 127 * 256 + 127, COLUMNS = 16, POSITIONS = 8 };

/* Weights of consecutive rows on their way to bytes. */
struct bytes {
    const double *matrix; /* (rows, blocks * columns) */
    int64_t rows, first;  /* first: which row of all the first one is; rows are ordered (channel, tap) */
    int64_t taps, channel_first, channel_count; /* channel_count: a multiple of 4 */
    int64_t blocks, vectors, columns, offset;
    double scale;    /* integers per unit of weight */
    int8_t *digits;  /* the partition's: (units, taps, channels / 4, DIGITS, COLUMNS, 4); units are (vector, block) */
    int32_t *begin;  /* (units, DIGITS, COLUMNS) */
};

/* Write digits; take `offset` times each off what sums start from. Returns how many weights are too large. */
int64_t pack_bytes(const struct bytes *b)
{
    int64_t large = 0, unit_size = b->taps * b->channel_count * DIGITS * COLUMNS;
    for (int64_t r = 0; r < b->rows; r++) {
        int64_t channel = (b->first + r) / b->taps - b->channel_first, tap = (b->first + r) % b->taps;
        const double *row = b->matrix + r * b->blocks * b->columns;
        int8_t *place = b->digits + ((tap * b->channel_count / 4 + channel / 4) * DIGITS * COLUMNS) * 4 + channel % 4;
        for (int64_t block = 0; block < b->blocks; block++)
            for (int64_t column = 0; column < b->columns; column++) {
                int64_t unit = column / COLUMNS * b->blocks + block, lane = column % COLUMNS;
                int8_t *to = place + unit * unit_size + lane * 4;
                int32_t *begin = b->begin + unit * DIGITS * COLUMNS + lane;
                double value = row[block * b->columns + column] * b->scale;
                if (!(fabs(value) <= LARGEST)) {
                    large++;
                    continue;
                }
                /* Adding and taking off 1.5 * 2^52 rounds half to even. */
                int32_t left = (int32_t)((value + 6755399441055744.0) - 6755399441055744.0);
                for (int d = 0; d < DIGITS; d++) {
                    int8_t digit = (int8_t)(left & 255);
                    left = (left - digit) >> 8;
                    to[d * COLUMNS * 4] = digit;
                    begin[d * COLUMNS] -= (int32_t)b->offset * digit;
                }
            }
    }
    return large;
}

#if defined(__x86_64__) && defined(__GNUC__)
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni,avx2,fma")))

/* One unit at POSITIONS positions, `count` of which are real. */
static VNNI void strip_of_bytes(const struct convolution *c, int64_t partition, int64_t unit, const int8_t *w,
                                  const uint8_t *const *at, float *const *to, const float *const *more, int count)
{
    int64_t vector = unit / c->blocks, block = unit % c->blocks;
    const int32_t *begin = c->begin + (partition * c->vectors * c->blocks + unit) * DIGITS * COLUMNS;
    __m512i sum[POSITIONS][DIGITS];
    for (int p = 0; p < POSITIONS; p++)
        for (int d = 0; d < DIGITS; d++)
            sum[p][d] = _mm512_loadu_si512(begin + d * COLUMNS);
    for (int64_t tap = 0; tap < c->taps; tap++) {
        int64_t k = c->tap_offset[tap] + c->channel_first[partition], end = k + c->channel_count[partition];
        for (; k < end; k += 4, w += 4 * DIGITS * COLUMNS) {
            __m512i row[DIGITS];
            for (int d = 0; d < DIGITS; d++)
                row[d] = _mm512_loadu_si512(w + d * 4 * COLUMNS);
            for (int p = 0; p < POSITIONS; p++) {
                int32_t four;
                memcpy(&four, at[p] + k, sizeof four);
                for (int d = 0; d < DIGITS; d++)
                    sum[p][d] = _mm512_dpbusd_epi32(sum[p][d], _mm512_set1_epi32(four), row[d]);
            }
        }
    }
    /* Registers are short: what follows must not be loaded before the sums are made. */
    __asm__ volatile("" ::: "memory");
    /* A code is what the sum is in units of a code above the lower edge, within 0 and the code of the upper edge. */
    float q = c->codes_per_unit[block];
    __m512 one = _mm512_set1_ps(c->unit * q), base = _mm512_set1_ps(c->unit * q * 256.0f);
    __m512 square = _mm512_set1_ps(c->unit * q * 65536.0f), edge = _mm512_set1_ps(-c->lo[block] * q);
    __m512 top = _mm512_set1_ps((c->hi[block] - c->lo[block]) * q), floor = _mm512_set1_ps(c->floor);
    __m512 worth = _mm512_loadu_ps(c->worth + ((partition * c->vectors + vector) * c->blocks + block) * COLUMNS);
    __m512 first = _mm512_loadu_ps(c->first + vector * COLUMNS);
    int opens = partition == 0 && block == 0, closes = partition + 1 == c->partitions && block + 1 == c->blocks;
#pragma GCC unroll 8
    for (int p = 0; p < POSITIONS; p++) {
        __m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[p][0]), one, edge);
        v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[p][1]), base, v);
        v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[p][2]), square, v);
        v = _mm512_min_ps(_mm512_max_ps(v, _mm512_setzero_ps()), top);
        v = _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
        if (p < count) {
            float *out = to[p] + vector * COLUMNS;
            v = _mm512_fmadd_ps(v, worth, opens ? first : _mm512_loadu_ps(out));
            if (closes && more)
                v = _mm512_add_ps(v, _mm512_loadu_ps(more[p] + vector * COLUMNS));
            _mm512_storeu_ps(out, closes ? _mm512_max_ps(floor, v) : v);
        }
    }
}

static void read_bytes(const struct convolution *c, int64_t start, int64_t end)
{
    int64_t units = c->blocks * c->vectors, wide = c->vectors * COLUMNS;
    float *aside = room_aside(c, wide);
    struct tile tile = {{0}};
    const float *const *more = c->added ? tile.more : NULL;
    for (int64_t position = start; position < end; position += TILE) {
        int count = end - position < TILE ? (int)(end - position) : TILE;
        const uint8_t *at[TILE];
        begin_tile(&tile, c, position, count, aside, wide);
        for (int p = 0; p < TILE; p++)
            at[p] = (const uint8_t *)c->x + tile.first[p];
        for (int64_t partition = 0; partition < c->partitions; partition++)
            for (int64_t unit = 0; unit < units; unit++) {
                const int8_t *w = c->digits + c->weight_start[partition] +
                                  unit * c->taps * c->channel_count[partition] * DIGITS * COLUMNS;
                for (int p = 0; p < count; p += POSITIONS)
                    strip_of_bytes(c, partition, unit, w, at + p, tile.to + p, more ? more + p : NULL,
                                   count - p < POSITIONS ? count - p : POSITIONS);
            }
        end_tile(&tile, c, position, count, aside);
    }
    free(aside);
}
#endif
