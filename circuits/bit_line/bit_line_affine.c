/* Currents of bit lines of affine cells, and of the same cells linearised once more where the affine line puts them.
 *
 * A cell passes i = g - a v + c psi(v), with v the voltage by which the bit line has moved, a the slope at v = 0 and
 * psi(v) = v^2 (w_0 + w_1 v + ...) one curve for all cells. Down the line, with u the voltage response of the wires
 * loaded by the slopes, u += m R q over m wires, q += a u and p += g u at a selected cell; the current is p / u and,
 * seen from any node, the line above is a source p / u beside a conductance q / u. Everything is positive: nothing
 * cancels. Blocks, lists, scales and what is done where q hardly changes are as in bit_line.c.
 *
 * For the second linearisation the curves c of the selected cells of each block of rows are summed on the way. Each
 * block then becomes one cell at the mean place of its own, with the g and a that take p / u and q / u at its beginning
 * to those at its end, and with the sum of the c. That ladder of a few cells has the currents of the affine line
 * exactly; it is linearised again at its own voltages. What it neglects is of second order in what v changes over a
 * block.
 */
#ifndef REAL

#include "bit_line_common.h"

/* The most rows of a block; patterns that are worked on together, in all and at once; vectors of columns side by side;
 * the most selected cells of a block that is not cut into parts, those of a part, and the parts, each with a scale of
 * its own. */
enum {
    LIST_ROWS = 144,
    CHUNK = 96,
    MOST_TOGETHER = 4,
    WIDEST = 2,
    WHOLE = 72,
    PART = 24,
    PARTS = LIST_ROWS / PART,
    DEGREE = 5
};

/* What is solved. most_sum and most_cell bound a column's summed slope and one slope. */
struct affine_lines {
    const float *cells[3];  /* conductances, slopes, curves: (rows, columns) */
    const double *weights;  /* the DEGREE + 1 coefficients of psi(v) / v^2 */
    int64_t rows, columns;
    const uint8_t *active;  /* (batch, rows) */
    int64_t batch;
    double wire, ground;    /* of one piece, and of the virtual ground, in series with the last piece */
    double most_sum, most_cell;
    int64_t row_block;      /* wanted rows of a block, at most LIST_ROWS; `plan` may shorten it */
    int64_t again;          /* linearise once more */
    void *result, *packed;  /* packed: aligned to 64 bytes */
    int64_t most;           /* limits the instruction set, see `available` */
    int64_t blocks, stretch; /* written by `plan`, as in bit_line.c */
    double growth;
};

#define REAL float
#define LENGTH int32_t
#ifdef VECTOR_UNITS
#define LANES 16
#define AFFINE_CHAINS 8
#define BENT_CHAINS 6
#define TARGET AVX512
#define ANY_NEGATIVE(x) (_mm512_movepi32_mask((__m512i)(x)) != 0)
#define NAME(x) PASTE(x, _avx512)
#include "bit_line_affine.c"
#define REAL float
#define LENGTH int32_t
#define LANES 8
#define AFFINE_CHAINS 4
#define BENT_CHAINS 4
#define TARGET AVX2
#define ANY_NEGATIVE(x) (_mm256_movemask_ps((__m256)(x)) != 0)
#define NAME(x) PASTE(x, _avx2)
#include "bit_line_affine.c"
#define REAL float
#define LENGTH int32_t
#endif
#define LANES 4
#define AFFINE_CHAINS 4
#define BENT_CHAINS 4
#define TARGET
#define ANY_NEGATIVE(x) (((x)[0] | (x)[1] | (x)[2] | (x)[3]) < 0)
#define NAME(x) PASTE(x, _plain)
#include "bit_line_affine.c"

#ifdef VECTOR_UNITS
#define CHOOSE(name, ...)                                 \
    switch (available(l->most)) {                         \
        case 2: return PASTE(name, _avx512)(__VA_ARGS__); \
        case 1: return PASTE(name, _avx2)(__VA_ARGS__);   \
        default: return PASTE(name, _plain)(__VA_ARGS__); \
    }
#else
#define CHOOSE(name, ...) return PASTE(name, _plain)(__VA_ARGS__);
#endif

/* Bytes that `packed` must have room for; 0 where the line grows too much or is too long. */
int64_t plan(struct affine_lines *l) { CHOOSE(plan, l) }

/* Copy blocks of rows first..last to `packed`. */
int64_t pack(struct affine_lines *l, int64_t first, int64_t last, int64_t thread) {
    (void)thread;
    CHOOSE(pack, l, first, last)
}

/* Solve patterns first..last of the batch, after all is packed; return how often memory ran out. */
int64_t solve(struct affine_lines *l, int64_t first, int64_t last, int64_t thread) {
    (void)thread;
    CHOOSE(solve, l, first, last)
}

#else /* one instruction set */

#include "bit_line_template.h"

/* Let the selected cells of one block of rows act on p, q and u, the 3 n vectors of each pattern. Arguments are as in
 * bit_line.c; a block of a strip holds its conductances, then its slopes, then, `plane` vectors apart each, its
 * curves. The lists of a pattern's blocks are side by side, `stride` in all. Where the line is linearised once more,
 * `kept` takes p / u, q / u and the sum of the curves, n vectors a pattern, `apart` vectors from one of the three to
 * the next. */
#define DEFINE_BLOCK(kind, n, chains, STEP, END)                                                                      \
    TARGET static void NAME(kind##n)(const vec *g, int64_t plane, const REAL *wires, const list *lists,               \
                                     int64_t stride, const passage *ways, const int32_t *order, int64_t count,        \
                                     const scaling *scales, REAL most_u, vec *states, vec *kept, int64_t apart) {     \
        enum { N = n, PATTERNS = chains / n };                                                                        \
        const vec zero = {0};                                                                                         \
        const list *own[PATTERNS];                                                                                    \
        vec p[PATTERNS][n], q[PATTERNS][n], u[PATTERNS][n], sum[PATTERNS][n];                                         \
        (void)N, (void)kept, (void)apart, (void)sum;                                                                  \
        _Pragma("GCC unroll 8") for (int t = 0; t < PATTERNS; t++) {                                                  \
            const vec *state = states + (size_t)order[t] * 3 * n;                                                     \
            const passage *way = ways + order[t];                                                                     \
            own[t] = lists + order[t] * stride;                                                                       \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                     \
                p[t][v] = state[v] * way->enter;                                                                      \
                q[t][v] = state[n + v] * way->enter;                                                                  \
                u[t][v] = state[2 * n + v] * way->enter;                                                              \
                sum[t][v] = zero;                                                                                     \
            }                                                                                                         \
            if (way->beyond > 0)                                                                                      \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) u[t][v] = u[t][v] + way->beyond * q[t][v];        \
        }                                                                                                             \
        int64_t k = 0;                                                                                                \
        for (int part = 0;; part++) {                                                                                 \
            const int64_t most = count > WHOLE ? PART * (part + 1) : count, stop = count < most ? count : most;       \
            for (; k < stop; k++) {                                                                                   \
                _Pragma("GCC unroll 8") for (int t = 0; t < PATTERNS; t++) {                                          \
                    const size_t cell = own[t]->cells[k];                                                             \
                    const REAL wire = wires[cell & 255];                                                              \
                    const vec *source = g + (cell >> 8) * n, *loss = source + plane;                                  \
                    const vec *bend = loss + plane;                                                                   \
                    (void)bend;                                                                                       \
                    _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) u[t][v] = u[t][v] + wire * q[t][v];           \
                    _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                             \
                        STEP                                                                                          \
                    }                                                                                                 \
                }                                                                                                     \
            }                                                                                                         \
            if (k == count) break;                                                                                    \
            _Pragma("GCC unroll 8") for (int t = 0; t < PATTERNS; t++) {                                              \
                const int32_t all = ways[order[t]].count;                                                             \
                const REAL factor = all > WHOLE && all > k ? scales->own[part + 1] * scales->inverse[part] : 1;       \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                 \
                    p[t][v] = p[t][v] * factor;                                                                       \
                    q[t][v] = q[t][v] * factor;                                                                       \
                    u[t][v] = u[t][v] * factor;                                                                       \
                }                                                                                                     \
            }                                                                                                         \
        }                                                                                                             \
        _Pragma("GCC unroll 8") for (int t = 0; t < PATTERNS; t++) {                                                  \
            const passage *way = ways + order[t];                                                                     \
            vec *state = states + (size_t)order[t] * 3 * n;                                                           \
            bits signs = {0};                                                                                         \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++)                                                       \
                signs |= (bits)(q[t][v] - way->through * state[n + v] - way->little * most_u);                        \
            if (ANY_NEGATIVE(signs)) {                                                                                \
                vec end[2 * n];                                                                                       \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) end[v] = q[t][v], end[n + v] = u[t][v];           \
                NAME(straighten)(n, state + n, end, way);                                                             \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) u[t][v] = end[n + v];                             \
            }                                                                                                         \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                     \
                state[v] = p[t][v];                                                                                   \
                state[n + v] = q[t][v];                                                                               \
                state[2 * n + v] = u[t][v];                                                                           \
                END                                                                                                   \
            }                                                                                                         \
        }                                                                                                             \
    }
#define AFFINE q[t][v] = q[t][v] + loss[v] * u[t][v], p[t][v] = p[t][v] + source[v] * u[t][v];
#define BENT AFFINE sum[t][v] = sum[t][v] + bend[v];
#define NOTHING
#define KEEP                                                                                                          \
    const vec share = NAME(quotient)(zero + 1, u[t][v]);                                                              \
    vec *place = kept + (size_t)order[t] * N + v;                                                                     \
    place[0] = p[t][v] * share;                                                                                       \
    place[apart] = q[t][v] * share;                                                                                   \
    place[2 * apart] = sum[t][v];
DEFINE_BLOCK(affine, 1, AFFINE_CHAINS / 2, AFFINE, NOTHING)
DEFINE_BLOCK(bent, 1, BENT_CHAINS / 2, BENT, KEEP)
DEFINE_BLOCK(affine, 2, AFFINE_CHAINS, AFFINE, NOTHING)
DEFINE_BLOCK(bent, 2, BENT_CHAINS, BENT, KEEP)
#undef NOTHING
#undef KEEP
#undef AFFINE
#undef BENT
#undef DEFINE_BLOCK

/* The current of one vector of columns of one pattern, linearised once more. kept: p / u, q / u and the sum of curves
 * at the end of each block, `apart` vectors from one of the three to the next, 3 times as much from block to block;
 * ways and halves: of each block, and R times the wires above its cell, room apart; cells: 4 vectors a block. */
TARGET static vec NAME(relinearised)(const vec *kept, int64_t apart, int64_t blocks, const passage *ways,
                                     const REAL *halves, int64_t room, REAL tail, const REAL *weights, vec *cells) {
    const vec zero = {0};
    vec p = zero, q = zero;
    /* The cell of each block; what lies above it and the cell itself are p and q there. */
    for (int64_t block = 0; block < blocks; block++) {
        const vec *end = kept + block * 3 * apart;
        const REAL above = halves[block * room], below = ways[block * room].wires - above;
        const vec down = NAME(quotient)(zero + 1, above * q + 1), up = NAME(quotient)(zero + 1, 1 - below * end[apart]);
        vec *own = cells + 4 * block;
        own[2] = end[0] * up;
        own[3] = end[apart] * up;
        own[0] = own[2] - p * down;
        own[1] = own[3] - q * down;
        p = end[0];
        q = end[apart];
    }
    /* The voltages, from virtual ground up, and the cells linearised there: source g + c (psi - v psi'), slope
     * a - c psi'. */
    vec voltage = zero;
    REAL wire = tail;
    for (int64_t block = blocks - 1; block >= 0; block--) {
        vec *own = cells + 4 * block;
        wire = wire + (ways[block * room].wires - halves[block * room]);
        voltage = NAME(quotient)(voltage + wire * own[2], wire * own[3] + 1);
        vec value = zero + weights[DEGREE], derivative = zero + (REAL)(DEGREE + 2) * weights[DEGREE];
#pragma GCC unroll 8
        for (int k = DEGREE - 1; k >= 0; k--) {
            value = value * voltage + weights[k];
            derivative = derivative * voltage + (REAL)(k + 2) * weights[k];
        }
        const vec bend = kept[(3 * block + 2) * apart] * voltage;
        own[0] = own[0] + (value - derivative) * bend * voltage;
        own[1] = own[1] - derivative * bend;
        wire = halves[block * room];
    }
    p = q = zero;
    wire = 0;
    for (int64_t block = 0; block < blocks; block++) {
        const vec down = NAME(quotient)(zero + 1, (wire + halves[block * room]) * q + 1);
        p = p * down + cells[4 * block];
        q = q * down + cells[4 * block + 1];
        wire = ways[block * room].wires - halves[block * room];
    }
    return NAME(quotient)(p, (wire + tail) * q + 1);
}

/* Strips of columns, and the first vector of one. */
static inline int64_t NAME(vectors)(const struct affine_lines *l) { return (l->columns + LANES - 1) / LANES; }
static inline int64_t NAME(strips)(const struct affine_lines *l) { return (NAME(vectors)(l) + WIDEST - 1) / WIDEST; }
static inline int64_t NAME(first)(const struct affine_lines *l, int64_t strip) {
    return strip * NAME(vectors)(l) / NAME(strips)(l);
}

/* What is packed of each cell, and how many vectors of a strip's width a block of it takes. */
static inline int64_t NAME(kinds)(const struct affine_lines *l) { return l->again ? 3 : 2; }
static inline int64_t NAME(height)(const struct affine_lines *l) { return NAME(kinds)(l) * (l->row_block + 1); }

static int64_t NAME(plan)(struct affine_lines *l) {
    /* As in bit_line.c, with slopes in place of conductances. The cells of whole blocks want little growth. */
    const double growth = log1p(fmin(l->wire * l->most_sum, 1.0 + l->wire * l->most_cell));
    const int64_t most_rows = (int64_t)fmin(60.0 / growth, 1e6), within = (int64_t)fmin(0.5 / growth, 1e6);
    const int64_t longest = (l->again ? within : most_rows) / 8 * 8;
    if (l->row_block > longest) l->row_block = longest;
    if (l->row_block < 8 || l->row_block > LIST_ROWS || l->rows > INT32_MAX - LIST_ROWS) return 0;
    l->blocks = (l->rows + l->row_block - 1) / l->row_block;
    l->stretch = most_rows / l->row_block;
    l->growth = growth;
    fill_positions();
    return l->blocks * NAME(height)(l) * NAME(vectors)(l) * (int64_t)sizeof(vec);
}

/* Arrays by strip of columns, block of rows, kind and row, with a row of nothing at the end of each. */
static int64_t NAME(pack)(struct affine_lines *l, int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++)
        for (int64_t strip = 0; strip < NAME(strips)(l); strip++) {
            const int64_t first = NAME(first)(l, strip), n = NAME(first)(l, strip + 1) - first;
            const int64_t left = l->columns - first * LANES;
            const size_t width = (size_t)(left < n * LANES ? left : n * LANES);
            vec *own = (vec *)l->packed + (first * l->blocks + block * n) * NAME(height)(l);
            memset(own, 0, (size_t)(n * NAME(height)(l)) * sizeof(vec));
            for (int64_t kind = 0; kind < NAME(kinds)(l); kind++)
                for (int64_t row = block * l->row_block; row < (block + 1) * l->row_block && row < l->rows; row++)
                    memcpy(own + (kind * (l->row_block + 1) + row % l->row_block) * n,
                           l->cells[kind] + row * l->columns + first * LANES, width * sizeof(REAL));
        }
    return 0;
}

TARGET static int64_t NAME(solve)(const struct affine_lines *l, int64_t begin_batch, int64_t end_batch) {
    const int64_t vectors = NAME(vectors)(l), strips = NAME(strips)(l), widest = (vectors + strips - 1) / strips;
    const int64_t row_block = l->row_block, blocks = l->blocks, rows = l->rows, columns = l->columns;
    const int64_t whole = end_batch - begin_batch;
    const int again = (int)l->again;
    const uint8_t *active = l->active;
    const REAL wire = (REAL)l->wire, ground = (REAL)l->ground;
    const int compresses = compresses_bytes(l->most);
    const vec *packed = l->packed;
    float *result = l->result;
    const int64_t chunks = (whole + CHUNK - 1) / CHUNK, chunk = (whole + chunks - 1) / chunks;
    const int64_t room = chunk + MOST_TOGETHER;

    vec *states = allocate((size_t)(room * 3 * widest) * sizeof(vec));
    vec *kept = allocate((size_t)(again ? blocks * 3 * room * widest : 1) * sizeof(vec));
    vec *cells = allocate((size_t)(4 * blocks) * sizeof(vec));
    list *lists = allocate((size_t)(room * blocks) * sizeof(list));
    passage *ways = allocate((size_t)(room * blocks) * sizeof(passage));
    REAL *halves = allocate((size_t)(room * blocks) * sizeof(REAL)), *inverse = allocate((size_t)room * sizeof(REAL));
    int32_t *orders = allocate((size_t)(blocks + 1) * (size_t)room * sizeof(int32_t)), *last = orders + blocks * room;
    const int status = states && kept && cells && lists && ways && halves && inverse && orders ? 0 : 1;
    if (!status) {
        REAL psi[DEGREE + 1], wires[256];
        for (int k = 0; k <= DEGREE; k++) psi[k] = (REAL)l->weights[k];
        NAME(multiply_wires)(wire, wires);
        for (int64_t begin = begin_batch; begin < end_batch; begin += chunk) {
            const int64_t patterns = end_batch - begin < chunk ? end_batch - begin : chunk;
            const int64_t all = patterns + MOST_TOGETHER;
            for (int64_t t = 0; t < room; t++) last[t] = -1;
            for (int64_t block = 0; block < blocks; block++) {
                const int64_t top = block * row_block, some = rows - top < row_block ? rows - top : row_block;
                passage *own_ways = ways + block * room;
                int32_t *order = orders + block * room;
                int32_t starts[LIST_ROWS + 2] = {0};
                const scaling scales = NAME(choose_scales)(block);
                /* Patterns of nothing, behind the others, fill up the last group. */
                selection found;
                for (int64_t t = 0; t < all; t++) {
                    const int32_t before = last[t];
                    const uint8_t *chosen = found.rows[t % AT_ONCE];
                    for (int64_t k = t; t % AT_ONCE == 0 && k < t + AT_ONCE && k < patterns; k++) {
                        const uint8_t *own = active + (begin + k) * rows + top;
                        __builtin_prefetch(own + 4 * rows);
                        NAME(select)(own, 1, some, compresses, &found, k - t);
                        starts[found.counts[k - t] + 1]++;
                    }
                    const int32_t count = t < patterns ? found.counts[t % AT_ONCE] : 0;
                    if (block % l->stretch == 0) inverse[t] = 1;
                    own_ways[t] = NAME(enlist)(chosen, count, (uint8_t)row_block, top, wire, &scales,
                                               inverse + t, last + t, lists + t * blocks + block);
                    if (again) {
                        int32_t places = 0;
                        for (int64_t k = 0; k < count; k++) places += chosen[k];
                        halves[block * room + t] =
                            count ? wire * ((REAL)places / (REAL)count + (REAL)((int32_t)top - before)) : 0;
                    }
                }
                /* In order of their counts, after the patterns of nothing; the lists of those side by side get the
                 * length of the longest. */
                for (int64_t t = 0; t < MOST_TOGETHER; t++) order[t] = (int32_t)(patterns + t);
                for (int64_t count = 0; count < some; count++) starts[count + 1] += starts[count];
                for (int64_t t = 0; t < patterns; t++) order[MOST_TOGETHER + starts[own_ways[t].count]++] = (int32_t)t;
                for (int64_t t = 0; t < all; t++) {
                    const int64_t later = t < patterns ? t + MOST_TOGETHER - 1 : all - 1;
                    list *own = lists + order[t] * blocks + block;
                    for (int64_t k = own_ways[order[t]].count + PADDING; k < own_ways[order[later]].count; k++)
                        own->cells[k] = (uint16_t)(row_block << 8);
                }
            }
            for (int64_t strip = 0; strip < strips; strip++) {
                const int64_t first = NAME(first)(l, strip), n = NAME(first)(l, strip + 1) - first;
                const int64_t width = ((first + n) * LANES < columns ? (first + n) * LANES : columns) - first * LANES;
                const int64_t together = (again ? BENT_CHAINS : AFFINE_CHAINS) / 2;
                for (int64_t block = 0; block < blocks; block++) {
                    const vec *own = packed + (first * blocks + block * n) * NAME(height)(l);
                    const int32_t *order = orders + block * room;
                    const passage *own_ways = ways + block * room;
                    vec *ends = kept + (again ? 3 * block * room * n : 0);
                    const scaling scales = NAME(choose_scales)(block);
                    const REAL most_u = 2 * (REAL)exp(l->growth * (double)(block % l->stretch * row_block));
                    if (block == 0) memset(states, 0, (size_t)(all * 3 * n) * sizeof(vec));
                    if (block % l->stretch == 0)
                        for (int64_t t = 0; t < all; t++)
                            for (int64_t v = 0; v < n; v++) {
                                vec *state = states + t * 3 * n + v;
                                const vec one = (vec){0} + 1, share = block ? NAME(quotient)(one, state[2 * n]) : one;
                                state[0] = state[0] * share;
                                state[n] = state[n] * share;
                                state[2 * n] = one;
                            }
                    const int32_t *members = order + MOST_TOGETHER + patterns;
                    for (int64_t done = 0; done < patterns; done += together) {
                        members -= together;
                        const int64_t count = own_ways[members[together - 1]].count;
#define CALL(block_function)                                                                                          \
    block_function(own, (row_block + 1) * n, wires, lists + block, blocks, own_ways, members, count, &scales, most_u, \
                   states, ends, room * n)
                        if (!again && n == 2) CALL(NAME(affine2));
                        else if (!again) CALL(NAME(affine1));
                        else if (n == 2) CALL(NAME(bent2));
                        else CALL(NAME(bent1));
#undef CALL
                    }
                }
                for (int64_t t = 0; t < patterns; t++) {
                    const vec *own = states + t * 3 * n;
                    const REAL tail = wire * (REAL)(rows - last[t]) + ground;
                    vec currents[WIDEST];
                    for (int64_t v = 0; v < n; v++) {
                        const vec *ends = kept + (again ? t * n + v : 0);
                        currents[v] = again ? NAME(relinearised)(ends, room * n, blocks, ways + t, halves + t, room,
                                                                 tail, psi, cells)
                                            : NAME(quotient)(own[v], tail * own[n + v] + own[2 * n + v]);
                    }
                    memcpy(result + (begin + t) * columns + first * LANES, currents, (size_t)width * sizeof(REAL));
                }
            }
        }
    }
    free(states);
    free(kept);
    free(cells);
    free(lists);
    free(ways);
    free(halves);
    free(inverse);
    free(orders);
    return status;
}

#undef AFFINE_CHAINS
#undef BENT_CHAINS
#include "bit_line_template_end.h"
#endif
