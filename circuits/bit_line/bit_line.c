/* Exact currents of resistor bit lines, many patterns and columns at a time.
 *
 * Down the line u += m R i over m wires and i += g u at a selected cell; the current is i / u. The resistance of the
 * virtual ground is one more wire behind the last. Rows are taken in blocks whose conductances stay in the first-level
 * cache while all patterns pass over them; a few patterns by a few vectors of columns are worked on together, so that
 * enough chains run side by side. Only i / u matters: both are multiplied by numbers s that differ from block to block
 * and from part to part of a block, so that what rounds one way here rounds otherwise there; and before either could
 * overflow u is made 1 again.
 *
 * Where i hardly changes over a block, the increments m R i of u all round one way, or are lost where they are below
 * the spacing of the numbers around u. There, and only there, what u grows by is taken from the ends of the block
 * instead, as W R (i_first + i_last) / 2 for W wires.
 *
 * The file includes itself once for each precision and instruction set; solve_float and solve_double choose one when
 * they are called.
 */
#ifndef REAL

#include "bit_line_common.h"

/* The most rows of a block; patterns that share what is prepared for a block; the most that are worked on together; the
 * most selected cells of a block that is not cut into parts, those of a part, and the parts, each with a scale of its
 * own. */
enum { LIST_ROWS = 192, CHUNK = 256, MOST_TOGETHER = 8, WHOLE = 96, PART = 24, PARTS = LIST_ROWS / PART };

/* Bytes of conductances that stay in the first-level cache. */
enum { CACHED = 36 * 1024 };

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
    /* Written by plan_...: rows of a block, how many there are, and after how many u must be 1 again. */
    int64_t row_block, blocks, stretch;
    double growth;
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
#define ANY_NEGATIVE(x) (_mm512_movepi32_mask((__m512i)(x)) != 0)
#define NAME(x) PASTE(x, _float_avx512)
#include "bit_line.c"
#define REAL float
#define LENGTH int32_t
#define LANES 8
#define CHAINS 6
#define WIDEST 3
#define TARGET AVX2
#define ANY_NEGATIVE(x) (_mm256_movemask_ps((__m256)(x)) != 0)
#define NAME(x) PASTE(x, _float_avx2)
#include "bit_line.c"
#endif
#define REAL float
#define LENGTH int32_t
#define LANES 4
#define CHAINS 6
#define WIDEST 3
#define TARGET
#define ANY_NEGATIVE(x) (((x)[0] | (x)[1] | (x)[2] | (x)[3]) < 0)
#define NAME(x) PASTE(x, _float_plain)
#include "bit_line.c"

#ifdef VECTOR_UNITS
#define REAL double
#define LENGTH int64_t
#define LANES 8
#define CHAINS 12
#define WIDEST 4
#define TARGET AVX512
#define ANY_NEGATIVE(x) (_mm512_movepi64_mask((__m512i)(x)) != 0)
#define NAME(x) PASTE(x, _double_avx512)
#include "bit_line.c"
#define REAL double
#define LENGTH int64_t
#define LANES 4
#define CHAINS 6
#define WIDEST 3
#define TARGET AVX2
#define ANY_NEGATIVE(x) (_mm256_movemask_pd((__m256d)(x)) != 0)
#define NAME(x) PASTE(x, _double_avx2)
#include "bit_line.c"
#endif
#define REAL double
#define LENGTH int64_t
#define LANES 2
#define CHAINS 6
#define WIDEST 3
#define TARGET
#define ANY_NEGATIVE(x) (((x)[0] | (x)[1]) < 0)
#define NAME(x) PASTE(x, _double_plain)
#include "bit_line.c"

#ifdef VECTOR_UNITS
#define CHOOSE(name, kind, ...)                                                                                       \
    switch (available(l->most)) {                                                                                     \
        case 2: return PASTE(name, PASTE(kind, _avx512))(__VA_ARGS__);                                                \
        case 1: return PASTE(name, PASTE(kind, _avx2))(__VA_ARGS__);                                                  \
        default: return PASTE(name, PASTE(kind, _plain))(__VA_ARGS__);                                                \
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

/* Let the selected cells of one block of rows act on i and u, the 2 n vectors of each of as many patterns as the
 * registers hold. wires: R times 0, 1, 2 ... wires; lists shorter than `count` end in cells without conductance or
 * wire; scales: one for each part; most_u: a bound of u at the beginning; from: states at the beginning, `stride`
 * vectors apart; to: at the end, side by side. The states of a pattern do not depend on its neighbours. */
#define DEFINE_BLOCK(n)                                                                                               \
    TARGET static void NAME(block##n)(const vec *g, const REAL *wires, const list *lists, const passage *ways,        \
                                      const int32_t *order, int64_t count, const scaling *scales, REAL most_u,        \
                                      const vec *from, int64_t stride, vec *to) {                                     \
        enum { PATTERNS = CHAINS / n < MOST_TOGETHER ? CHAINS / n : MOST_TOGETHER };                                  \
        const list *own[PATTERNS];                                                                                    \
        vec i[PATTERNS][n], u[PATTERNS][n];                                                                           \
        _Pragma("GCC unroll 8") for (int p = 0; p < PATTERNS; p++) {                                                  \
            const passage *way = ways + order[p];                                                                     \
            const vec *state = from + order[p] * stride;                                                              \
            own[p] = lists + order[p];                                                                                \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                     \
                i[p][v] = state[v] * way->enter;                                                                      \
                u[p][v] = state[n + v] * way->enter;                                                                  \
            }                                                                                                         \
            if (way->beyond > 0)                                                                                      \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) u[p][v] = u[p][v] + way->beyond * i[p][v];        \
        }                                                                                                             \
        int64_t k = 0;                                                                                                \
        for (int part = 0;; part++) {                                                                                 \
            const int64_t most = count > WHOLE ? PART * (part + 1) : count, stop = count < most ? count : most;       \
            for (; k < stop; k++) {                                                                                   \
                _Pragma("GCC unroll 8") for (int p = 0; p < PATTERNS; p++) {                                          \
                    const size_t cell = own[p]->cells[k];                                                             \
                    const REAL wire = wires[cell & 255];                                                              \
                    const vec *cells = g + (cell >> 8) * n;                                                           \
                    _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) u[p][v] = u[p][v] + wire * i[p][v];           \
                    _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) i[p][v] = i[p][v] + cells[v] * u[p][v];       \
                }                                                                                                     \
            }                                                                                                         \
            if (k == count) break;                                                                                    \
            _Pragma("GCC unroll 8") for (int p = 0; p < PATTERNS; p++) {                                              \
                const int32_t all = ways[order[p]].count;                                                             \
                const REAL factor = all > WHOLE && all > k ? scales->own[part + 1] * scales->inverse[part] : 1;       \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                 \
                    i[p][v] = i[p][v] * factor;                                                                       \
                    u[p][v] = u[p][v] * factor;                                                                       \
                }                                                                                                     \
            }                                                                                                         \
        }                                                                                                             \
        _Pragma("GCC unroll 8") for (int p = 0; p < PATTERNS; p++) {                                                  \
            const passage *way = ways + order[p];                                                                     \
            const vec *state = from + order[p] * stride;                                                              \
            vec *next = to + (size_t)order[p] * 2 * n;                                                                \
            bits signs = {0};                                                                                         \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++)                                                       \
                signs |= (bits)(i[p][v] - way->through * state[v] - way->little * most_u);                            \
            if (ANY_NEGATIVE(signs)) {                                                                                \
                vec end[2 * n];                                                                                       \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) end[v] = i[p][v], end[n + v] = u[p][v];           \
                NAME(straighten)(n, state, end, way);                                                                 \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) u[p][v] = end[n + v];                             \
            }                                                                                                         \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                     \
                next[v] = i[p][v];                                                                                    \
                next[n + v] = u[p][v];                                                                                \
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

TARGET static void NAME(block)(int64_t n, const vec *g, const REAL *wires, const list *lists, const passage *ways,
                               const int32_t *order, int64_t count, const scaling *scales, REAL most_u,
                               const vec *from, int64_t stride, vec *to) {
    switch (n) {
        case 1: NAME(block1)(g, wires, lists, ways, order, count, scales, most_u, from, stride, to); break;
        case 2: NAME(block2)(g, wires, lists, ways, order, count, scales, most_u, from, stride, to); break;
#if WIDEST == 4
        case 4: NAME(block4)(g, wires, lists, ways, order, count, scales, most_u, from, stride, to); break;
#endif
        default: NAME(block3)(g, wires, lists, ways, order, count, scales, most_u, from, stride, to);
    }
}

/* Strips of columns, and the first vector of one. */
static inline int64_t NAME(vectors)(const struct lines *l) { return (l->columns + LANES - 1) / LANES; }
static inline int64_t NAME(strips)(const struct lines *l) { return (NAME(vectors)(l) + WIDEST - 1) / WIDEST; }
static inline int64_t NAME(first)(const struct lines *l, int64_t strip) {
    return strip * NAME(vectors)(l) / NAME(strips)(l);
}

static int64_t NAME(plan)(struct lines *l, double most_growth) {
    /* Over one wire u grows by 1 + R i / u at most, and i / u is below both the sum of the column's conductances and
     * 1 / R plus one cell. That bounds ln u over a block of rows for every pattern at once. */
    const double growth = log1p(fmin(l->wire * l->most_sum, 1.0 + l->wire * l->most_cell));
    const double most_rows = fmin(most_growth / growth, 1e6);
    const int64_t vectors = NAME(vectors)(l), strips = NAME(strips)(l), widest = (vectors + strips - 1) / strips;
    l->row_block = min3(LIST_ROWS, CACHED / (int64_t)sizeof(vec) / widest, (int64_t)most_rows) / 16 * 16;
    if (l->row_block < 16 || l->rows > INT32_MAX - LIST_ROWS) return 0;
    l->blocks = (l->rows + l->row_block - 1) / l->row_block;
    l->stretch = (int64_t)most_rows / l->row_block;
    l->growth = growth;
    fill_positions();
    return l->blocks * vectors * (l->row_block + 1) * (int64_t)sizeof(vec);
}

/* Conductances by block of rows, strip of columns and row, with a row of nothing at the end of each. */
TARGET static int64_t NAME(pack)(struct lines *l, int64_t begin, int64_t end) {
    const int64_t vectors = NAME(vectors)(l), strips = NAME(strips)(l);
    const REAL *g = l->g;
    for (int64_t block = begin; block < end; block++)
        for (int64_t strip = 0; strip < strips; strip++) {
            const int64_t first = NAME(first)(l, strip), next = NAME(first)(l, strip + 1);
            const int64_t room = (next - first) * LANES, left = l->columns - first * LANES;
            const size_t width = (size_t)(left < room ? left : room), rest = (size_t)room - width;
            REAL *own = (REAL *)l->packed + (block * vectors + first) * (l->row_block + 1) * LANES;
            for (int64_t row = block * l->row_block; row < (block + 1) * l->row_block; row++, own += room) {
                const REAL *values = g + row * l->columns + first * LANES;
                if (row < l->rows && rest == 0)
                    for (int64_t k = 0; k < room; k += LANES) memcpy(own + k, values + k, sizeof(vec));
                else if (row < l->rows) {
                    memcpy(own, values, width * sizeof(REAL));
                    memset(own + width, 0, rest * sizeof(REAL));
                }
            }
            memset(own, 0, (size_t)room * sizeof(REAL));
        }
    return 0;
}

/* Begin the state of a pattern: no current, and u = 1. */
TARGET static inline void NAME(begin)(const struct lines *l, vec *states, int64_t room, int64_t pattern) {
    for (int64_t strip = 0; strip < NAME(strips)(l); strip++) {
        const int64_t first = NAME(first)(l, strip), n = NAME(first)(l, strip + 1) - first;
        vec *state = states + 2 * (first * room + pattern * n);
        for (int64_t v = 0; v < n; v++) state[v] = (vec){0}, state[n + v] = (vec){0} + 1;
    }
}

TARGET static int64_t NAME(solve)(const struct lines *l, int64_t begin_batch, int64_t end_batch) {
    const int64_t vectors = NAME(vectors)(l), strips = NAME(strips)(l), row_block = l->row_block, blocks = l->blocks;
    const int64_t rows = l->rows, columns = l->columns, batch = l->batch, whole = end_batch - begin_batch;
    const int phases = (int)l->phases, compresses = compresses_bytes(l->most);
    const uint8_t *digits = l->digits;
    const double *weights = l->weights;
    const REAL wire = (REAL)l->wire, ground = (REAL)l->ground;
    const vec *packed = l->packed;
    REAL *result = l->result;
    /* Chunks of the batch of nearly the same length. */
    const int64_t chunks = (whole * phases + CHUNK - 1) / CHUNK, chunk = (whole + chunks - 1) / chunks;
    const int64_t room = chunk * phases + MOST_TOGETHER;

    vec *states = allocate((size_t)(2 * room * vectors) * sizeof(vec));
    vec *sums = allocate((size_t)(phases * vectors) * sizeof(vec));
    list *lists = allocate((size_t)room * sizeof(list));
    passage *ways = allocate((size_t)room * sizeof(passage));
    REAL *inverse = allocate((size_t)room * sizeof(REAL));
    int32_t *last = allocate((size_t)(2 * room + MOST_TOGETHER) * sizeof(int32_t)), *order = last + room;
    const int status = states && sums && lists && ways && inverse && last ? 0 : 1;
    if (!status) {
        REAL wires[256], worth[8] = {0};
        NAME(multiply_wires)(wire, wires);
        for (int bit = 0; bit < phases && weights; bit++) worth[bit] = (REAL)weights[bit];
        /* What every state is at the beginning. */
        vec blank[2 * WIDEST];
        for (int64_t begin = begin_batch; begin < end_batch; begin += chunk) {
            const int64_t here = end_batch - begin < chunk ? end_batch - begin : chunk, patterns = here * phases;
            for (int64_t t = 0; t < room; t++) last[t] = -1, inverse[t] = 1;
            /* Patterns of nothing fill up the last group. */
            for (int64_t t = 0; t < MOST_TOGETHER; t++) {
                const int64_t pattern = patterns + t;
                const scaling same = {{1}, {1}};
                order[t] = (int32_t)pattern;
                ways[pattern] = NAME(enlist)(NULL, 0, (uint8_t)row_block, 0, 0, &same, inverse + pattern,
                                             last + pattern, lists + pattern);
                NAME(begin)(l, states, room, pattern);
            }
            for (int64_t block = 0; block < blocks; block++) {
                const int64_t from = block * row_block, some = rows - from < row_block ? rows - from : row_block;
                const scaling scales = NAME(choose_scales)(block);
                /* What u is at most before this block. */
                const REAL most_u = 2 * (REAL)exp(l->growth * (double)(block % l->stretch * row_block));
                if (block && block % l->stretch == 0) {
                    for (int64_t strip = 0; strip < strips; strip++) {
                        const int64_t first = NAME(first)(l, strip), n = NAME(first)(l, strip + 1) - first;
                        vec *state = states + 2 * first * room;
                        for (int64_t t = 0; t < patterns + MOST_TOGETHER; t++, state += 2 * n)
                            for (int64_t v = 0; v < n; v++) {
                                state[v] = NAME(quotient)(state[v], state[n + v]);
                                state[n + v] = (vec){0} + 1;
                            }
                    }
                    for (int64_t t = 0; t < room; t++) inverse[t] = 1;
                }
                int32_t starts[LIST_ROWS + 2] = {0};
                for (int64_t t = 0, taken; t < here; t += taken) {
                    selection found;
                    taken = here - t < AT_ONCE / phases ? here - t : AT_ONCE / phases;
                    for (int64_t k = 0; k < taken; k++) {
                        const uint8_t *own = digits + (begin + t + k) * rows + from;
                        /* The digits of a pattern to come: each is read once, far from the one before. */
                        __builtin_prefetch(own + 4 * rows);
                        __builtin_prefetch(own + 4 * rows + 64);
                        NAME(select)(own, phases, some, compresses, &found, k * phases);
                    }
                    for (int64_t k = 0; k < taken * phases; k++) {
                        const int64_t pattern = t * phases + k;
                        const int32_t count = ways[pattern].count = found.counts[k];
                        starts[count + 1]++;
                        if (count)
                            ways[pattern] = NAME(enlist)(found.rows[k], count, (uint8_t)row_block, from, wire, &scales,
                                                         inverse + pattern, last + pattern, lists + pattern);
                        else if (block == 0)
                            NAME(begin)(l, states, room, pattern);
                    }
                }
                /* Patterns in order of their counts, so that those side by side end together, but for those without a
                 * selected cell, which nothing happens to. */
                const int64_t moved = patterns - starts[1];
                starts[1] = 0;
                for (int64_t count = 1; count < some; count++) starts[count + 1] += starts[count];
                for (int64_t t = 0; t < patterns; t++)
                    if (ways[t].count) order[MOST_TOGETHER + starts[ways[t].count]++] = (int32_t)t;
                for (int64_t strip = 0; strip < strips; strip++) {
                    const int64_t first = NAME(first)(l, strip), n = NAME(first)(l, strip + 1) - first;
                    const int64_t together = CHAINS / n < MOST_TOGETHER ? CHAINS / n : MOST_TOGETHER;
                    const int64_t groups = (moved + together - 1) / together;
                    const vec *own = packed + (block * vectors + first) * (row_block + 1);
                    vec *state = states + 2 * first * room;
                    /* The next strip lies beyond the second cache: each group fetches a little of it. */
                    const char *ahead = (const char *)(own + n * (row_block + 1));
                    const int64_t lines = n * (row_block + 1) * (int64_t)sizeof(vec) / 64 / (groups + 1) + 1;
                    const int32_t *members = order + MOST_TOGETHER + moved;
                    for (int64_t v = 0; v < n; v++) blank[v] = (vec){0}, blank[n + v] = (vec){0} + 1;
                    for (int64_t group = 0; group < groups; group++) {
                        members -= together;
                        const int64_t count = ways[members[together - 1]].count;
                        for (int64_t p = 0; p + 1 < together; p++)
                            for (int64_t k = ways[members[p]].count + PADDING; k < count; k++)
                                lists[members[p]].cells[k] = (uint16_t)(row_block << 8);
                        for (int64_t line = 0; line < lines; line++, ahead += 64) __builtin_prefetch(ahead);
                        NAME(block)(n, own, wires, lists, ways, members, count, &scales, most_u, block ? state : blank,
                                    block ? 2 * n : 0, state);
                    }
                }
            }
            for (int64_t t = 0; t < here; t++) {
                REAL tails[8];
                for (int bit = 0; bit < phases; bit++)
                    tails[bit] = wire * (REAL)(rows - last[t * phases + bit]) + ground;
                for (int64_t strip = 0; strip < strips; strip++) {
                    const int64_t first = NAME(first)(l, strip), n = NAME(first)(l, strip + 1) - first;
                    const vec *state = states + 2 * (first * room + t * phases * n);
                    for (int64_t v = 0; v < n; v++) {
                        vec sum = {0};
                        for (int bit = 0; bit < phases; bit++) {
                            const vec i = state[2 * n * bit + v], u = state[2 * n * bit + n + v];
                            const vec y = NAME(quotient)(i, tails[bit] * i + u);
                            sum = sum + worth[bit] * y;
                            sums[bit * vectors + first + v] = y;
                        }
                        if (weights) sums[first + v] = sum;
                    }
                }
                const size_t length = (size_t)columns * sizeof(REAL);
                if (weights)
                    memcpy(result + (begin + t) * columns, sums, length);
                else
                    for (int bit = 0; bit < phases; bit++)
                        memcpy(result + (bit * batch + begin + t) * columns, sums + bit * vectors, length);
            }
        }
    }
    free(states);
    free(sums);
    free(lists);
    free(ways);
    free(inverse);
    free(last);
    return status;
}

#undef CHAINS
#undef WIDEST
#include "bit_line_template_end.h"
#endif
