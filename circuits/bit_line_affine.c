/* Currents of bit lines of affine cells, and of the same cells linearised once more where the affine line puts them.
 *
 * A cell passes i = g - a v + c psi(v), with v the voltage by which the bit line has moved, a the slope at v = 0 and
 * psi(v) = v^2 (w_0 + w_1 v + ...) one curve for all cells. Down the line, with u the voltage response of the wires
 * loaded by the slopes, q += a u, p += g u at a selected cell, u += m R q over m wires; the current is p / u and, seen
 * from any node, the line above is a source p / u beside a conductance q / u. Everything is positive: nothing cancels.
 * d = u - s is kept for u as in bit_line.c.
 *
 * For the second linearisation the voltages are found backwards, block by block of rows, from p, q and u at the ends of
 * the blocks (implicit midpoint rule). Inside a block v is taken as constant: the error that the linearisation leaves
 * is of second order in what v changes over a block, about a twentieth of its range.
 */
#ifndef REAL

#include "bit_line_common.h"

enum { TILE = 16, CHUNK = 256, DEGREE = 5 };

#if defined(__x86_64__) && defined(__GNUC__)
#define REAL float
#define LANES 16
#define VECTORS 4
#define PART 4
#define TARGET AVX512
#define NAME(x) PASTE(x, _avx512)
#include "bit_line_affine.c"
#define REAL float
#define LANES 8
#define VECTORS 4
#define PART 4
#define TARGET AVX2
#define NAME(x) PASTE(x, _avx2)
#include "bit_line_affine.c"
#endif
#define REAL float
#define LANES 4
#define VECTORS 4
#define PART 4
#define TARGET
#define NAME(x) PASTE(x, _plain)
#include "bit_line_affine.c"

#define ARGUMENTS                                                                                                    \
    g, slope, curve, weights, rows, columns, active, batch, wire, most_sum, most_cell, row_block, again, result

/* g, slope and curve: shape (rows, columns); weights: the DEGREE + 1 coefficients of psi(v) / v^2. most_sum and
 * most_cell bound a column's summed slope and one slope. row_block: rows of a block, a multiple of 8. again: linearise
 * once more. Return 0, 1 without memory, or 2 where blocks are too coarse for the line or its growth. */
int solve_affine(const float *g, const float *slope, const float *curve, const double *weights, int64_t rows,
                 int64_t columns, const uint8_t *active, int64_t batch, double wire, double most_sum, double most_cell,
                 int64_t row_block, int again, float *result, int most) {
#if defined(__x86_64__) && defined(__GNUC__)
    switch (available(most)) {
        case 2: return solve_avx512(ARGUMENTS);
        case 1: return solve_avx2(ARGUMENTS);
    }
#endif
    (void)most;
    return solve_plain(ARGUMENTS);
}

#else /* one instruction set */

#define WIDTH (LANES * VECTORS)
typedef REAL NAME(vec) __attribute__((vector_size(LANES * sizeof(REAL)), may_alias));
#define vec NAME(vec)

/* State of one pattern: VECTORS vectors each of p, q and d. */
TARGET static inline void NAME(block)(const REAL *g, const REAL *slope, const uint32_t *cells, int64_t count,
                                      const REAL *wires, REAL factor, REAL scale, vec *state) {
    vec p[VECTORS], q[VECTORS], d[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++)
        p[v] = state[v] * factor, q[v] = state[VECTORS + v] * factor, d[v] = state[2 * VECTORS + v] * factor;
    for (int64_t k = 0; k < count; k++) {
        const size_t row = (size_t)(cells[k] >> 16) * WIDTH;
        const vec *source = (const vec *)(g + row), *loss = (const vec *)(slope + row);
        const REAL wire = wires[cells[k] & 0xffff];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            d[v] = d[v] + wire * q[v];
            const vec u = d[v] + scale;
            q[v] = q[v] + loss[v] * u;
            p[v] = p[v] + source[v] * u;
        }
    }
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) state[v] = p[v], state[VECTORS + v] = q[v], state[2 * VECTORS + v] = d[v];
}

/* The same with cells linearised at the block's voltages: source g + c at, slope a - c by. As many vectors at a time
 * as the registers hold with two more arrays in them. */
TARGET static inline void NAME(curved)(const REAL *g, const REAL *slope, const REAL *curve, const vec *at,
                                       const uint32_t *cells, int64_t count, const REAL *wires, REAL factor, REAL scale,
                                       vec *state) {
    for (int part = 0; part < VECTORS; part += PART) {
        vec p[PART], q[PART], d[PART], gain[PART], by[PART];
        vec *ps = state + part, *qs = ps + VECTORS, *ds = qs + VECTORS;
#pragma GCC unroll 8
        for (int v = 0; v < PART; v++) {
            p[v] = ps[v] * factor, q[v] = qs[v] * factor, d[v] = ds[v] * factor;
            gain[v] = at[part + v], by[v] = at[VECTORS + part + v];
        }
        for (int64_t k = 0; k < count; k++) {
            const size_t row = (size_t)(cells[k] >> 16) * WIDTH + (size_t)part * LANES;
            const vec *source = (const vec *)(g + row), *loss = (const vec *)(slope + row);
            const vec *bend = (const vec *)(curve + row);
            const REAL wire = wires[cells[k] & 0xffff];
#pragma GCC unroll 8
            for (int v = 0; v < PART; v++) {
                d[v] = d[v] + wire * q[v];
                const vec u = d[v] + scale;
                q[v] = q[v] + (loss[v] - bend[v] * by[v]) * u;
                p[v] = p[v] + (source[v] + bend[v] * gain[v]) * u;
            }
        }
#pragma GCC unroll 8
        for (int v = 0; v < PART; v++) ps[v] = p[v], qs[v] = q[v], ds[v] = d[v];
    }
}

/* Bring u back to 1. */
TARGET static inline void NAME(divide)(vec *state, REAL scale) {
    const vec zero = {0};
    for (int v = 0; v < VECTORS; v++) {
        const vec share = 1 / (state[2 * VECTORS + v] + scale);
        state[v] = state[v] * share;
        state[VECTORS + v] = state[VECTORS + v] * share;
        state[2 * VECTORS + v] = zero;
    }
}

/* Replace the states p, q, u kept at the ends of the blocks of one pattern by what the cells of each block need for
 * their second linearisation: psi(v) - v psi'(v) and psi'(v) at the voltage v in the middle of the block. From the
 * middle of one block to that of the next, the end of the first is the midpoint. */
TARGET static void NAME(backwards)(vec *kept, int64_t blocks, REAL wires_of_block, REAL wires_of_last,
                                   const REAL *weights) {
    const vec nothing = {0};
    vec below[VECTORS];
    for (int v = 0; v < VECTORS; v++) below[v] = nothing;
    for (int64_t block = blocks - 1; block >= 0; block--) {
        vec *own = kept + block * 3 * VECTORS;
        const REAL half = (REAL)0.5 * (block + 1 == blocks ? (REAL)0.5 * wires_of_last : wires_of_block);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            const vec p = own[v], q = own[VECTORS + v], u = own[2 * VECTORS + v];
            below[v] = (below[v] * (u - half * q) + (half + half) * p) / (u + half * q);
            own[v] = below[v];
        }
    }
    for (int64_t block = 0; block < blocks; block++) {
        vec *own = kept + block * 3 * VECTORS;
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            const vec middle = own[v];
            vec value = nothing + weights[DEGREE], derivative = nothing + (REAL)(DEGREE + 2) * weights[DEGREE];
#pragma GCC unroll 8
            for (int n = DEGREE - 1; n >= 0; n--) {
                value = value * middle + weights[n];
                derivative = derivative * middle + (REAL)(n + 2) * weights[n];
            }
            own[v] = (value - derivative) * middle * middle;
            own[VECTORS + v] = derivative * middle;
        }
    }
}

TARGET static int NAME(solve)(const REAL *g, const REAL *slope, const REAL *curve, const double *weights, int64_t rows,
                              int64_t columns, const uint8_t *active, int64_t batch, double wire, double most_sum,
                              double most_cell, int64_t row_block, int again, REAL *result) {
    const int64_t blocks = (rows + row_block - 1) / row_block, strips = (columns + WIDTH - 1) / WIDTH;
    const int64_t chunk = batch < CHUNK ? batch : CHUNK, kinds = again ? 3 : 2;
    /* See bit_line.c. */
    const double block_growth = (double)row_block * log1p(fmin(wire * most_sum, 1.0 + wire * most_cell));
    if (!(block_growth < (again ? 0.5 : 60.0)) || rows > 0xffff || row_block % 8) return 2;
    const int64_t blocks_between = (int64_t)fmin(1e9, fmax(1.0, 1.0 / fmax(block_growth, 1e-9)));

    const size_t plane = (size_t)(rows * WIDTH);
    REAL *packed = allocate((size_t)(strips * kinds) * plane * sizeof(REAL));
    REAL *wires = allocate((size_t)(rows + 1) * sizeof(REAL));
    vec *state = allocate(TILE * 3 * VECTORS * sizeof(vec));
    vec *kept = allocate(again ? (size_t)(TILE * blocks * 3 * VECTORS) * sizeof(vec) : 64);
    uint32_t *cells = allocate((size_t)(chunk * (rows + 1)) * sizeof(uint32_t));
    int32_t *first = allocate((size_t)(chunk * (blocks + 1)) * sizeof(int32_t));
    uint16_t *rows_on = allocate((size_t)(rows + 8) * sizeof(uint16_t));
    const int status = packed && wires && state && kept && cells && first && rows_on ? 0 : 1;
    if (!status) {
        REAL psi[DEGREE + 1];
        for (int n = 0; n <= DEGREE; n++) psi[n] = (REAL)weights[n];
        fill_positions();
        for (int64_t m = 0; m <= rows; m++) wires[m] = (REAL)(wire * (double)m);
        const REAL *from[3] = {g, slope, curve};
        for (int64_t strip = 0; strip < strips; strip++) {
            const int64_t left = columns - strip * WIDTH, width = left < WIDTH ? left : WIDTH;
            for (int64_t kind = 0; kind < kinds; kind++) {
                REAL *own = packed + (size_t)(strip * kinds + kind) * plane;
                if (width < WIDTH) memset(own, 0, plane * sizeof(REAL));
                for (int64_t row = 0; row < rows; row++)
                    memcpy(own + row * WIDTH, from[kind] + row * columns + strip * WIDTH, (size_t)width * sizeof(REAL));
            }
        }
        for (int64_t pattern = 0; pattern < batch; pattern += chunk) {
            const int64_t patterns = batch - pattern < chunk ? batch - pattern : chunk;
            for (int64_t t = 0; t < patterns; t++)
                list_cells(active + (pattern + t) * rows, rows, row_block, rows_on, first + t * (blocks + 1),
                           cells + t * (rows + 1));
            for (int64_t strip = 0; strip < strips; strip++) {
                const int64_t left = columns - strip * WIDTH, width = left < WIDTH ? left : WIDTH;
                const REAL *sources = packed + (size_t)(strip * kinds) * plane;
                const REAL *slopes = sources + plane, *curves = slopes + plane;
                for (int64_t begin = 0; begin < patterns; begin += TILE) {
                    const int64_t tile = patterns - begin < TILE ? patterns - begin : TILE;
                    const uint32_t *lists = cells + begin * (rows + 1);
                    const int32_t *starts = first + begin * (blocks + 1);
                    for (int pass = 0; pass <= (again ? 1 : 0); pass++) {
                        memset(state, 0, (size_t)tile * 3 * VECTORS * sizeof(vec));
                        REAL scale = 1, factor = 1;
                        for (int64_t block = 0; block < blocks; block++) {
                            const double fraction = 0.6180339887498949 * (double)(block + 1);
                            const REAL next = (REAL)(1.0 + (fraction - floor(fraction)));
                            const int keep = again && pass == 0;
                            const int divides = (block + 1) % blocks_between == 0 || block + 1 == blocks;
                            for (int64_t t = 0; t < tile; t++) {
                                const int32_t *start = starts + t * (blocks + 1) + block;
                                const uint32_t *list = lists + t * (rows + 1) + start[0];
                                vec *own = state + t * 3 * VECTORS, *place = kept + (t * blocks + block) * 3 * VECTORS;
                                const int64_t count = start[1] - start[0];
                                if (pass == 0)
                                    NAME(block)(sources, slopes, list, count, wires, factor, scale, own);
                                else
                                    NAME(curved)(sources, slopes, curves, place, list, count, wires, factor, scale, own);
                                if (keep)
                                    for (int v = 0; v < VECTORS; v++) {
                                        place[v] = own[v], place[VECTORS + v] = own[VECTORS + v];
                                        place[2 * VECTORS + v] = own[2 * VECTORS + v] + scale;
                                    }
                                if (divides) NAME(divide)(own, scale);
                            }
                            factor = divides ? next : next / scale;
                            scale = divides ? next : scale * factor;
                        }
                        if (again && pass == 0)
                            for (int64_t t = 0; t < tile; t++)
                                NAME(backwards)(kept + t * blocks * 3 * VECTORS, blocks, wires[row_block],
                                                wires[rows - (blocks - 1) * row_block], psi);
                    }
                    for (int64_t t = 0; t < tile; t++) {
                        const vec *own = state + t * 3 * VECTORS;
                        const REAL tail = wires[lists[t * (rows + 1) + starts[t * (blocks + 1) + blocks]]];
                        vec currents[VECTORS];
                        for (int v = 0; v < VECTORS; v++) currents[v] = own[v] / (tail * own[VECTORS + v] + 1);
                        memcpy(result + (pattern + begin + t) * columns + strip * WIDTH, currents,
                               (size_t)width * sizeof(REAL));
                    }
                }
            }
        }
    }
    free(packed);
    free(wires);
    free(state);
    free(kept);
    free(cells);
    free(first);
    free(rows_on);
    return status;
}

#undef vec
#undef WIDTH
#undef REAL
#undef LANES
#undef VECTORS
#undef PART
#undef TARGET
#undef NAME
#endif
