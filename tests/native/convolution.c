/* A convolution whose codes are exact against plain loops, for any processor, in the form for those without wider
 * vectors. */
#include <stdio.h>

#include "../../accuracy/kernels/native/convolution.c"

enum { SIDE = 6, CHANNELS = 5, OUT = 4, TAPS = 9, WIDTH = 4 };

int main(void)
{
    static float x[SIDE * SIDE * CHANNELS], weight[TAPS * CHANNELS * WIDTH], out[OUT * OUT * WIDTH];
    int64_t offset[TAPS], zero = 0, channels = CHANNELS;
    const float lo = -40, hi = 190, q = 0.25f, worth[WIDTH] = {1, 2, 3, -4}, first[WIDTH] = {0, 1, 2, 3};
    for (int k = 0; k < SIDE * SIDE * CHANNELS; k++)
        x[k] = (float)(k * 7919 % 11);
    for (int k = 0; k < TAPS * CHANNELS * WIDTH; k++)
        weight[k] = (float)(k * 104729 % 9 - 3);
    for (int t = 0; t < TAPS; t++)
        offset[t] = (t / 3 * SIDE + t % 3) * CHANNELS;
    struct convolution c = {.x = x, .height = SIDE, .width = SIDE, .channels = CHANNELS, .out_height = OUT,
                            .out_width = OUT, .stride_y = 1, .stride_x = 1, .taps = TAPS, .tap_offset = offset,
                            .partitions = 1, .channel_first = &zero, .channel_count = &channels,
                            .weight_start = &zero, .weight = weight, .blocks = 1, .vectors = 1, .columns = WIDTH,
                            .unit = 1, .lo = &lo, .hi = &hi, .codes_per_unit = &q, .worth = worth, .first = first,
                            .out = out, .floor = -1000};
    read_4(&c, 0, OUT * OUT);
    int wrong = 0, clipped = 0;
    for (int position = 0; position < OUT * OUT; position++)
        for (int column = 0; column < WIDTH; column++) {
            float sum = 0;
            for (int t = 0; t < TAPS; t++)
                for (int channel = 0; channel < CHANNELS; channel++)
                    sum += x[(position / OUT * SIDE + position % OUT) * CHANNELS + offset[t] + channel] *
                           weight[(t * CHANNELS + channel) * WIDTH + column];
            clipped += sum < lo || sum > hi;
            float code = rintf((fminf(fmaxf(sum, lo), hi) - lo) * q);
            wrong += out[position * WIDTH + column] != fmaxf(first[column] + code * worth[column], -1000);
        }
    printf("%d of %d wrong, %d clipped\n", wrong, OUT * OUT * WIDTH, clipped);
    return wrong != 0;
}
