/* Machine-dependent one-liners that Cython cannot say: byte order, atomics, locks, prefetch. */
#ifndef LSM_BITS_H
#define LSM_BITS_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static inline uint64_t lsm_load_big64(const void *p) {
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static inline void lsm_store_big64(void *p, uint64_t v) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    memcpy(p, &v, 8);
}

static inline void lsm_store_big32(void *p, uint32_t v) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    memcpy(p, &v, 4);
}

/* acquire/release loads and stores of aligned words shared between a writer and readers without a lock */
#define lsm_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define lsm_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define lsm_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define lsm_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define lsm_exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define lsm_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)

/* Take a word that is 0 while nobody has it: did this do so? Given back by storing 0 with release. */
static inline int lsm_try(uint32_t *word) {
    uint32_t free = 0;
    return __atomic_load_n(word, __ATOMIC_RELAXED) == 0
        && __atomic_compare_exchange_n(word, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Ask for the cache line at p. The empty asm keeps gcc from dropping calls of functions that do nothing else. */
#define lsm_prefetch(p)                \
    do {                               \
        __builtin_prefetch(p);         \
        __asm__ volatile("" ::: );     \
    } while (0)
/* Copy `size` bytes in steps of sixteen: reads and writes up to 32 bytes behind them. */
static inline void lsm_copy_over(uint8_t *to, const uint8_t *from, size_t size) {
    size_t i = 0;
    if (size > 512) {
        memcpy(to, from, size);
        return;
    }
    do {
        memmove(to + i, from + i, 16);     /* what is copied beyond `size` may overlap */
        i += 16;
    } while (i < size);
}
/* Copy `size` bytes, touching no others: memcpy without the call for what is of the size of a row. */
static inline void lsm_copy_exact(uint8_t *to, const uint8_t *from, size_t size) {
    size_t i;
    if (size < 16 || size > 512) {
        if (size > 0) memcpy(to, from, size);
        return;
    }
    for (i = 0; i < size - 16; i += 16) memcpy(to + i, from + i, 16);
    memcpy(to + size - 16, from + size - 16, 16);
}
#define lsm_likely(x) __builtin_expect(!!(x), 1)
#define lsm_unlikely(x) __builtin_expect(!!(x), 0)

/* A readers-writer lock of one word for critical sections of well under a microsecond: many readers or one writer,
   writers first. Never held across a system call, an allocation or anything that needs the GIL. Zero is unlocked. */
typedef struct { uint32_t word; } lsm_rwlock;
#define LSM_RW_WRITER 0x80000000u

static inline void lsm_relax(unsigned *spins) {
    if (++*spins & 63) {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    } else {
        sched_yield();
    }
}

static inline void lsm_read_lock(lsm_rwlock *lock) {
    unsigned spins = 0;
    while (__atomic_fetch_add(&lock->word, 1, __ATOMIC_ACQUIRE) & LSM_RW_WRITER) {
        __atomic_fetch_sub(&lock->word, 1, __ATOMIC_RELAXED);
        while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) & LSM_RW_WRITER) lsm_relax(&spins);
    }
}

static inline void lsm_read_unlock(lsm_rwlock *lock) { __atomic_fetch_sub(&lock->word, 1, __ATOMIC_RELEASE); }

static inline void lsm_write_lock(lsm_rwlock *lock) {
    unsigned spins = 0;
    while (__atomic_fetch_or(&lock->word, LSM_RW_WRITER, __ATOMIC_ACQUIRE) & LSM_RW_WRITER) lsm_relax(&spins);
    while (__atomic_load_n(&lock->word, __ATOMIC_ACQUIRE) != LSM_RW_WRITER) lsm_relax(&spins);
}

static inline void lsm_write_unlock(lsm_rwlock *lock) {
    __atomic_fetch_and(&lock->word, ~LSM_RW_WRITER, __ATOMIC_RELEASE);
}

/* A slot: a word that holds an aligned pointer, or 0, and is locked by its lowest bit. The lock guards what the pointer
   leads to for a few instructions, until a reference is taken; it is never held across a system call, an allocation or
   anything that needs the GIL. An empty slot is not locked by lsm_slot_lock, which answers 0 then; what else is
   written to a slot is written by the holder of a lock that all writers share. */
static inline uintptr_t lsm_slot_lock(uintptr_t *slot) {
    unsigned spins = 0;
    for (;;) {
        uintptr_t word = __atomic_load_n(slot, __ATOMIC_RELAXED);
        if (word == 0) return 0;
        if (!(word & 1) && __atomic_compare_exchange_n(slot, &word, word | 1, 1, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return word;
        lsm_relax(&spins);
    }
}

static inline void lsm_slot_set(uintptr_t *slot, uintptr_t word) { __atomic_store_n(slot, word, __ATOMIC_RELEASE); }

/* `size` bytes, a multiple of the size of a huge page, of huge pages where the system gives any; freed by free(). */
static inline void *lsm_huge_alloc(size_t size) {
    void *memory = NULL;
    if (posix_memalign(&memory, 2u << 20, size) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(memory, size, MADV_HUGEPAGE);     /* advice: refused, it is ordinary memory */
#endif
    return memory;
}

/* Have the system give all pages of this memory now. */
static inline void lsm_touch(void *memory, size_t size) {
    for (size_t i = 0; i < size; i += 4096) ((volatile uint8_t *)memory)[i] = 0;
}

/* LSM_ASSERT(condition): an invariant of the C parts, checked in debug builds (LSM_DEBUG=1), free otherwise. */
#ifdef LSM_DEBUG
#include <stdio.h>
#include <stdlib.h>
#define LSM_ASSERT(condition)                                                                     \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "lsm: invariant broken: %s (%s:%d)\n", #condition, __FILE__, __LINE__); \
            abort();                                                                              \
        }                                                                                         \
    } while (0)
#else
#define LSM_ASSERT(condition) ((void)0)
#endif

#endif
