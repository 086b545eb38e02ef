/* The inputs of a two-dimensional convolution at each output position, in bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct convolution {
    const uint8_t *x; /* (images, channels, height, width), padded */
    int64_t channels, height, width;
    int64_t kernel[2], stride[2], dilation[2], size[2]; /* size: output positions down and across */
    int64_t first, count; /* rows of the order (channel, kernel row, kernel column) that are wanted */
    uint8_t *out;         /* (images, positions down, positions across, count) */
};

/* Up to RUN bytes that lie side by side in the image and in the output, from `row` up. */
enum { RUN = 4 };
struct piece {
    int64_t place, row, length;
};

/* Unroll lines first..last, one for each image and output position down. Returns how often memory ran out.
 *
 * Pieces are copied as RUN bytes whatever their length: what is too much is written over by the next. Only the last
 * ones of a position, and all where the image ends, take their own bytes and no more. */
int64_t unroll(const struct convolution *c, int64_t first, int64_t last, int64_t thread)
{
    int64_t count = c->count, area = c->kernel[0] * c->kernel[1], image = c->channels * c->height * c->width;
    int64_t pieces = 0, whole = 0, farthest = 0;
    struct piece *all = malloc((size_t)(count > 0 ? count : 1) * sizeof *all);
    (void)thread;
    if (!all) return 1;
    for (int64_t row = 0; row < count; pieces++) {
        int64_t channel = (c->first + row) / area, tap = (c->first + row) % area, across = tap % c->kernel[1];
        int64_t length = c->dilation[1] == 1 ? c->kernel[1] - across : 1;
        if (length > RUN) length = RUN;
        if (length > count - row) length = count - row;
        int64_t down = channel * c->height + tap / c->kernel[1] * c->dilation[0];
        int64_t place = down * c->width + across * c->dilation[1];
        all[pieces] = (struct piece){place, row, length};
        if (place > farthest) farthest = place;
        if (row + RUN <= count) whole = pieces + 1;
        row += length;
    }
    uint8_t *out = c->out + first * c->size[1] * count;
    const uint8_t *end = c->x + (last > 0 ? (last - 1) / c->size[0] + 1 : 0) * image;
    for (int64_t line = first; line < last; line++)
        for (int64_t across = 0; across < c->size[1]; across++, out += count) {
            const uint8_t *from = c->x + line / c->size[0] * image + line % c->size[0] * c->stride[0] * c->width +
                                  across * c->stride[1];
            int64_t fast = end - from >= farthest + RUN ? whole : 0;
            for (int64_t k = 0; k < fast; k++) memcpy(out + all[k].row, from + all[k].place, RUN);
            for (int64_t k = fast; k < pieces; k++)
                for (int64_t b = 0; b < all[k].length; b++) out[all[k].row + b] = from[all[k].place + b];
        }
    free(all);
    return 0;
}
