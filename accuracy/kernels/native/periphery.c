/* What peripherals make of column currents, and the codes that follow: one pass over memory.
 *
 * The law is that of circuits/peripherals/apply.py, in double precision and in its order of operations; the ADC's
 * rounding is that of the type that currents have.
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
    const double *normals; /* (vectors, columns): NULL without noise */
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

#define PERIPHERY(NAME, TYPE, FLOOR)                                                                                   \
    CLONES int64_t NAME(const struct periphery *p, int64_t first, int64_t last, int64_t thread)                        \
    {                                                                                                                  \
        int64_t columns = p->columns, lines = p->blocks / p->slices;                                                   \
        for (int64_t n = first; n < last; n++)                                                                         \
            for (int64_t b = 0; b < p->blocks; b++) {                                                                  \
                const struct stage s = p->stages[b];                                                                   \
                TYPE *restrict v = (TYPE *)p->v + (n * p->blocks + b) * columns;                                       \
                const double *common = p->common && s.follows ? p->common + (n * p->slices + b / lines) * columns : 0;             \
                const double *normals = s.normals ? s.normals + n * columns : 0;                                       \
                double last_point = (double)(s.points - 1);                                                            \
                TYPE low = (TYPE)s.low, high = (TYPE)s.high, q = (TYPE)s.q;                                            \
                for (int64_t k = 0; k < columns; k++) {                                                                \
                    double position = ((double)v[k] - s.lo) / s.span;                                                  \
                    double own = s.scale == 1.0 ? position : s.model_zero + (position - s.zero) * s.scale;             \
                    double gain = s.gain[k], offset = s.offset[k];                                                     \
                    if (common) {                                                                                      \
                        double excess = common[k] - 1.0;                                                               \
                        gain = (gain + 1.0) * (1.0 + s.common_gain * excess) - 1.0;                                    \
                        offset += s.common_offset * excess;                                                            \
                        if (s.common_column)                                                                           \
                            offset += s.common_column[k] * (1.0 + excess);                                             \
                    } else if (s.common_column)                                                                        \
                        offset += s.common_column[k];                                                                  \
                    double analog = own + gain * (own - s.model_zero) + offset * s.lsb;                                \
                    analog = analog > s.clip_low ? analog : s.clip_low;                                                \
                    analog = analog < s.clip_high ? analog : s.clip_high;                                              \
                    double at = analog * last_point;                                                                   \
                    at = at > 0.0 ? (at < last_point ? at : last_point) : 0.0;                                         \
                    int32_t left = (int32_t)at;                                                                        \
                    left = left < s.points - 2 ? left : (int32_t)(s.points > 1 ? s.points - 2 : 0);                    \
                    int32_t right = s.points > 1 ? left + 1 : left;                                                    \
                    double inl = s.inl[left] + (at - (double)left) * (s.inl[right] - s.inl[left]);                     \
                    double reading = analog + inl * s.lsb;                                                             \
                    if (s.scale != 1.0)                                                                                \
                        reading = s.zero + (reading - s.model_zero) / s.scale;                                         \
                    if (normals) {                                                                                     \
                        double signal = fabs(position - s.zero) / (1.0 - s.zero);                                      \
                        reading += sqrt(s.constant + s.shot * signal) / s.scale * s.lsb * normals[k];                  \
                    }                                                                                                  \
                    TYPE current = (TYPE)(s.lo + reading * s.span);                                                    \
                    if (p->convert) {                                                                                  \
                        current = current > low ? (current < high ? current : high) : low;                             \
                        current = FLOOR((current - low) * q) / q + low;                                                \
                    }                                                                                                  \
                    v[k] = current;                                                                                    \
                }                                                                                                      \
            }                                                                                                          \
        (void)thread;                                                                                                  \
        return 0;                                                                                                      \
    }

PERIPHERY(periphery_single, float, rintf)
PERIPHERY(periphery_double, double, rint)
