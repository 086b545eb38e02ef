/* Bit lines of affine cells against the recurrence in double precision, for any processor; without a curve the second
 * linearisation finds the same. */
#include <stdio.h>

#include "../../circuits/bit_line/bit_line_affine.c"

enum { ROWS = 300, COLUMNS = 37, BATCH = 9 };

static double draw(void) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0;
}

int main(void) {
    static float g[ROWS * COLUMNS], slope[ROWS * COLUMNS], curve[ROWS * COLUMNS], result[BATCH * COLUMNS];
    static uint8_t active[BATCH * ROWS];
    const double weights[DEGREE + 1] = {0}, wire = 1e-4, ground = 1e-3;
    double off[2] = {0, 0};
    for (int k = 0; k < ROWS * COLUMNS; k++) g[k] = (float)pow(draw(), 4), slope[k] = 0.3f * g[k], curve[k] = g[k];
    for (int k = 0; k < BATCH * ROWS; k++) active[k] = k >= ROWS && draw() < 0.5;
    for (int again = 0; again < 2; again++) {
        struct affine_lines l = {{g, slope, curve}, weights, ROWS, COLUMNS, active, BATCH, wire, ground, 0.3 * ROWS, 0.3,
                                 72,                again,   result, NULL,  3};
        l.packed = allocate((size_t)plan(&l));
        pack(&l, 0, l.blocks, 0);
        if (solve(&l, 0, BATCH, 0)) return 1;
        free(l.packed);
        for (int n = 0; n < BATCH; n++)
            for (int c = 0; c < COLUMNS; c++) {
                double p = 0, q = 0, d = 0;
                for (int row = 0; row < ROWS; row++) {
                    d += row ? wire : 0;
                    if (!active[n * ROWS + row]) continue;
                    p = p / (1 + d * q) + g[row * COLUMNS + c];
                    q = q / (1 + d * q) + slope[row * COLUMNS + c];
                    d = 0;
                }
                const double y = p / (1 + (d + wire + ground) * q);
                const double error = fabs(result[n * COLUMNS + c] - y) / (y > 0 ? y : 1);
                if (!(error <= off[again])) off[again] = error;
            }
    }
    printf("affine %.2e linearised once more %.2e\n", off[0], off[1]);
    return !(off[0] < 1e-5 && off[1] < 2e-5);
}
