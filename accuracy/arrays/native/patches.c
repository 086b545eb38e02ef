/* The inputs of a two-dimensional convolution at each output position, in bytes.
 *
 * x: images of shape (images, channels, height, width), padded. out: shape (images, rows_out, columns_out, count): rows
 * first..first + count of the order (channel, kernel row, kernel column).
 */
#include <stdint.h>
#include <stdlib.h>

struct convolution {
    int64_t channels, height, width;
    int64_t kernel[2], stride[2], dilation[2], size[2]; /* size: output positions down and across */
};

/* Returns 1 without memory. */
int unroll(const struct convolution *c, const uint8_t *x, int64_t images, int64_t first, int64_t count, uint8_t *out)
{
    int64_t *places = malloc((size_t)(count > 0 ? count : 1) * sizeof(int64_t)), area = c->kernel[0] * c->kernel[1];
    if (!places) return 1;
    for (int64_t row = 0; row < count; row++) {
        int64_t channel = (first + row) / area, tap = (first + row) % area;
        places[row] = (channel * c->height + tap / c->kernel[1] * c->dilation[0]) * c->width +
                      tap % c->kernel[1] * c->dilation[1];
    }
    for (int64_t image = 0; image < images; image++)
        for (int64_t down = 0; down < c->size[0]; down++)
            for (int64_t across = 0; across < c->size[1]; across++) {
                const uint8_t *from = x + image * c->channels * c->height * c->width +
                                      down * c->stride[0] * c->width + across * c->stride[1];
                for (int64_t row = 0; row < count; row++) out[row] = from[places[row]];
                out += count;
            }
    free(places);
    return 0;
}
