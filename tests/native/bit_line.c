/* Bit lines of resistors in both precisions against the recurrence in double precision, for any processor. */
#include <stdio.h>

#include "../../circuits/bit_line/bit_line.c"

enum { ROWS = 300, COLUMNS = 37, BATCH = 9, PHASES = 3 };

static double draw(void) {
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0;
}

/* The largest relative error of the current of a phase. */
static double worst(const double *g, const uint8_t *digits, double wire, double ground, const float *single,
                    const double *wide) {
    double most = 0;
    for (int bit = 0; bit < PHASES; bit++)
        for (int n = 0; n < BATCH; n++)
            for (int c = 0; c < COLUMNS; c++) {
                double i = 0, d = 0;
                for (int row = 0; row < ROWS; row++) {
                    d += row ? wire : 0;
                    if (!(digits[n * ROWS + row] >> bit & 1)) continue;
                    i = i / (1 + d * i) + g[row * COLUMNS + c];
                    d = 0;
                }
                const double y = i / (1 + (d + wire + ground) * i);
                const int64_t k = ((int64_t)bit * BATCH + n) * COLUMNS + c;
                const double error = fabs((single ? single[k] : wide[k]) - y) / (y > 0 ? y : 1);
                if (!(error <= most)) most = error;
            }
    return most;
}

int main(void) {
    static double g[ROWS * COLUMNS], wide[PHASES * BATCH * COLUMNS];
    static float f[ROWS * COLUMNS], single[PHASES * BATCH * COLUMNS];
    static uint8_t digits[BATCH * ROWS];
    const double wires[] = {1e-7, 1e-5, 1e-3, 0.1};
    double off_single = 0, off_double = 0;
    for (int k = 0; k < ROWS * COLUMNS; k++) g[k] = f[k] = k % 7 ? (float)pow(draw(), 4) : 0;
    for (int k = 0; k < BATCH * ROWS; k++) digits[k] = (uint8_t)(draw() * (k < ROWS ? 1 : 8));
    for (int w = 0; w < 4; w++) {
        struct lines l = {f,        ROWS, COLUMNS, digits, BATCH, PHASES, NULL, wires[w], 0.01 * w,
                          1.0 * ROWS, 1.0,  single,  NULL,   3};
        l.packed = allocate((size_t)plan_float(&l));
        pack_float(&l, 0, l.blocks, 0);
        if (solve_float(&l, 0, BATCH, 0)) return 1;
        off_single = fmax(off_single, worst(g, digits, wires[w], l.ground, single, NULL));
        free(l.packed);
        l.g = g, l.result = wide;
        l.packed = allocate((size_t)plan_double(&l));
        pack_double(&l, 0, l.blocks, 0);
        if (solve_double(&l, 0, BATCH, 0)) return 1;
        off_double = fmax(off_double, worst(g, digits, wires[w], l.ground, NULL, wide));
        free(l.packed);
    }
    printf("single %.2e double %.2e\n", off_single, off_double);
    return !(off_single < 1e-5 && off_double < 1e-12);
}
