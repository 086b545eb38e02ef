/* Exact currents of resistor bit lines, many patterns and columns at a time.
 *
 * Down the line i += g u at a selected cell and u += m R i over m wires; the current is i / u. What is kept is
 * d = u - s with a scale s near 1, because u itself hardly moves where R is small and would lose it to rounding.
 * The state is carried in vector registers: one pattern, W columns. Rows are taken in blocks whose conductances stay
 * in the first-level cache while a tile of patterns passes over them. Between blocks
 *  - d is brought back to 0 (i and u divided by u) before it can overflow or grow so far that its rounding counts;
 *  - the scale s changes, so that sums of equal conductances do not round the same way in every block.
 *
 * The file includes itself once for each precision and instruction set; solve_float and solve_double choose one when
 * they are called.
 */
#ifndef REAL

#include "bit_line_common.h"

enum { ROW_BLOCK = 48, TILE = 32, CHUNK = 256 };

#if defined(__x86_64__) && defined(__GNUC__)
#define REAL float
#define LANES 16
#define VECTORS 8
#define TARGET AVX512
#define NAME(x) PASTE(x, _float_avx512)
#include "bit_line.c"
#define REAL float
#define LANES 8
#define VECTORS 6
#define TARGET AVX2
#define NAME(x) PASTE(x, _float_avx2)
#include "bit_line.c"
#define REAL double
#define LANES 8
#define VECTORS 8
#define TARGET AVX512
#define NAME(x) PASTE(x, _double_avx512)
#include "bit_line.c"
#define REAL double
#define LANES 4
#define VECTORS 6
#define TARGET AVX2
#define NAME(x) PASTE(x, _double_avx2)
#include "bit_line.c"
#endif

#define REAL float
#define LANES 4
#define VECTORS 4
#define TARGET
#define NAME(x) PASTE(x, _float_plain)
#include "bit_line.c"
#define REAL double
#define LANES 2
#define VECTORS 4
#define TARGET
#define NAME(x) PASTE(x, _double_plain)
#include "bit_line.c"

#if defined(__x86_64__) && defined(__GNUC__)
#define CHOOSE(kind, most, ...)                                             \
    switch (available(most)) {                                        \
        case 2: return PASTE(solve_##kind, _avx512)(__VA_ARGS__);           \
        case 1: return PASTE(solve_##kind, _avx2)(__VA_ARGS__);             \
        default: return PASTE(solve_##kind, _plain)(__VA_ARGS__);           \
    }
#else
#define CHOOSE(kind, most, ...) return PASTE(solve_##kind, _plain)(__VA_ARGS__);
#endif

int instruction_set(int most) { return available(most); }

/* Solve `batch` patterns of `active` (bytes 0 or 1). most_sum and most_cell are upper bounds of the sum of a column's
 * conductances and of one conductance. Return 0, 1 without memory, or 2 where the growth of u over one block of rows
 * could overflow or the rows are more than 16 bits count. */
int solve_float(const float *g, int64_t rows, int64_t columns, const uint8_t *active, int64_t batch, double wire,
                double most_sum, double most_cell, float *result, int most) {
    CHOOSE(float, most, g, rows, columns, active, batch, wire, most_sum, most_cell, 60.0, result)
}

int solve_double(const double *g, int64_t rows, int64_t columns, const uint8_t *active, int64_t batch, double wire,
                 double most_sum, double most_cell, double *result, int most) {
    CHOOSE(double, most, g, rows, columns, active, batch, wire, most_sum, most_cell, 600.0, result)
}

#else /* one precision and instruction set */

#define WIDTH (LANES * VECTORS)
typedef REAL NAME(vec) __attribute__((vector_size(LANES * sizeof(REAL)), may_alias));
#define vec NAME(vec)

/* Scale the state (i, then d) of one pattern, then let the selected cells of one block of rows act on it. */
TARGET static inline void NAME(block)(const REAL *g, const uint32_t *cells, int64_t count, const REAL *wires, REAL factor,
                                      REAL scale, vec *state) {
    vec i[VECTORS], d[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) i[v] = state[v] * factor, d[v] = state[VECTORS + v] * factor;
    for (int64_t k = 0; k < count; k++) {
        const vec *cell = (const vec *)(g + (size_t)(cells[k] >> 16) * WIDTH);
        const REAL wire = wires[cells[k] & 0xffff];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) d[v] = d[v] + wire * i[v];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) i[v] = i[v] + cell[v] * (d[v] + scale);
    }
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) state[v] = i[v], state[VECTORS + v] = d[v];
}

/* All patterns of one tile on the columns of one packed strip. */
TARGET static void NAME(strip)(const REAL *packed, int64_t rows, int64_t blocks, int64_t blocks_between, int64_t tile,
                               const uint32_t *cells, const int32_t *first, const REAL *wires, vec *state) {
    memset(state, 0, (size_t)tile * 2 * VECTORS * sizeof(vec));
    REAL scale = 1, factor = 1;
    for (int64_t block = 0; block < blocks; block++) {
        for (int64_t t = 0; t < tile; t++) {
            const int32_t *start = first + t * (blocks + 1) + block;
            NAME(block)(packed, cells + t * (rows + 1) + start[0], start[1] - start[0], wires, factor, scale,
                        state + t * 2 * VECTORS);
        }
        const double fraction = 0.6180339887498949 * (double)(block + 1);
        const REAL next = (REAL)(1.0 + (fraction - floor(fraction)));
        if ((block + 1) % blocks_between == 0 || block + 1 == blocks) {
            for (int64_t t = 0; t < tile; t++) {
                vec *own = state + t * 2 * VECTORS;
                const vec zero = {0};
                for (int v = 0; v < VECTORS; v++) {
                    own[v] = own[v] / (own[VECTORS + v] + scale);
                    own[VECTORS + v] = zero;
                }
            }
            factor = scale = next;
        } else {
            factor = next / scale;
            scale = scale * factor;
        }
    }
}

TARGET static int NAME(solve)(const REAL *g, int64_t rows, int64_t columns, const uint8_t *active, int64_t batch,
                              double wire, double most_sum, double most_cell, double most_growth, REAL *result) {
    const int64_t blocks = (rows + ROW_BLOCK - 1) / ROW_BLOCK, strips = (columns + WIDTH - 1) / WIDTH;
    const int64_t chunk = batch < CHUNK ? batch : CHUNK;
    /* Over one wire u grows by 1 + R i / u at most, and i / u is below both the sum of the column's conductances and
     * 1 / R plus one cell. That bounds ln u over a block of rows for every pattern at once. */
    const double block_growth = ROW_BLOCK * log1p(fmin(wire * most_sum, 1.0 + wire * most_cell));
    if (!(block_growth < most_growth) || rows > 0xffff) return 2;
    const int64_t blocks_between = (int64_t)fmin(1e9, fmax(1.0, 1.0 / fmax(block_growth, 1e-9)));

    REAL *packed = allocate((size_t)(strips * rows * WIDTH) * sizeof(REAL));
    REAL *wires = allocate((size_t)(rows + 1) * sizeof(REAL));
    vec *state = allocate(TILE * 2 * VECTORS * sizeof(vec));
    uint32_t *cells = allocate((size_t)(chunk * (rows + 1)) * sizeof(uint32_t));
    int32_t *first = allocate((size_t)(chunk * (blocks + 1)) * sizeof(int32_t));
    uint16_t *rows_on = allocate((size_t)(rows + 8) * sizeof(uint16_t));
    const int status = packed && wires && state && cells && first && rows_on ? 0 : 1;
    if (!status) {
        fill_positions();
        for (int64_t m = 0; m <= rows; m++) wires[m] = (REAL)(wire * (double)m);
        for (int64_t strip = 0; strip < strips; strip++) {
            const int64_t left = columns - strip * WIDTH, width = left < WIDTH ? left : WIDTH;
            REAL *own = packed + strip * rows * WIDTH;
            if (width < WIDTH) memset(own, 0, (size_t)rows * WIDTH * sizeof(REAL));
            for (int64_t row = 0; row < rows; row++)
                memcpy(own + row * WIDTH, g + row * columns + strip * WIDTH, (size_t)width * sizeof(REAL));
        }
        for (int64_t pattern = 0; pattern < batch; pattern += chunk) {
            const int64_t patterns = batch - pattern < chunk ? batch - pattern : chunk;
            for (int64_t t = 0; t < patterns; t++)
                list_cells(active + (pattern + t) * rows, rows, ROW_BLOCK, rows_on, first + t * (blocks + 1),
                           cells + t * (rows + 1));
            for (int64_t strip = 0; strip < strips; strip++) {
                const int64_t left = columns - strip * WIDTH, width = left < WIDTH ? left : WIDTH;
                for (int64_t from = 0; from < patterns; from += TILE) {
                    const int64_t tile = patterns - from < TILE ? patterns - from : TILE;
                    const uint32_t *lists = cells + from * (rows + 1);
                    const int32_t *starts = first + from * (blocks + 1);
                    NAME(strip)(packed + strip * rows * WIDTH, rows, blocks, blocks_between, tile, lists, starts, wires, state);
                    for (int64_t t = 0; t < tile; t++) {
                        const vec *own = state + t * 2 * VECTORS;
                        const REAL tail = wires[lists[t * (rows + 1) + starts[t * (blocks + 1) + blocks]]];
                        vec currents[VECTORS];
                        for (int v = 0; v < VECTORS; v++) currents[v] = own[v] / (tail * own[v] + 1);
                        memcpy(result + (pattern + from + t) * columns + strip * WIDTH, currents,
                               (size_t)width * sizeof(REAL));
                    }
                }
            }
        }
    }
    free(packed);
    free(wires);
    free(state);
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
#undef TARGET
#undef NAME
#endif
