/* Exact currents of resistor bit lines, many patterns and columns at a time.
 *
 * Down the line u += m R i over m wires and i += g u at a selected cell; the current is y = i / u. The resistance of the
 * virtual ground is one more wire behind the last. Rows are taken in blocks whose conductances stay in the first-level
 * cache while all patterns pass over them; a few patterns by a few vectors of columns are worked on together, so that
 * enough chains run side by side. Every block starts from u = s and i = s y, so nothing overflows. The scale s differs
 * from block to block and from part to part of a block: what rounds one way here rounds otherwise there.
 *
 * Where i hardly changes over a block, the increments m R i of u all round one way, or are lost where they are below
 * the spacing of the numbers around u. There, and only there, u - s is taken from the ends of the block instead, as
 * W R (i_first + i_last) / 2 for W wires.
 *
 * The file includes itself once for each precision and instruction set; solve_float and solve_double choose one when
 * they are called.
 */
#ifndef REAL

#include "bit_line_common.h"

/* The most rows of a block; patterns that share what is prepared for a block; the most that are worked on together; the
 * selected cells of a part of a block, and the parts, each with a scale of its own. */
enum { LIST_ROWS = 192, CHUNK = 240, MOST_TOGETHER = 8, PART = 48, PARTS = LIST_ROWS / PART };

/* Bytes of conductances that stay in the first-level cache. */
enum { CACHED = 48 * 1024 };

/* What is solved. Bit b of digits[n][row] says whether the cell is selected in phase b. The results, (bits, batch,
 * columns), are kept apart where weights is NULL; else summed with these weights to (batch, columns). most_sum and
 * most_cell are upper bounds of the sum of a column's conductances and of one conductance. */
struct lines {
    const void *g; /* (rows, columns) */
    int64_t rows, columns;
    const uint8_t *digits; /* (batch, rows) */
    int64_t batch, phases;
    const double *weights;
    double wire, ground;   /* of one piece, and of the virtual ground, in series with the last piece */
    double most_sum, most_cell;
    void *result, *packed; /* packed: aligned to 64 bytes */
    int64_t most;          /* limits the instruction set, see `available` */
    int64_t row_block, blocks; /* written by plan_...: rows of a block, and how many there are */
};

static int64_t min3(int64_t a, int64_t b, int64_t c) {
    const int64_t least = a < b ? a : b;
    return least < c ? least : c;
}

#ifdef VECTOR_UNITS
#define REAL float
#define LENGTH int32_t
#define LANES 16
#define CHAINS 12
#define WIDEST 4
#define TARGET AVX512
#define SELECT select_rows_avx512
#define NAME(x) PASTE(x, _float_avx512)
#include "bit_line.c"
#define REAL float
#define LENGTH int32_t
#define LANES 8
#define CHAINS 6
#define WIDEST 3
#define TARGET AVX2
#define SELECT select_rows
#define NAME(x) PASTE(x, _float_avx2)
#include "bit_line.c"
#endif
#define REAL float
#define LENGTH int32_t
#define LANES 4
#define CHAINS 6
#define WIDEST 3
#define TARGET
#define SELECT select_rows
#define NAME(x) PASTE(x, _float_plain)
#include "bit_line.c"

#ifdef VECTOR_UNITS
#define REAL double
#define LENGTH int64_t
#define LANES 8
#define CHAINS 12
#define WIDEST 4
#define TARGET AVX512
#define SELECT select_rows_avx512
#define NAME(x) PASTE(x, _double_avx512)
#include "bit_line.c"
#define REAL double
#define LENGTH int64_t
#define LANES 4
#define CHAINS 6
#define WIDEST 3
#define TARGET AVX2
#define SELECT select_rows
#define NAME(x) PASTE(x, _double_avx2)
#include "bit_line.c"
#endif
#define REAL double
#define LENGTH int64_t
#define LANES 2
#define CHAINS 6
#define WIDEST 3
#define TARGET
#define SELECT select_rows
#define NAME(x) PASTE(x, _double_plain)
#include "bit_line.c"

#ifdef VECTOR_UNITS
#define CHOOSE(name, kind, ...)                                        \
    switch (available(l->most)) {                                      \
        case 2: return PASTE(name, PASTE(kind, _avx512))(__VA_ARGS__); \
        case 1: return PASTE(name, PASTE(kind, _avx2))(__VA_ARGS__);   \
        default: return PASTE(name, PASTE(kind, _plain))(__VA_ARGS__); \
    }
#else
#define CHOOSE(name, kind, ...) return PASTE(name, PASTE(kind, _plain))(__VA_ARGS__);
#endif

int instruction_set(int most) { return available(most); }

/* Bytes that `packed` must have room for; 0 where the growth of u over one block of rows could overflow or the line is
 * too long. */
int64_t plan_float(struct lines *l) { CHOOSE(plan, _float, l, 60.0) }
int64_t plan_double(struct lines *l) { CHOOSE(plan, _double, l, 600.0) }

/* Copy blocks of rows first..last to `packed`. */
int64_t pack_float(struct lines *l, int64_t first, int64_t last, int64_t thread) {
    (void)thread;
    CHOOSE(pack, _float, l, first, last)
}
int64_t pack_double(struct lines *l, int64_t first, int64_t last, int64_t thread) {
    (void)thread;
    CHOOSE(pack, _double, l, first, last)
}

/* Solve rows first..last of the batch, after all is packed; return how often memory ran out. */
int64_t solve_float(struct lines *l, int64_t first, int64_t last, int64_t thread) {
    (void)thread;
    CHOOSE(solve, _float, l, first, last)
}
int64_t solve_double(struct lines *l, int64_t first, int64_t last, int64_t thread) {
    (void)thread;
    CHOOSE(solve, _double, l, first, last)
}

#else /* one precision and instruction set */

#include "bit_line_template.h"

/* Let the selected cells of one block of rows act on the currents y of as many patterns of n vectors as the registers
 * hold. counts: selected cells; lists shorter than `count` end in cells without conductance or wire. wires: R times the
 * wires that each pattern passes. scales: one for each part. The currents of a pattern do not depend on its
 * neighbours. */
#define DEFINE_BLOCK(n)                                                                                               \
    TARGET static void NAME(block##n)(const char *g, const list *lists, const int32_t *counts, const REAL *wires,     \
                                      const int32_t *order, int64_t count, const REAL *scales, vec *currents) {       \
        enum { PATTERNS = CHAINS / n < MOST_TOGETHER ? CHAINS / n : MOST_TOGETHER };                                  \
        const vec zero = {0};                                                                                         \
        const list *own[PATTERNS];                                                                                    \
        vec i[PATTERNS][n], u[PATTERNS][n];                                                                           \
        _Pragma("GCC unroll 8") for (int p = 0; p < PATTERNS; p++) {                                                  \
            own[p] = lists + order[p];                                                                                \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                     \
                i[p][v] = currents[(size_t)order[p] * n + v] * scales[0];                                             \
                u[p][v] = zero + scales[0];                                                                           \
            }                                                                                                         \
        }                                                                                                             \
        int64_t k = 0;                                                                                                \
        for (int part = 0;; part++) {                                                                                 \
            for (const int64_t stop = count < PART * (part + 1) ? count : PART * (part + 1); k < stop; k++) {         \
                _Pragma("GCC unroll 8") for (int p = 0; p < PATTERNS; p++) {                                          \
                    const REAL wire = own[p]->wire[k];                                                                \
                    const vec *cells = (const vec *)(g + own[p]->place[k]);                                           \
                    _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) u[p][v] = u[p][v] + wire * i[p][v];           \
                    _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) i[p][v] = i[p][v] + cells[v] * u[p][v];       \
                }                                                                                                     \
            }                                                                                                         \
            if (k == count) break;                                                                                    \
            _Pragma("GCC unroll 8") for (int p = 0; p < PATTERNS; p++) {                                              \
                const REAL factor = k < counts[order[p]] ? scales[part + 1] / scales[part] : 1;                       \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                 \
                    i[p][v] = i[p][v] * factor;                                                                       \
                    u[p][v] = u[p][v] * factor;                                                                       \
                }                                                                                                     \
            }                                                                                                         \
        }                                                                                                             \
        _Pragma("GCC unroll 8") for (int p = 0; p < PATTERNS; p++) {                                                  \
            const int32_t all = counts[order[p]];                                                                     \
            const REAL scale = scales[all ? (all - 1) / PART : 0];                                                    \
            const REAL half = (REAL)0.5 * wires[order[p]];                                                            \
            const REAL little = NAME(half_spacing) * (REAL)all / wires[order[p]];                                     \
            vec *y = currents + (size_t)order[p] * n;                                                                 \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                     \
                const vec before = scale * y[v];                                                                      \
                const bits steady = i[p][v] - before < little;                                                        \
                const vec by_ends = half * (i[p][v] + before) + scale;                                                \
                const vec end = (vec)((steady & (bits)by_ends) | (~steady & (bits)u[p][v]));                          \
                y[v] = NAME(quotient)(i[p][v], end);                                                                  \
            }                                                                                                         \
        }                                                                                                             \
    }
DEFINE_BLOCK(1)
DEFINE_BLOCK(2)
DEFINE_BLOCK(3)
#if WIDEST == 4
DEFINE_BLOCK(4)
#endif
#undef DEFINE_BLOCK

TARGET static void NAME(block)(int64_t n, const REAL *g, const list *lists, const int32_t *counts,
                               const REAL *wires, const int32_t *order, int64_t count, const REAL *scales,
                               vec *currents) {
    switch (n) {
        case 1: NAME(block1)((const char *)g, lists, counts, wires, order, count, scales, currents); break;
        case 2: NAME(block2)((const char *)g, lists, counts, wires, order, count, scales, currents); break;
#if WIDEST == 4
        case 4: NAME(block4)((const char *)g, lists, counts, wires, order, count, scales, currents); break;
#endif
        default: NAME(block3)((const char *)g, lists, counts, wires, order, count, scales, currents);
    }
}

/* Strips of columns, the most vectors of one, and where they start; how wide packed rows are. */
typedef struct {
    int64_t vectors, strips, widest, row_width, block_size, row_bytes;
} NAME(shape);

static inline NAME(shape) NAME(shape_of)(const struct lines *l) {
    NAME(shape) s;
    s.vectors = (l->columns + LANES - 1) / LANES;
    s.strips = (s.vectors + WIDEST - 1) / WIDEST;
    s.widest = (s.vectors + s.strips - 1) / s.strips;
    s.row_width = s.widest * LANES;
    s.row_bytes = s.row_width * (int64_t)sizeof(REAL);
    s.block_size = (l->row_block + 1) * s.row_width;
    return s;
}

static int64_t NAME(plan)(struct lines *l, double most_growth) {
    /* Over one wire u grows by 1 + R i / u at most, and i / u is below both the sum of the column's conductances and
     * 1 / R plus one cell. That bounds ln u over a block of rows for every pattern at once. */
    const double growth = log1p(fmin(l->wire * l->most_sum, 1.0 + l->wire * l->most_cell));
    const int64_t most_rows = CACHED / (int64_t)sizeof(vec) / NAME(shape_of)(l).widest;
    l->row_block = min3(LIST_ROWS, most_rows, (int64_t)fmin(most_growth / growth, 1e6)) / 16 * 16;
    if (l->row_block < 16 || l->rows > INT32_MAX - LIST_ROWS) return 0;
    l->blocks = (l->rows + l->row_block - 1) / l->row_block;
    fill_positions();
    const NAME(shape) s = NAME(shape_of)(l);
    return l->blocks * s.strips * s.block_size * (int64_t)sizeof(REAL);
}

/* Conductances by block of rows, strip of columns and row, with a row of nothing at the end of each. */
static int64_t NAME(pack)(struct lines *l, int64_t begin, int64_t end) {
    const NAME(shape) s = NAME(shape_of)(l);
    const REAL *g = l->g;
    for (int64_t row = begin * l->row_block; row < end * l->row_block; row++)
        for (int64_t strip = 0; strip < s.strips; strip++) {
            const int64_t first = strip * s.vectors / s.strips * LANES;
            const int64_t next = (strip + 1) * s.vectors / s.strips * LANES;
            const int64_t width = (next < l->columns ? next : l->columns) - first;
            REAL *own = (REAL *)l->packed + (row / l->row_block * s.strips + strip) * s.block_size +
                        row % l->row_block * s.row_width;
            if (row < l->rows) memcpy(own, g + row * l->columns + first, (size_t)width * sizeof(REAL));
            if (row < l->rows && width < s.row_width)
                memset(own + width, 0, (size_t)(s.row_width - width) * sizeof(REAL));
            if (row % l->row_block == 0) memset(own + l->row_block * s.row_width, 0, (size_t)s.row_bytes);
        }
    return 0;
}

TARGET static int64_t NAME(solve)(const struct lines *l, int64_t begin_batch, int64_t end_batch) {
    const NAME(shape) shape = NAME(shape_of)(l);
    const int64_t vectors = shape.vectors, strips = shape.strips, block_size = shape.block_size;
    const int64_t row_bytes = shape.row_bytes, row_block = l->row_block, blocks = l->blocks;
    const int64_t rows = l->rows, columns = l->columns, batch = l->batch;
    const int bits_of_digit = (int)l->phases, compresses = compresses_bytes(l->most);
    const uint8_t *digits = l->digits;
    const double *weights = l->weights, wire = l->wire, ground = l->ground;
    const REAL *packed = l->packed;
    REAL *result = l->result;
    const int64_t most = (CHUNK + bits_of_digit - 1) / bits_of_digit;
    const int64_t chunk = end_batch - begin_batch < most ? end_batch - begin_batch : most;
    const int64_t room = chunk * bits_of_digit + MOST_TOGETHER;

    vec *currents = allocate((size_t)(room * vectors) * sizeof(vec));
    vec *sums = allocate((size_t)(bits_of_digit * vectors) * sizeof(vec));
    list *lists = allocate((size_t)room * sizeof(list));
    int64_t *strip_starts = allocate((size_t)(strips + 1) * sizeof(int64_t));
    REAL *wires = allocate((size_t)room * sizeof(REAL));
    int32_t *counts = allocate((size_t)(3 * room + MOST_TOGETHER) * sizeof(int32_t));
    int32_t *last = counts + room, *order = last + room;
    const int status = currents && sums && lists && strip_starts && wires && counts ? 0 : 1;
    if (!status) {
        for (int64_t strip = 0; strip <= strips; strip++) strip_starts[strip] = strip * vectors / strips;
        const LENGTH nothing = (LENGTH)(row_block * row_bytes);
        for (int64_t begin = begin_batch; begin < end_batch; begin += chunk) {
            const int64_t here = end_batch - begin < chunk ? end_batch - begin : chunk, patterns = here * bits_of_digit;
            memset(currents, 0, (size_t)(room * vectors) * sizeof(vec));
            memset(counts, 0, (size_t)(2 * room) * sizeof(int32_t));
            /* Patterns of nothing fill up the last group. */
            for (int64_t t = 0; t < MOST_TOGETHER; t++) order[t] = (int32_t)(patterns + t), wires[patterns + t] = 0;
            for (int64_t block = 0; block < blocks; block++) {
                const int64_t from = block * row_block, some = rows - from < row_block ? rows - from : row_block;
                REAL scales[PARTS];
                NAME(choose_scales)(block, PARTS, scales);
                int32_t starts[LIST_ROWS + 2] = {0};
                for (int bit = 0; bit < bits_of_digit; bit++)
                    for (int64_t t = 0; t < here; t++) {
                        const int64_t pattern = bit * here + t;
                        const uint8_t *own = digits + (begin + t) * rows + from;
                        /* The digits of a pattern to come: each is read once, far from the one before. */
                        __builtin_prefetch(own + 4 * rows);
                        __builtin_prefetch(own + 4 * rows + 64);
                        counts[pattern] = NAME(select)(own, bit, from, some, row_bytes, (REAL)wire, lists + pattern,
                                                       last + pattern, wires + pattern, NULL, compresses);
                        starts[counts[pattern] + 1]++;
                    }
                /* Patterns in order of their counts, so that those side by side end together. */
                for (int64_t count = 0; count < some; count++) starts[count + 1] += starts[count];
                for (int64_t t = 0; t < patterns; t++) order[MOST_TOGETHER + starts[counts[t]]++] = (int32_t)t;
                for (int64_t strip = 0; strip < strips; strip++) {
                    const int64_t first = strip_starts[strip], n = strip_starts[strip + 1] - first;
                    const int64_t together = CHAINS / n < MOST_TOGETHER ? CHAINS / n : MOST_TOGETHER;
                    const int64_t groups = (patterns + together - 1) / together;
                    const REAL *own = packed + (block * strips + strip) * block_size;
                    /* The next strip lies beyond the second cache: each group fetches a little of it. */
                    const char *ahead = (const char *)(own + block_size);
                    const int64_t lines = (block_size * (int64_t)sizeof(REAL) / 64 + groups - 1) / groups;
                    const int32_t *members = order + MOST_TOGETHER + patterns;
                    for (int64_t group = 0; group < groups; group++) {
                        members -= together;
                        const int64_t count = counts[members[together - 1]];
                        for (int64_t p = 0; p + 1 < together; p++)
                            for (int64_t k = counts[members[p]]; k < count; k++)
                                lists[members[p]].place[k] = nothing, lists[members[p]].wire[k] = 0;
                        for (int64_t line = 0; line < lines; line++, ahead += 64) __builtin_prefetch(ahead);
                        NAME(block)(n, own, lists, counts, wires, members, count, scales, currents + first * room);
                    }
                }
            }
            for (int64_t t = 0; t < here; t++) {
                for (int bit = 0; bit < bits_of_digit; bit++) {
                    const int64_t pattern = bit * here + t;
                    const REAL tail = (REAL)wire * (REAL)(rows - last[pattern]) + (REAL)ground;
                    for (int64_t strip = 0; strip < strips; strip++) {
                        const int64_t first = strip_starts[strip], n = strip_starts[strip + 1] - first;
                        const vec *y = currents + first * room + pattern * n;
                        for (int64_t v = 0; v < n; v++)
                            sums[bit * vectors + first + v] = NAME(quotient)(y[v], tail * y[v] + 1);
                    }
                }
                const size_t bytes = (size_t)columns * sizeof(REAL);
                if (weights == NULL)
                    for (int bit = 0; bit < bits_of_digit; bit++)
                        memcpy(result + (bit * batch + begin + t) * columns, sums + bit * vectors, bytes);
                else {
                    for (int64_t v = 0; v < vectors; v++) {
                        vec sum = sums[v] * (REAL)weights[0];
                        for (int bit = 1; bit < bits_of_digit; bit++)
                            sum = sum + sums[bit * vectors + v] * (REAL)weights[bit];
                        sums[v] = sum;
                    }
                    memcpy(result + (begin + t) * columns, sums, bytes);
                }
            }
        }
    }
    free(currents);
    free(sums);
    free(lists);
    free(strip_starts);
    free(wires);
    free(counts);
    return status;
}

#undef CHAINS
#undef WIDEST
#include "bit_line_template_end.h"
#endif
