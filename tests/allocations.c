/* Fails allocations on demand, and tells which were not freed. Preloaded (LD_PRELOAD) by failed_allocations.py.

   Counted are the allocations that come from the object files told by allocations_of() (the core, its compression libraries), by
   the address that malloc and the like return to; all others are passed on. The n-th since allocations_arm() is failed, when
   `lasting` every later one too. What was counted is kept in a table until it is freed, whoever frees it.

   Threads: any. glibc only: it is asked by the names under which it offers its own. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

enum { SLOTS = 1 << 18, RANGES = 8 };
static struct slot { uintptr_t memory, caller; } slots[SLOTS];
static struct { uintptr_t start, end; } ranges[RANGES];
static int range_count, lasting;
static long count, fail_at, held;
static uintptr_t failed;                        /* where the last one that failed came from */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void allocations_of(uintptr_t start, uintptr_t end) {
    ranges[range_count].start = start, ranges[range_count].end = end;
    range_count++;
}

/* Fail the n-th from now on; 0: none. */
void allocations_arm(long n, int every_later) {
    pthread_mutex_lock(&mutex);
    count = 0, fail_at = n, lasting = every_later, failed = 0;
    pthread_mutex_unlock(&mutex);
}

long allocations_counted(void) { return count; }
long allocations_held(void) { return held; }
uintptr_t allocations_failed(void) { return failed; }

/* Where those that are not freed came from: up to `room` of them. */
long allocations_left(uintptr_t *callers, long room) {
    long found = 0;
    for (size_t i = 0; i < SLOTS && found < room; i++)
        if (slots[i].memory) callers[found++] = slots[i].caller;
    return found;
}

static int ours(uintptr_t caller) {
    for (int i = 0; i < range_count; i++)
        if (caller >= ranges[i].start && caller < ranges[i].end) return 1;
    return 0;
}

static int fails(uintptr_t caller) {
    pthread_mutex_lock(&mutex);
    count++;
    int now = fail_at > 0 && (lasting ? count >= fail_at : count == fail_at);
    if (now) failed = caller;
    pthread_mutex_unlock(&mutex);
    if (now) errno = ENOMEM;
    return now;
}

static size_t home(uintptr_t memory) { return (size_t)((memory >> 4) * 0x9E3779B97F4A7C15u >> 40) & (SLOTS - 1); }

static void *keep(void *memory, uintptr_t caller) {
    if (memory == NULL) return NULL;
    pthread_mutex_lock(&mutex);
    if (held < SLOTS / 2) {
        size_t at = home((uintptr_t)memory);
        while (slots[at].memory) at = (at + 1) & (SLOTS - 1);
        slots[at].memory = (uintptr_t)memory, slots[at].caller = caller;
        held++;
    }
    pthread_mutex_unlock(&mutex);
    return memory;
}

/* Was it kept? Its slot is filled from those behind that would not be found across the gap. */
static int drop(void *memory) {
    if (memory == NULL || held == 0) return 0;
    int found = 0;
    pthread_mutex_lock(&mutex);
    size_t at = home((uintptr_t)memory);
    while (slots[at].memory && slots[at].memory != (uintptr_t)memory) at = (at + 1) & (SLOTS - 1);
    if (slots[at].memory) {
        found = 1, held--;
        for (size_t next = (at + 1) & (SLOTS - 1); slots[next].memory; next = (next + 1) & (SLOTS - 1))
            if (((next - home(slots[next].memory)) & (SLOTS - 1)) >= ((next - at) & (SLOTS - 1)))
                slots[at] = slots[next], at = next;
        slots[at].memory = 0;
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

#define CALLER ((uintptr_t)__builtin_return_address(0))

void *malloc(size_t size) {
    uintptr_t caller = CALLER;
    if (!ours(caller)) return __libc_malloc(size);
    return fails(caller) ? NULL : keep(__libc_malloc(size), caller);
}

void *calloc(size_t number, size_t size) {
    uintptr_t caller = CALLER;
    if (!ours(caller)) return __libc_calloc(number, size);
    return fails(caller) ? NULL : keep(__libc_calloc(number, size), caller);
}

/* What was not allocated by ours is the interpreter's, which passes the address it was called from on. */
void *realloc(void *old, size_t size) {
    uintptr_t caller = CALLER;
    int kept = old != NULL && drop(old);
    if (!ours(caller) || (old != NULL && !kept)) return __libc_realloc(old, size);
    void *memory = fails(caller) ? NULL : __libc_realloc(old, size);
    if (memory == NULL && kept) keep(old, caller);
    return keep(memory, caller);
}

int posix_memalign(void **to, size_t alignment, size_t size) {
    uintptr_t caller = CALLER;
    int counted = ours(caller);
    if (counted && fails(caller)) return ENOMEM;
    void *memory = __libc_memalign(alignment, size);
    if (memory == NULL) return ENOMEM;
    *to = counted ? keep(memory, caller) : memory;
    return 0;
}

void free(void *memory) {
    drop(memory);
    __libc_free(memory);
}
