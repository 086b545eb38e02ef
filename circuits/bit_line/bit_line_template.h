/* What the bit-line kernels share for one precision and instruction set: vectors, and lists of the selected cells of a
 * block of at most LIST_ROWS rows. Included with REAL, LENGTH (an integer as wide as REAL), LANES, TARGET, SELECT and
 * NAME defined; bit_line_template_end.h takes back what this defines. */
typedef REAL NAME(vec) __attribute__((vector_size(LANES * sizeof(REAL)), may_alias));
#define vec NAME(vec)
typedef int32_t NAME(rows_on) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
#define rows_on NAME(rows_on)
typedef LENGTH NAME(bits) __attribute__((vector_size(LANES * sizeof(LENGTH)), may_alias));
#define bits NAME(bits)
/* i changes little over a block where R times its change is below half a spacing of the numbers around u a cell. */
static const REAL NAME(half_spacing) = sizeof(REAL) == 4 ? (REAL)0x1p-24 : (REAL)0x1p-53;

/* The selected cells of one pattern in a block of rows: where their conductances are, in bytes, and the wire between
 * each and the one selected before. */
typedef struct {
    LENGTH place[LIST_ROWS];
    REAL wire[LIST_ROWS];
} NAME(list);
#define list NAME(list)

/* i / u, to the last bit but one. */
TARGET static inline vec NAME(quotient)(vec i, vec u) {
#if LANES == 16
    const __m512 guess = _mm512_rcp14_ps((__m512)u);
    const __m512 reciprocal = _mm512_fmadd_ps(guess, _mm512_fnmadd_ps((__m512)u, guess, _mm512_set1_ps(1)), guess);
    return (vec)_mm512_mul_ps((__m512)i, reciprocal);
#else
    return i / u;
#endif
}

/* List the selected cells of a block of rows and return how many there are. `last` is the row selected before them, and
 * becomes the last one selected; wires becomes R times the wires between the two, and `half`, if wanted, R times those
 * between the one before and the mean place of the selected cells. */
TARGET static inline int32_t NAME(select)(const uint8_t *digits, int bit, int64_t from, int64_t rows, int64_t row_bytes,
                                          REAL wire, list *own, int32_t *last, REAL *wires, REAL *half,
                                          int compresses) {
#if LANES == 16
    if (compresses) {
        uint8_t near[1 + LIST_ROWS + 64 + LANES];
        const int64_t count = select_bytes(digits, bit, rows, near + 1);
        const int32_t before_all = *last;
        memset(near + 1 + count, 0, LANES);
        near[0] = 0;
        if (count) *last = (int32_t)from + near[count];
        *wires = wire * (REAL)(*last - before_all);
        for (int64_t k = 0; k < count; k += LANES) {
            const __m512i here = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(near + k + 1)));
            const __m512i before = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(near + k)));
            *(bits *)(own->place + k) = (bits)here * (LENGTH)row_bytes;
            *(vec *)(own->wire + k) = wire * (vec)_mm512_cvtepi32_ps(_mm512_sub_epi32(here, before));
        }
        own->wire[0] = wire * (REAL)((int32_t)from + near[1] - before_all);
        if (half) {
            int32_t places = 0;
            for (int64_t k = 1; k <= count; k++) places += near[k];
            *half = count ? wire * ((REAL)places / (REAL)count + (REAL)((int32_t)from - before_all)) : 0;
        }
        return (int32_t)count;
    }
#endif
    (void)compresses;
    int32_t found[1 + LIST_ROWS + 16];
    const int64_t count = SELECT(digits, bit, rows, (int32_t)from, found + 1);
    found[0] = *last;
    *last = found[count];
    // Lanes behind the last row are computed as well and never read; they must hold numbers.
    for (int64_t k = 1; k <= LANES; k++) found[count + k] = *last;
    *wires = wire * (REAL)(*last - found[0]);
    for (int64_t k = 0; k < count; k += LANES) {
        const rows_on here = *(const rows_on *)(found + k + 1), before = *(const rows_on *)(found + k);
        *(bits *)(own->place + k) = __builtin_convertvector(here - (int32_t)from, bits) * (LENGTH)row_bytes;
        *(vec *)(own->wire + k) = wire * __builtin_convertvector(here - before, vec);
    }
    if (half) {
        int32_t places = 0;
        for (int64_t k = 1; k <= count; k++) places += found[k] - (int32_t)from;
        *half = count ? wire * ((REAL)places / (REAL)count + (REAL)((int32_t)from - found[0])) : 0;
    }
    return (int32_t)count;
}

/* Scales of the parts of a block: all different, spread evenly over 1.5..2, where numbers lie densest. */
static inline void NAME(choose_scales)(int64_t block, int64_t parts, REAL *scales) {
    for (int64_t part = 0; part < parts; part++) {
        const double turns = 0.6180339887498949 * (double)(block * parts + part);
        scales[part] = (REAL)(1.5 + 0.49 * (turns - floor(turns)));
    }
}
