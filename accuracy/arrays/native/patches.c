/* The inputs of a two-dimensional convolution at each output position, in bytes. */
#include <stdint.h>
#include <stdlib.h>

struct convolution {
    const uint8_t *x; /* (images, channels, height, width), padded */
    int64_t channels, height, width;
    int64_t kernel[2], stride[2], dilation[2], size[2]; /* size: output positions down and across */
    int64_t first, count; /* rows of the order (channel, kernel row, kernel column) that are wanted */
    uint8_t *out;         /* (images, positions down, positions across, count) */
};

/* Unroll lines first..last, one for each image and output position down. Returns how often memory ran out. */
int64_t unroll(const struct convolution *c, int64_t first, int64_t last, int64_t thread)
{
    int64_t count = c->count, area = c->kernel[0] * c->kernel[1];
    int64_t *places = malloc((size_t)(count > 0 ? count : 1) * sizeof(int64_t));
    (void)thread;
    if (!places) return 1;
    for (int64_t row = 0; row < count; row++) {
        int64_t channel = (c->first + row) / area, tap = (c->first + row) % area;
        places[row] = (channel * c->height + tap / c->kernel[1] * c->dilation[0]) * c->width +
                      tap % c->kernel[1] * c->dilation[1];
    }
    uint8_t *out = c->out + first * c->size[1] * count;
    for (int64_t line = first; line < last; line++)
        for (int64_t across = 0; across < c->size[1]; across++) {
            const uint8_t *from = c->x + line / c->size[0] * c->channels * c->height * c->width +
                                  line % c->size[0] * c->stride[0] * c->width + across * c->stride[1];
            for (int64_t row = 0; row < count; row++) out[row] = from[places[row]];
            out += count;
        }
    free(places);
    return 0;
}
