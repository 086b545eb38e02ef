/* Standard normals of counter-based streams: Philox4x32-10 and the transform of Box and Muller, in single precision.
 *
 * Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, doi 10.1145/2063384.2063405;
 * Box and Muller, Ann. Math. Stat. 29, 1958, doi 10.1214/aoms/1177706645.
 *
 * LANES counters give LANES * 4 numbers, word by word: that is a group, and streams advance by whole groups. Nothing
 * but additions, products, divisions and square roots of IEEE is used, so that every processor draws the same numbers
 * (`accuracy.arrays.noise` has the same in numpy).
 *
 * Compiled with: -ffp-contract=off -fno-math-errno
 * Contraction would round differently; a square root that sets no errno can be a vector's.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif
#define ALWAYS static inline __attribute__((always_inline))

enum { LANES = 16, WORDS = 4, GROUP = LANES * WORDS, ROUNDS = 10 };

struct normals {
    float *out;             /* (streams, count) */
    int64_t count;          /* numbers of each stream */
    int64_t groups;         /* that they take: count / GROUP, rounded up */
    int64_t position;       /* first group */
    const uint64_t *number; /* (streams): which stream of the key */
    uint32_t key[2], call;
};

/* Radius and angle from two words. The radius takes 24 bits, so that it stays below 5.9; the upper two bits of the other
 * word are the quarter of the circle, the rest an angle of at most 45 degrees from its middle. */
ALWAYS void pair(uint32_t first, uint32_t second, float *one, float *other)
{
    float u = ((float)(int32_t)(first >> 8) + 0.5f) * 0x1p-24f;
    uint32_t bits;
    memcpy(&bits, &u, sizeof bits);
    /* u = m 2^e with m from sqrt(1/2) to sqrt(2). */
    uint32_t shifted = bits - 0x3f3504f3u;
    int32_t e = (int32_t)shifted >> 23;
    uint32_t mantissa = (shifted & 0x7fffffu) + 0x3f3504f3u;
    float m;
    memcpy(&m, &mantissa, sizeof m);
    /* log m = 2 artanh t */
    float t = (m - 1.0f) / (m + 1.0f), tt = t * t;
    float series = (((1.0f / 9) * tt + 1.0f / 7) * tt + 1.0f / 5) * tt + 1.0f / 3;
    float log_u = (series * tt * t + t) * 2.0f + (float)e * 0.69314718f;
    float square = log_u * -2.0f;
    float radius = sqrtf(square > 0.0f ? square : 0.0f);

    float x = (float)(int32_t)(second << 2) * (float)(1.5707963267948966 * 0x1p-32), z = x * x;
    float sine = (((((1.0f / 362880) * z - 1.0f / 5040) * z + 1.0f / 120) * z - 1.0f / 6) * z) * x + x;
    float cosine = (((((1.0f / 40320) * z - 1.0f / 720) * z + 1.0f / 24) * z) - 0.5f) * z + 1.0f;
    uint32_t quarter = second >> 30, s, c;
    sine *= radius;
    cosine *= radius;
    memcpy(&s, &sine, sizeof s);
    memcpy(&c, &cosine, sizeof c);
    uint32_t odd = -(quarter & 1u), swap = (s ^ c) & odd;
    uint32_t a = (c ^ swap) ^ (((quarter + 1u) & 2u) << 30), b = (s ^ swap) ^ ((quarter & 2u) << 30);
    memcpy(one, &a, sizeof a);
    memcpy(other, &b, sizeof b);
}

ALWAYS void group(const struct normals *p, int64_t stream, int64_t index, float *restrict out)
{
    uint32_t c0[LANES], c1[LANES], c2[LANES], c3[LANES], k0 = p->key[0], k1 = p->key[1];
    uint64_t number = p->number[stream], block = (uint64_t)(p->position + index) * LANES;
    for (int j = 0; j < LANES; j++) {
        c0[j] = (uint32_t)block + (uint32_t)j;
        c1[j] = p->call;
        c2[j] = (uint32_t)number;
        c3[j] = (uint32_t)(number >> 32);
    }
#pragma GCC unroll 10
    for (int r = 0; r < ROUNDS; r++) {
        for (int j = 0; j < LANES; j++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c0[j], p1 = (uint64_t)0xCD9E8D57u * c2[j];
            uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1[j] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3[j] ^ k1;
            c1[j] = (uint32_t)p1;
            c3[j] = (uint32_t)p0;
            c0[j] = n0;
            c2[j] = n2;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int j = 0; j < LANES; j++)
        pair(c0[j], c1[j], out + j, out + LANES + j);
    for (int j = 0; j < LANES; j++)
        pair(c2[j], c3[j], out + 2 * LANES + j, out + 3 * LANES + j);
}

/* Groups are counted over all streams. */
CLONES int64_t normals(const struct normals *p, int64_t first, int64_t last, int64_t thread)
{
    for (int64_t n = first; n < last; n++) {
        int64_t stream = n / p->groups, index = n % p->groups, done = index * GROUP;
        float *out = p->out + stream * p->count + done;
        if (done + GROUP <= p->count) {
            group(p, stream, index, out);
        } else {
            float own[GROUP];
            group(p, stream, index, own);
            memcpy(out, own, (size_t)(p->count - done) * sizeof(float));
        }
    }
    (void)thread;
    return 0;
}
