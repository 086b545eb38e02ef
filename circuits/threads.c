/* A kernel over several threads: pieces of a range are dealt out until none is left.
 *
 * Kernels compute each output alone, so that it does not matter which thread takes which piece. Threads come from the
 * OpenMP library that the process has loaded already (its GOMP_parallel is given as `team`), so that there is one pool
 * of them; without one they are started for the call and joined at its end, which takes some 20 microseconds each.
 *
 * Compiled with: -pthread
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { MOST = 256 }; /* threads of one call */

typedef int64_t kernel(void *job, int64_t first, int64_t last, int64_t thread);
typedef void team(void (*work)(void *), void *data, unsigned threads, unsigned flags);

struct round {
    kernel *work;
    void *job;
    int64_t total, piece;
    _Atomic int64_t next, sum, entered;
};

/* Calls that run now: user threads that call at the same time share the processors. */
static atomic_int calls;

static void take(void *data)
{
    struct round *r = data;
    int64_t thread = atomic_fetch_add(&r->entered, 1), sum = 0;
    for (;;) {
        int64_t first = atomic_fetch_add(&r->next, r->piece);
        if (first >= r->total)
            break;
        sum += r->work(r->job, first, first + r->piece < r->total ? first + r->piece : r->total, thread);
    }
    atomic_fetch_add(&r->sum, sum);
}

static void *take_aside(void *data)
{
    take(data);
    return NULL;
}

/* Returns the sum of what the kernel returned. `thread` counts from 0 to below `threads`. */
int64_t share(kernel *work, void *job, int64_t total, int64_t piece, int64_t threads, team *pool)
{
    struct round r = {work, job, total, piece, 0, 0, 0};
    threads /= atomic_fetch_add(&calls, 1) + 1;
    if (threads > MOST)
        threads = MOST;
    if (threads < 2 || total <= piece)
        take(&r);
    else if (pool)
        pool(take, &r, (unsigned)threads, 0);
    else {
        pthread_t others[MOST];
        int64_t started = 0;
        while (started + 1 < threads && pthread_create(others + started, NULL, take_aside, &r) == 0)
            started++;
        take(&r);
        while (started > 0)
            pthread_join(others[--started], NULL);
    }
    atomic_fetch_sub(&calls, 1);
    return r.sum;
}

/* In a process that was forked: calls of other threads were left behind in its parent. */
void forget_calls(void) { atomic_store(&calls, 0); }
