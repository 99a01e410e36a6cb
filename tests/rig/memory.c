/* Memory that runs out, preloaded: the n-th allocation that the compiled core asks for fails, once or from then on.
 *
 * Whose allocation it is tells the address that called: between the two ends given to memory_watch. Everybody else is served. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static uintptr_t low, high;
static atomic_long asked, failing;
static long first = -1;
static int lasting;

void memory_watch(uintptr_t from, uintptr_t to) { low = from; high = to; }

void memory_fail(long number, int for_ever) {
    atomic_store(&asked, 0);
    atomic_store(&failing, 0);
    lasting = for_ever;
    first = number;
}

long memory_failed(void) { return atomic_load(&failing); }

static int refused(void *caller) {
    long number;
    if (first < 0 || (uintptr_t)caller < low || (uintptr_t)caller >= high)
        return 0;
    number = atomic_fetch_add(&asked, 1);
    if (number < first || (number > first && !lasting))
        return 0;
    atomic_fetch_add(&failing, 1);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) { return refused(__builtin_return_address(0)) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return refused(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return refused(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size); }
void *aligned_alloc(size_t at, size_t size) { return refused(__builtin_return_address(0)) ? NULL : __libc_memalign(at, size); }
int posix_memalign(void **to, size_t at, size_t size) {
    void *found = refused(__builtin_return_address(0)) ? NULL : __libc_memalign(at, size);
    if (found != NULL)
        *to = found;
    return found == NULL ? ENOMEM : 0;
}
