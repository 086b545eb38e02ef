/* Programmed cells: standard normals of numpy's generator, the same bits in a third of the time, and what they make of
 * targets.
 *
 * The generator is PCG64 (O'Neill, HMC-CS-2014-0905): a congruence of 128 bits, of whose state one 64-bit number is
 * made. Four of them run side by side here, each four steps at once, so that one need not wait for the other. Normals
 * come by the ziggurat of 256 layers (Marsaglia and Tsang, doi:10.18637/jss.v005.i08), whose tables are given.
 *
 * Compiled with: -ffp-contract=off
 * Without contraction every processor programs the same cells.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

struct programming {
    const uint8_t *digits;     /* (cells) */
    const double *mean, *sigma; /* of each digit */
    double *cells;             /* (cells): standard normals that become conductances */
    int64_t count;
};

/* Conductances are mean + spread * normal, clipped at 0. */
CLONES int64_t program_cells(struct programming *p)
{
    const uint8_t *restrict digits = p->digits;
    const double *restrict mean = p->mean, *restrict sigma = p->sigma;
    double *restrict cells = p->cells;
    for (int64_t i = 0; i < p->count; i++) {
        double value = cells[i] * sigma[digits[i]] + mean[digits[i]];
        cells[i] = value > 0.0 ? value : 0.0;
    }
    return p->count;
}

#ifdef __SIZEOF_INT128__
typedef unsigned __int128 wide;

struct normals {
    uint64_t state[2], step[2]; /* of the generator, low half first: x = x * FACTOR + step; `state` moves on */
    const double *width;        /* (256): width of a layer in units of 2^-52 */
    const uint64_t *inside;     /* (256): magnitudes below this lie under the curve for certain */
    const double *height;       /* (256): the curve at a layer's edge */
    double edge;                /* where the tail begins */
    int64_t count;
    double *out;
};

enum { SIDE = 4, AHEAD = 256 };

static const wide FACTOR = ((wide)0x2360ed051fc65da4u << 64) | 0x4385df649fccf645u;

/* The number that a state gives. */
static inline uint64_t number(wide x)
{
    uint64_t folded = (uint64_t)(x >> 64) ^ (uint64_t)x;
    unsigned turn = (unsigned)(x >> 122);
    return folded >> turn | folded << (-turn & 63);
}

/* Numbers ahead of a state; `next` is the first that was not taken. */
struct stream {
    wide begin, state; /* before and after the numbers ahead */
    wide step, factor_side, step_side;
    int64_t next;
    uint64_t ahead[AHEAD];
};

static void look_ahead(struct stream *s)
{
    wide x[SIDE], factor = s->factor_side, step = s->step_side;
    s->begin = s->state;
    x[0] = s->state * FACTOR + s->step;
    for (int k = 1; k < SIDE; k++)
        x[k] = x[k - 1] * FACTOR + s->step;
    for (int i = 0; i < AHEAD; i += SIDE)
        for (int k = 0; k < SIDE; k++) {
            s->ahead[i + k] = number(x[k]);
            if (i + SIDE == AHEAD && k + 1 == SIDE)
                s->state = x[k];
            x[k] = x[k] * factor + step;
        }
    s->next = 0;
}

static inline uint64_t take(struct stream *s)
{
    if (s->next == AHEAD)
        look_ahead(s);
    return s->ahead[s->next++];
}

/* A uniform number from 0 to below 1. */
static inline double uniform(struct stream *s) { return (double)(take(s) >> 11) * 0x1p-53; }

/* A magnitude with the sign of a number: without a branch, which would be foretold wrongly every other time. */
static inline double with_sign(double x, uint64_t drawn)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits ^= (drawn >> 8 & 1) << 63;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The normal of a number; 0 where it does not lie under the curve. */
static __attribute__((noinline)) int normal_of(const struct normals *n, struct stream *s, uint64_t drawn,
                                               double *normal)
{
    int layer = (int)(drawn & 255);
    uint64_t magnitude = drawn >> 9 & 0xfffffffffffffu;
    double x = (double)(int64_t)magnitude * n->width[layer];
    *normal = with_sign(x, drawn);
    if (magnitude < n->inside[layer])
        return 1;
    if (layer == 0) {
        double further, height, inverse = 1.0 / n->edge;
        do {
            further = -inverse * log1p(-uniform(s));
            height = -log1p(-uniform(s));
        } while (!(height + height > further * further));
        *normal = magnitude >> 8 & 1 ? -(n->edge + further) : n->edge + further;
        return 1;
    }
    return (n->height[layer - 1] - n->height[layer]) * uniform(s) + n->height[layer] < exp(-0.5 * x * x);
}

/* Write normals one after another and move the generator on. */
int64_t standard_normals(struct normals *n)
{
    struct stream s;
    wide factor = 1, sum = 0;
    if (n->count < 1)
        return 0;
    s.step = (wide)n->step[1] << 64 | n->step[0];
    s.state = (wide)n->state[1] << 64 | n->state[0];
    for (int k = 0; k < SIDE; k++) {
        sum = sum * FACTOR + s.step;
        factor *= FACTOR;
    }
    s.factor_side = factor;
    s.step_side = sum;
    s.next = AHEAD;
    for (int64_t i = 0; i < n->count;) {
        if (s.next == AHEAD)
            look_ahead(&s);
        int64_t left = n->count - i < AHEAD - s.next ? n->count - i : AHEAD - s.next, k = 0;
        const uint64_t *ahead = s.ahead + s.next;
        double *out = n->out + i;
        for (; k < left; k++) {
            uint64_t drawn = ahead[k], magnitude = drawn >> 9 & 0xfffffffffffffu;
            int layer = (int)(drawn & 255);
            if (__builtin_expect(magnitude >= n->inside[layer], 0))
                break;
            out[k] = with_sign((double)(int64_t)magnitude * n->width[layer], drawn);
        }
        i += k;
        s.next += k;
        if (k < left) {
            while (!normal_of(n, &s, take(&s), n->out + i))
                ;
            i++;
        }
    }
    for (s.state = s.begin; s.next > 0; s.next--)
        s.state = s.state * FACTOR + s.step;
    n->state[0] = (uint64_t)s.state;
    n->state[1] = (uint64_t)(s.state >> 64);
    return n->count;
}
#else
int64_t standard_normals(void *n)
{
    (void)n;
    return -1;
}
#endif
