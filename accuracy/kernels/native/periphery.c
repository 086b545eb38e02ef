/* What peripherals make of column currents, and the codes that follow: one pass over memory.
 *
 * The law is that of circuits/peripherals/apply.py, in double precision and in its order of operations; the ADC's
 * rounding is that of the type that currents have.
 *
 * Compiled with: -ffp-contract=off -fno-math-errno -fno-trapping-math
 * Without contraction a code is rounded the same way on every processor; a square root that sets no errno, and a
 * division that cannot trap, can be a vector's.
 */
#include <math.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif

struct stage {          /* of one block: a weight slice and a line */
    double lo, span;    /* range of the ADC in use: positions are (v - lo) / span */
    double zero, model_zero, scale; /* position of zero signal in use and as characterised; full scale over its own */
    double lsb, clip_low, clip_high;
    double common_gain, common_offset; /* relative gain and offset [LSB] by relative excess of the common current */
    double constant, shot;             /* variances of the noise [LSB^2]: constant, and by the signal */
    const double *gain, *offset;       /* (columns): gain - 1, offset [LSB] */
    const double *common_column;       /* (columns): offset that goes with the common current [LSB]; NULL */
    const double *inl;                 /* (points) at evenly spaced positions [LSB] */
    int64_t points;
    const float *normals;  /* (vectors, columns): NULL without noise */
    int64_t follows;       /* whether gain and offset follow the common current */
    double low, high, q;   /* range of the ADC and codes a unit of current */
};

struct periphery {
    void *v; /* (vectors, blocks, columns): currents in, readings out */
    int64_t blocks, columns;
    const struct stage *stages;
    const double *common; /* (vectors, slices, columns) over its mean; NULL where nothing follows it */
    int64_t slices;
    int32_t convert; /* whether readings are those of the ideal ADC */
};

#define ALWAYS static inline __attribute__((always_inline))

/* One block of one vector. The flags are constants wherever this is called, so that each case is a loop without
 * branches, which compilers turn into vectors. */
#define ROW(NAME, TYPE, ROUND)                                                                                         \
    ALWAYS void NAME(const struct stage *s, TYPE *restrict v, const double *restrict common,                           \
                     const float *restrict normals, int64_t columns, int by_column, int scaled, int convert)           \
    {                                                                                                                  \
        const double *restrict gains = s->gain, *restrict offsets = s->offset, *restrict inl = s->inl;                 \
        const double *restrict commons = s->common_column;                                                             \
        const double lo = s->lo, span = s->span, per_span = 1.0 / span, zero = s->zero, model_zero = s->model_zero;    \
        const double scale = s->scale, per_scale = 1.0 / scale, lsb = s->lsb, below = s->clip_low;                     \
        const double above = s->clip_high, common_gain = s->common_gain, common_offset = s->common_offset;             \
        const double constant = s->constant, shot = s->shot / (1.0 - zero), noise = lsb * per_scale;                   \
        const double last_point = (double)(s->points - 1);                                                             \
        const int32_t last_left = (int32_t)(s->points > 1 ? s->points - 2 : 0), next = s->points > 1;                  \
        const TYPE low = (TYPE)s->low, high = (TYPE)s->high, q = (TYPE)s->q;                                           \
        for (int64_t k = 0; k < columns; k++) {                                                                        \
            double position = ((double)v[k] - lo) * per_span;                                                          \
            double own = scaled ? model_zero + (position - zero) * scale : position;                                   \
            double gain = gains[k], offset = offsets[k];                                                               \
            if (common) {                                                                                              \
                double excess = common[k] - 1.0;                                                                       \
                gain = (gain + 1.0) * (1.0 + common_gain * excess) - 1.0;                                              \
                offset += common_offset * excess;                                                                      \
                if (by_column)                                                                                         \
                    offset += commons[k] * (1.0 + excess);                                                             \
            } else if (by_column)                                                                                      \
                offset += commons[k];                                                                                  \
            double analog = own + gain * (own - model_zero) + offset * lsb;                                            \
            analog = analog > below ? analog : below;                                                                  \
            analog = analog < above ? analog : above;                                                                  \
            double at = analog * last_point;                                                                           \
            at = at > 0.0 ? at : 0.0;                                                                                  \
            at = at < last_point ? at : last_point;                                                                    \
            int32_t left = (int32_t)at;                                                                                \
            left = left < last_left ? left : last_left;                                                                \
            double from = inl[left], to = inl[left + next];                                                            \
            double reading = analog + (from + (at - (double)left) * (to - from)) * lsb;                                \
            if (scaled)                                                                                                \
                reading = zero + (reading - model_zero) * per_scale;                                                   \
            if (normals)                                                                                               \
                reading += sqrt(constant + shot * fabs(position - zero)) * noise * (double)normals[k];                 \
            TYPE current = (TYPE)(lo + reading * span);                                                                \
            if (convert) {                                                                                             \
                current = current > low ? current : low;                                                               \
                current = current < high ? current : high;                                                             \
                current = ROUND((current - low) * q) / q + low;                                                        \
            }                                                                                                          \
            v[k] = current;                                                                                            \
        }                                                                                                              \
    }

ROW(row_single, float, rintf)
ROW(row_double, double, rint)

#define CASES(ROW, common, normals)                                                                                    \
    do {                                                                                                               \
        if (!p->convert)                                                                                               \
            ROW(s, v, common, normals, columns, s->common_column != 0, s->scale != 1.0, 0);                            \
        else if (s->common_column && s->scale == 1.0)                                                                  \
            ROW(s, v, common, normals, columns, 1, 0, 1);                                                              \
        else if (s->common_column)                                                                                     \
            ROW(s, v, common, normals, columns, 1, 1, 1);                                                              \
        else if (s->scale == 1.0)                                                                                      \
            ROW(s, v, common, normals, columns, 0, 0, 1);                                                              \
        else                                                                                                           \
            ROW(s, v, common, normals, columns, 0, 1, 1);                                                              \
    } while (0)

#define PERIPHERY(NAME, TYPE, ROW)                                                                                     \
    CLONES int64_t NAME(const struct periphery *p, int64_t first, int64_t last, int64_t thread)                        \
    {                                                                                                                  \
        int64_t columns = p->columns, lines = p->blocks / p->slices;                                                   \
        for (int64_t n = first; n < last; n++)                                                                         \
            for (int64_t b = 0; b < p->blocks; b++) {                                                                  \
                const struct stage *s = p->stages + b;                                                                 \
                TYPE *v = (TYPE *)p->v + (n * p->blocks + b) * columns;                                                \
                const double *common = p->common ? p->common + (n * p->slices + b / lines) * columns : 0;              \
                const float *normals = s->normals ? s->normals + n * columns : 0;                                      \
                if (p->common && s->follows && s->normals)                                                             \
                    CASES(ROW, common, normals);                                                                       \
                else if (p->common && s->follows)                                                                      \
                    CASES(ROW, common, 0);                                                                             \
                else if (s->normals)                                                                                   \
                    CASES(ROW, 0, normals);                                                                            \
                else                                                                                                   \
                    CASES(ROW, 0, 0);                                                                                  \
            }                                                                                                          \
        (void)thread;                                                                                                  \
        return 0;                                                                                                      \
    }

PERIPHERY(periphery_single, float, row_single)
PERIPHERY(periphery_double, double, row_double)
