/* What the bit-line kernels share for one precision and instruction set: vectors, and lists of the selected cells of a
 * block of at most LIST_ROWS rows. Included with REAL, LENGTH (an integer as wide as REAL), LANES, TARGET,
 * ANY_NEGATIVE and NAME defined; bit_line_template_end.h takes back what this defines. */
typedef REAL NAME(vec) __attribute__((vector_size(LANES * sizeof(REAL)), may_alias));
#define vec NAME(vec)
typedef LENGTH NAME(bits) __attribute__((vector_size(LANES * sizeof(LENGTH)), may_alias));
#define bits NAME(bits)
typedef uint16_t NAME(words) __attribute__((vector_size(LANES * sizeof(REAL)), aligned(2), may_alias));
#define words NAME(words)
typedef uint8_t NAME(bytes) __attribute__((vector_size(LANES * sizeof(REAL) / 2), aligned(1), may_alias));
#define bytes NAME(bytes)
/* i changes little over a block where R times its change is below half a spacing of the numbers around u a cell; that
 * is so much for u = 1 if numbers lie as densely as below a power of two. */
static const REAL NAME(half_spacing) = sizeof(REAL) == 4 ? (REAL)0x1p-25 : (REAL)0x1p-54;

/* The selected cells of one pattern in a block of rows. The upper byte of each is its row, the lower one the number of
 * wires between it and the cell selected before: an inner loop loads both at once, as loads are what it has most of. */
typedef struct {
    uint16_t cells[LIST_ROWS + 64];
} NAME(list);
#define list NAME(list)

/* How one pattern passes a block of rows: its selected cells, R times the wires between the cell selected last before
 * and the last one here, and those of them that the first gap has no room for; what its state is multiplied by at the
 * beginning, and in all; the change of i, over u, below which i changes little. */
typedef struct {
    int32_t count;
    REAL wires, beyond, enter, through, little;
} NAME(passage);
#define passage NAME(passage)

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

/* The rows of the selected cells of a block for eight patterns, and how many they are. Eight are selected before the
 * first is looked at: a processor waits to read across what it has only just written. */
typedef struct {
    uint8_t rows[AT_ONCE][LIST_ROWS + 64];
    int32_t counts[AT_ONCE];
} NAME(selection);
#define selection NAME(selection)

/* Select for all bits of some digits, which are patterns number `first` and up of the eight. */
TARGET static inline void NAME(select)(const uint8_t *digits, int bits_of_digit, int64_t rows, int compresses,
                                       selection *found, int64_t first) {
    uint8_t *place = found->rows[first];
#ifdef VECTOR_UNITS
    if (compresses) {
        select_bytes(digits, bits_of_digit, rows, place, sizeof found->rows[0], found->counts + first);
        return;
    }
#endif
    (void)compresses;
    select_rows(digits, bits_of_digit, rows, place, sizeof found->rows[0], found->counts + first);
}

/* Scales of the parts of a block, and one over each. */
typedef struct {
    REAL own[PARTS], inverse[PARTS];
} NAME(scaling);
#define scaling NAME(scaling)

/* All different, spread evenly over 1.5..2, where numbers lie densest. */
static inline scaling NAME(choose_scales)(int64_t block) {
    scaling scales;
    for (int64_t part = 0; part < PARTS; part++) {
        const double turns = 0.6180339887498949 * (double)(block * PARTS + part);
        scales.own[part] = (REAL)(1.5 + 0.49 * (turns - floor(turns)));
        scales.inverse[part] = 1 / scales.own[part];
    }
    return scales;
}

/* List `count` selected cells of the block that begins at row `from`, and return how their pattern passes. `inverse`
 * is one over the scale of the pattern's state, `last` the row selected before; both become what they are behind the
 * block. The list goes on with PADDING cells of row `nothing` without wires. */
TARGET static inline passage NAME(enlist)(const uint8_t *rows, int32_t count, uint8_t nothing, int64_t from, REAL wire,
                                          const scaling *scales, REAL *inverse, int32_t *last, list *own) {
    const int part = count > WHOLE ? (count - 1) / PART : 0;
    passage way = {.count = count, .enter = scales->own[0] * *inverse, .through = scales->own[part] * *inverse};
    *inverse = scales->inverse[part];
    if (count) {
        const int32_t end = (int32_t)from + rows[count - 1], first = (int32_t)from + rows[0] - *last;
        const int32_t held = first < 255 ? first : 255;
        own->cells[0] = (uint16_t)(rows[0] << 8 | held);
        for (int64_t k = 1; k < count; k += (int64_t)sizeof(bytes)) {
            const bytes here = *(const bytes *)(rows + k), gap = here - *(const bytes *)(rows + k - 1);
            *(words *)(own->cells + k) =
                __builtin_convertvector(here, words) << 8 | __builtin_convertvector(gap, words);
        }
        way.beyond = wire * (REAL)(first - held);
        way.wires = wire * (REAL)(end - *last);
        way.little = way.through * NAME(half_spacing) * (REAL)count / way.wires;
        *last = end;
    }
    const words padding = (words){0} + (uint16_t)(nothing << 8);
    for (int64_t k = 0; k < PADDING; k += (int64_t)sizeof(bytes)) *(words *)(own->cells + count + k) = padding;
    return way;
}

/* R times 0, 1, 2 ... wires. */
static inline void NAME(multiply_wires)(REAL wire, REAL *wires) {
    for (int k = 0; k < 256; k++) wires[k] = wire * (REAL)k;
}

/* Where i changed little over a block, and only there, take u at its end from i at both ends. start: i and u of n
 * vectors at the beginning; end: at the end. */
TARGET static __attribute__((noinline)) void NAME(straighten)(int64_t n, const vec *start, vec *end,
                                                              const passage *way) {
    for (int64_t v = 0; v < n; v++) {
        const vec before = way->through * start[v], u = way->through * start[n + v];
        const bits steady = end[v] - before < way->little * start[n + v];
        const vec by_ends = u + way->wires * ((REAL)0.5 * (end[v] + before));
        end[n + v] = (vec)((steady & (bits)by_ends) | (~steady & (bits)end[n + v]));
    }
}
