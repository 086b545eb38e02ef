/* One-bit readings whose codes are exact against plain loops, for any processor. */
#include <math.h>
#include <stdio.h>

#include "../../accuracy/kernels/native/bit_serial.c"

enum { PIXELS = 21, CHANNELS = 8, COLUMNS = LANES };

int main(void)
{
    static float x[PIXELS * CHANNELS], g[CHANNELS * COLUMNS], out[PIXELS * COLUMNS];
    static float bias[COLUMNS], added[PIXELS * COLUMNS];
    static uint64_t planes[PIXELS], mask = 0;
    static int32_t sums[PIXELS], channel[CHANNELS];
    static int8_t phase[CHANNELS];
    static double factor[COLUMNS], scale[COLUMNS];
    const int64_t zero = 0, one = 1, starts[2] = {0, 1};
    const uint8_t whole = 1, same = 0;
    const float lo = 0, hi = 5, q = 2;
    for (int k = 0; k < PIXELS * CHANNELS; k++)
        x[k] = (float)(k * 7919 % 256);
    for (int k = 0; k < CHANNELS * COLUMNS; k++)
        g[k] = (float)(k * 104729 % 9) / 8;
    for (int k = 0; k < CHANNELS; k++)
        channel[k] = k, phase[k] = 1;
    for (int k = 0; k < COLUMNS; k++)
        factor[k] = 1 + k, scale[k] = 0.5, bias[k] = (float)(k * 31 % 7 - 3);
    for (int k = 0; k < PIXELS * COLUMNS; k++)
        added[k] = (float)(k * 7919 % 4001 - 2000);
    struct packing p = {.x = x, .stride_image = PIXELS * CHANNELS, .stride_channel = 1, .stride_y = PIXELS * CHANNELS,
                        .stride_x = CHANNELS, .images = 1, .height = 1, .width = PIXELS, .padded_height = 1,
                        .padded_width = PIXELS, .octets = 1, .channel = channel, .phase = phase, .planes = planes,
                        .sums = sums};
    if (pack_inputs(&p, 0, 1, 0))
        return 1;
    struct reading r = {.planes = planes, .sums = sums, .padded_height = 1, .padded_width = PIXELS, .octets = 1,
                        .out_height = 1, .out_width = PIXELS, .stride_y = 1, .stride_x = 1, .taps = 1, .partitions = 1,
                        .blocks = 1, .vectors = 1, .columns = COLUMNS, .tap_offset = &zero, .octet_first = &zero,
                        .octet_count = &one, .weight_start = &zero, .conductance = g, .word_start = starts,
                        .mask_plus = &mask, .mask_minus = &mask, .whole = &whole, .lo = &lo, .hi = &hi,
                        .codes_per_unit = &q, .factor = factor, .same_factor = &same, .scale = scale,
                        .bit_weight = {1, 2, 4, 8, 16, 32, 64, 128}, .out = out, .bias = bias, .added = added,
                        .least = 0, .positive = 1, .most = 0};
    if (read_positions(&r, 0, PIXELS, 0))
        return 1;
    int wrong = 0, cut = 0;
    for (int n = 0; n < PIXELS; n++)
        for (int c = 0; c < COLUMNS; c++) {
            double total = 0;
            for (int bit = 0; bit < BITS; bit++) {
                float i = 0;
                for (int k = 0; k < CHANNELS; k++)
                    i += (int)x[n * CHANNELS + k] >> bit & 1 ? g[k * COLUMNS + c] : 0;
                total += rint(fmin(i, hi) * q) * (1 << bit);
            }
            float sum = (float)(total / q * factor[c] * scale[c]) + bias[c];
            sum += added[n * COLUMNS + c];
            wrong += out[n * COLUMNS + c] != (sum > 0 ? sum : 0);
            cut += sum < 0;
        }
    printf("%d of %d wrong, %d cut off\n", wrong, PIXELS * COLUMNS, cut);
    return wrong != 0 || cut == 0;
}
