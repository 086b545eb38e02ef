/* Currents of bit lines of affine cells, and of the same cells linearised once more where the affine line puts them.
 *
 * A cell passes i = g - a v + c psi(v), with v the voltage by which the bit line has moved, a the slope at v = 0 and
 * psi(v) = v^2 (w_0 + w_1 v + ...) one curve for all cells. Down the line, with u the voltage response of the wires
 * loaded by the slopes, u += m R q over m wires, q += a u and p += g u at a selected cell; the current is p / u and,
 * seen from any node, the line above is a source p / u beside a conductance q / u. Everything is positive: nothing
 * cancels. Blocks, scales and what is done where q hardly changes are as in bit_line.c.
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
 * the selected cells of a part of a block, and the parts, each with a scale of its own. */
enum { LIST_ROWS = 96, CHUNK = 96, MOST_TOGETHER = 4, WIDEST = 2, PART = 24, PARTS = LIST_ROWS / PART, DEGREE = 5 };

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
    int64_t blocks;         /* written by `plan` */
};

#define REAL float
#define LENGTH int32_t
#ifdef VECTOR_UNITS
#define LANES 16
#define AFFINE_CHAINS 8
#define BENT_CHAINS 6
#define TARGET AVX512
#define SELECT select_rows_avx512
#define NAME(x) PASTE(x, _avx512)
#include "bit_line_affine.c"
#define REAL float
#define LENGTH int32_t
#define LANES 8
#define AFFINE_CHAINS 4
#define BENT_CHAINS 4
#define TARGET AVX2
#define SELECT select_rows
#define NAME(x) PASTE(x, _avx2)
#include "bit_line_affine.c"
#define REAL float
#define LENGTH int32_t
#endif
#define LANES 4
#define AFFINE_CHAINS 4
#define BENT_CHAINS 4
#define TARGET
#define SELECT select_rows
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

/* Let the selected cells of one block of rows act on p / u and q / u, the 2 n vectors of each pattern; sum their curves
 * where `bent` is wanted. Arguments are as in bit_line.c; a block of a strip holds its conductances, then its slopes,
 * then, `plane` bytes apart each, its curves. The lists of a pattern's blocks are side by side, `stride` in all. */
#define DEFINE_BLOCK(kind, n, chains, STEP, END)                                                                      \
    TARGET static void NAME(kind##n)(const char *g, int64_t plane, vec *sums, const list *lists, int64_t stride,      \
                                     const int32_t *counts, const REAL *wires, const int32_t *order, int64_t count,   \
                                     const REAL *scales, vec *states) {                                               \
        enum { N = n, PATTERNS = chains / n };                                                                        \
        const vec zero = {0};                                                                                         \
        const list *own[PATTERNS];                                                                                    \
        vec p[PATTERNS][n], q[PATTERNS][n], u[PATTERNS][n], sum[PATTERNS][n];                                         \
        (void)sums, (void)sum;                                                                                        \
        _Pragma("GCC unroll 8") for (int t = 0; t < PATTERNS; t++) {                                                  \
            const vec *state = states + (size_t)order[t] * 2 * n;                                                     \
            own[t] = lists + order[t] * stride;                                                                       \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                     \
                p[t][v] = state[v] * scales[0];                                                                       \
                q[t][v] = state[n + v] * scales[0];                                                                   \
                u[t][v] = zero + scales[0];                                                                           \
                sum[t][v] = zero;                                                                                     \
            }                                                                                                         \
        }                                                                                                             \
        int64_t k = 0;                                                                                                \
        for (int part = 0;; part++) {                                                                                 \
            for (const int64_t stop = count < PART * (part + 1) ? count : PART * (part + 1); k < stop; k++) {         \
                _Pragma("GCC unroll 8") for (int t = 0; t < PATTERNS; t++) {                                          \
                    const REAL wire = own[t]->wire[k];                                                                \
                    const char *place = g + own[t]->place[k];                                                         \
                    const vec *source = (const vec *)place, *loss = (const vec *)(place + plane);                     \
                    const vec *bend = (const vec *)(place + 2 * plane);                                               \
                    (void)bend;                                                                                       \
                    _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) u[t][v] = u[t][v] + wire * q[t][v];           \
                    _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                             \
                        STEP                                                                                          \
                    }                                                                                                 \
                }                                                                                                     \
            }                                                                                                         \
            if (k == count) break;                                                                                    \
            _Pragma("GCC unroll 8") for (int t = 0; t < PATTERNS; t++) {                                              \
                const REAL factor = k < counts[order[t]] ? scales[part + 1] / scales[part] : 1;                       \
                _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                 \
                    p[t][v] = p[t][v] * factor;                                                                       \
                    q[t][v] = q[t][v] * factor;                                                                       \
                    u[t][v] = u[t][v] * factor;                                                                       \
                }                                                                                                     \
            }                                                                                                         \
        }                                                                                                             \
        _Pragma("GCC unroll 8") for (int t = 0; t < PATTERNS; t++) {                                                  \
            const int32_t all = counts[order[t]];                                                                     \
            const REAL scale = scales[all ? (all - 1) / PART : 0];                                                    \
            const REAL half = (REAL)0.5 * wires[order[t]];                                                            \
            const REAL little = NAME(half_spacing) * (REAL)all / wires[order[t]];                                     \
            vec *state = states + (size_t)order[t] * 2 * n;                                                           \
            _Pragma("GCC unroll 8") for (int v = 0; v < n; v++) {                                                     \
                const vec before = scale * state[n + v];                                                              \
                const bits steady = q[t][v] - before < little;                                                        \
                const vec by_ends = half * (q[t][v] + before) + scale;                                                \
                const vec end = (vec)((steady & (bits)by_ends) | (~steady & (bits)u[t][v]));                          \
                const vec share = NAME(quotient)(zero + 1, end);                                                      \
                state[v] = p[t][v] * share;                                                                           \
                state[n + v] = q[t][v] * share;                                                                       \
                END                                                                                                   \
            }                                                                                                         \
        }                                                                                                             \
    }
#define AFFINE q[t][v] = q[t][v] + loss[v] * u[t][v], p[t][v] = p[t][v] + source[v] * u[t][v];
#define BENT AFFINE sum[t][v] = sum[t][v] + bend[v];
#define NOTHING
#define KEEP sums[(size_t)order[t] * N + v] = sum[t][v];
DEFINE_BLOCK(affine, 1, AFFINE_CHAINS / 2, AFFINE, NOTHING)
DEFINE_BLOCK(affine, 2, AFFINE_CHAINS, AFFINE, NOTHING)
DEFINE_BLOCK(bent, 1, BENT_CHAINS / 2, BENT, KEEP)
DEFINE_BLOCK(bent, 2, BENT_CHAINS, BENT, KEEP)
#undef NOTHING
#undef KEEP
#undef AFFINE
#undef BENT
#undef DEFINE_BLOCK

/* The current of one vector of columns of one pattern, linearised once more. kept: p / u, q / u and the sum of curves
 * at the end of each block, `apart` vectors from one of the three to the next, 3 times as much from block to block;
 * wires and halves: R times the wires of each block and those above its cell, room apart; cells: 4 vectors a block. */
TARGET static vec NAME(relinearised)(const vec *kept, int64_t apart, int64_t blocks, const REAL *wires,
                                     const REAL *halves, int64_t room, REAL tail, const REAL *weights, vec *cells) {
    const vec zero = {0};
    vec p = zero, q = zero;
    /* The cell of each block; what lies above it and the cell itself are p and q there. */
    for (int64_t block = 0; block < blocks; block++) {
        const vec *end = kept + block * 3 * apart;
        const REAL above = halves[block * room], below = wires[block * room] - above;
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
        wire = wire + (wires[block * room] - halves[block * room]);
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
        wire = wires[block * room] - halves[block * room];
    }
    return NAME(quotient)(p, (wire + tail) * q + 1);
}

/* Strips of columns, the most vectors of one, and how wide packed rows are. */
typedef struct {
    int64_t vectors, strips, widest, kinds, row_width, row_bytes, plane, strip_size;
} NAME(shape);

static inline NAME(shape) NAME(shape_of)(const struct affine_lines *l) {
    NAME(shape) s;
    s.vectors = (l->columns + LANES - 1) / LANES;
    s.strips = (s.vectors + WIDEST - 1) / WIDEST;
    s.widest = (s.vectors + s.strips - 1) / s.strips;
    s.kinds = l->again ? 3 : 2;
    s.row_width = s.widest * LANES;
    s.row_bytes = s.row_width * (int64_t)sizeof(REAL);
    s.plane = (l->row_block + 1) * s.row_width;
    s.strip_size = l->blocks * s.kinds * s.plane;
    return s;
}

static int64_t NAME(plan)(struct affine_lines *l) {
    /* As in bit_line.c, with slopes in place of conductances. The cells of whole blocks want little growth. */
    const double growth = log1p(fmin(l->wire * l->most_sum, 1.0 + l->wire * l->most_cell));
    const int64_t within = (int64_t)fmin((l->again ? 0.5 : 60.0) / growth, 1e6) / 8 * 8;
    if (l->row_block > within) l->row_block = within;
    if (l->row_block < 8 || l->row_block > LIST_ROWS || l->rows > INT32_MAX - LIST_ROWS) return 0;
    l->blocks = (l->rows + l->row_block - 1) / l->row_block;
    fill_positions();
    const NAME(shape) s = NAME(shape_of)(l);
    return s.strips * s.strip_size * (int64_t)sizeof(REAL);
}

/* Arrays by strip of columns, block of rows, kind and row, with a row of nothing at the end of each. */
static int64_t NAME(pack)(struct affine_lines *l, int64_t begin, int64_t end) {
    const NAME(shape) s = NAME(shape_of)(l);
    for (int64_t block = begin; block < end; block++)
        for (int64_t strip = 0; strip < s.strips; strip++) {
            const int64_t first = strip * s.vectors / s.strips * LANES;
            const int64_t next = (strip + 1) * s.vectors / s.strips * LANES;
            const size_t width = (size_t)((next < l->columns ? next : l->columns) - first);
            REAL *own = (REAL *)l->packed + strip * s.strip_size + block * s.kinds * s.plane;
            memset(own, 0, (size_t)(s.kinds * s.plane) * sizeof(REAL));
            for (int64_t kind = 0; kind < s.kinds; kind++)
                for (int64_t row = block * l->row_block; row < (block + 1) * l->row_block && row < l->rows; row++)
                    memcpy(own + kind * s.plane + row % l->row_block * s.row_width,
                           l->cells[kind] + row * l->columns + first, width * sizeof(REAL));
        }
    return 0;
}

TARGET static int64_t NAME(solve)(const struct affine_lines *l, int64_t begin_batch, int64_t end_batch) {
    const NAME(shape) shape = NAME(shape_of)(l);
    const int64_t vectors = shape.vectors, strips = shape.strips, widest = shape.widest, kinds = shape.kinds;
    const int64_t plane = shape.plane, strip_size = shape.strip_size, row_bytes = shape.row_bytes;
    const int64_t plane_bytes = plane * (int64_t)sizeof(REAL), row_block = l->row_block, blocks = l->blocks;
    const int64_t rows = l->rows, columns = l->columns;
    const int again = (int)l->again;
    const uint8_t *active = l->active;
    const double wire = l->wire, ground = l->ground;
    const int compresses = compresses_bytes(l->most);
    const REAL *packed = l->packed;
    float *result = l->result;
    const int64_t chunk = end_batch - begin_batch < CHUNK ? end_batch - begin_batch : CHUNK;
    const int64_t room = chunk + MOST_TOGETHER;

    vec *states = allocate((size_t)(room * 2 * widest) * sizeof(vec));
    vec *kept = allocate((size_t)(again ? blocks * 3 * room * widest : 1) * sizeof(vec));
    vec *cells = allocate((size_t)(4 * blocks) * sizeof(vec));
    list *lists = allocate((size_t)(room * blocks) * sizeof(list));
    REAL *wires = allocate((size_t)(2 * room * blocks) * sizeof(REAL)), *halves = wires + room * blocks;
    int32_t *counts = allocate((size_t)(2 * blocks + 1) * (size_t)room * sizeof(int32_t));
    int32_t *orders = counts + blocks * room, *last = orders + blocks * room;
    const int status = states && kept && cells && lists && wires && counts ? 0 : 1;
    if (!status) {
        REAL psi[DEGREE + 1];
        for (int k = 0; k <= DEGREE; k++) psi[k] = (REAL)l->weights[k];
        const LENGTH nothing = (LENGTH)(row_block * row_bytes);
        for (int64_t begin = begin_batch; begin < end_batch; begin += chunk) {
            const int64_t patterns = end_batch - begin < chunk ? end_batch - begin : chunk;
            memset(counts, 0, (size_t)(2 * blocks + 1) * (size_t)room * sizeof(int32_t));
            memset(wires, 0, (size_t)(2 * room * blocks) * sizeof(REAL));
            for (int64_t block = 0; block < blocks; block++) {
                const int64_t top = block * row_block, some = rows - top < row_block ? rows - top : row_block;
                int32_t *own_counts = counts + block * room, *order = orders + block * room;
                int32_t starts[LIST_ROWS + 2] = {0};
                for (int64_t t = 0; t < patterns; t++) {
                    const uint8_t *own = active + (begin + t) * rows + top;
                    __builtin_prefetch(own + 4 * rows);
                    own_counts[t] = NAME(select)(own, 0, top, some, row_bytes, (REAL)wire, lists + t * blocks + block,
                                                 last + t, wires + block * room + t,
                                                 again ? halves + block * room + t : NULL, compresses);
                    starts[own_counts[t] + 1]++;
                }
                /* In order of their counts, after patterns of nothing that fill up the last group; the lists of those
                 * side by side get the length of the longest. */
                for (int64_t t = 0; t < MOST_TOGETHER; t++) order[t] = (int32_t)(patterns + t);
                for (int64_t count = 0; count < some; count++) starts[count + 1] += starts[count];
                for (int64_t t = 0; t < patterns; t++) order[MOST_TOGETHER + starts[own_counts[t]]++] = (int32_t)t;
                for (int64_t t = 0; t < patterns + MOST_TOGETHER; t++) {
                    const int64_t later = t < patterns ? t + MOST_TOGETHER - 1 : patterns + MOST_TOGETHER - 1;
                    list *own = lists + order[t] * blocks + block;
                    for (int64_t k = own_counts[order[t]]; k < own_counts[order[later]]; k++)
                        own->place[k] = nothing, own->wire[k] = 0;
                }
            }
            for (int64_t strip = 0; strip < strips; strip++) {
                const int64_t first = strip * vectors / strips, n = (strip + 1) * vectors / strips - first;
                const int64_t width = ((first + n) * LANES < columns ? (first + n) * LANES : columns) - first * LANES;
                const int64_t together = (again ? BENT_CHAINS : AFFINE_CHAINS) / 2;
                memset(states, 0, (size_t)(room * 2 * widest) * sizeof(vec));
                for (int64_t block = 0; block < blocks; block++) {
                    const char *own = (const char *)(packed + strip * strip_size + block * kinds * plane);
                    const int32_t *own_counts = counts + block * room, *order = orders + block * room;
                    const REAL *own_wires = wires + block * room;
                    vec *sums = kept + (again ? (3 * block + 2) * room * n : 0);
                    REAL scales[PARTS];
                    NAME(choose_scales)(block, PARTS, scales);
                    const int32_t *members = order + MOST_TOGETHER + patterns;
                    for (int64_t done = 0; done < patterns; done += together) {
                        members -= together;
                        const int64_t count = own_counts[members[together - 1]];
#define CALL(block_function) \
    block_function(own, plane_bytes, sums, lists + block, blocks, own_counts, own_wires, members, count, scales, states)
                        if (!again && n == 2) CALL(NAME(affine2));
                        else if (!again) CALL(NAME(affine1));
                        else if (n == 2) CALL(NAME(bent2));
                        else CALL(NAME(bent1));
#undef CALL
                    }
                    if (again)
                        for (int64_t t = 0; t < patterns; t++) {
                            const vec *state = states + t * 2 * n;
                            memcpy(kept + (3 * block * room + t) * n, state, (size_t)n * sizeof(vec));
                            memcpy(kept + ((3 * block + 1) * room + t) * n, state + n, (size_t)n * sizeof(vec));
                        }
                }
                for (int64_t t = 0; t < patterns; t++) {
                    const vec *own = states + t * 2 * n;
                    const REAL tail = (REAL)wire * (REAL)(rows - last[t]) + (REAL)ground;
                    vec currents[WIDEST];
                    for (int64_t v = 0; v < n; v++) {
                        const vec *ends = kept + (again ? t * n + v : 0);
                        currents[v] = again ? NAME(relinearised)(ends, room * n, blocks, wires + t, halves + t, room,
                                                                 tail, psi, cells)
                                            : NAME(quotient)(own[v], tail * own[n + v] + 1);
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
    free(wires);
    free(counts);
    return status;
}

#undef AFFINE_CHAINS
#undef BENT_CHAINS
#include "bit_line_template_end.h"
#endif
