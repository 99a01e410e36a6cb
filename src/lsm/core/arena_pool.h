/* Blocks of memory that arenas gave back, for the next arena: the system clears every page that it hands out, which for
   writers in a row costs a quarter of their time.

   All blocks have one size. At most LSM_POOL_MAX are kept, and none once nobody uses the pool any more. Debug builds keep
   none, so that a sanitizer sees what is used after it was freed. Threads: any; a fork finds the lock free. */
#ifndef LSM_ARENA_POOL_H
#define LSM_ARENA_POOL_H

#include <pthread.h>
#include <stdlib.h>

#ifdef LSM_DEBUG
#define LSM_POOL_MAX 0
#else
#define LSM_POOL_MAX 32     /* of 2 MiB: what a memtable of the default size takes */
#endif

static pthread_mutex_t lsm_pool_lock = PTHREAD_MUTEX_INITIALIZER;
static void *lsm_pool_first;        /* the first word of each leads to the next */
static unsigned lsm_pool_count;
static unsigned lsm_pool_users;

static inline void lsm_pool_before_fork(void) { pthread_mutex_lock(&lsm_pool_lock); }
static inline void lsm_pool_after_fork(void) { pthread_mutex_unlock(&lsm_pool_lock); }

static inline void lsm_pool_enter(void) {
    static int registered;
    pthread_mutex_lock(&lsm_pool_lock);
    if (!registered) registered = pthread_atfork(lsm_pool_before_fork, lsm_pool_after_fork, lsm_pool_after_fork) == 0;
    lsm_pool_users++;
    pthread_mutex_unlock(&lsm_pool_lock);
}

/* A block, or NULL when none is kept. */
static inline void *lsm_pool_take(void) {
    void *block;
    pthread_mutex_lock(&lsm_pool_lock);
    block = lsm_pool_first;
    if (block != NULL) {
        lsm_pool_first = *(void **)block;
        lsm_pool_count--;
    }
    pthread_mutex_unlock(&lsm_pool_lock);
    return block;
}

/* Keep a block, or free it when there are enough. */
static inline void lsm_pool_give(void *block) {
    int keep;
    pthread_mutex_lock(&lsm_pool_lock);
    keep = lsm_pool_count < LSM_POOL_MAX;
    if (keep) {
        *(void **)block = lsm_pool_first;
        lsm_pool_first = block;
        lsm_pool_count++;
    }
    pthread_mutex_unlock(&lsm_pool_lock);
    if (!keep) free(block);
}

static inline void lsm_pool_leave(void) {
    void *block = NULL;
    pthread_mutex_lock(&lsm_pool_lock);
    if (--lsm_pool_users == 0) {
        block = lsm_pool_first;
        lsm_pool_first = NULL;
        lsm_pool_count = 0;
    }
    pthread_mutex_unlock(&lsm_pool_lock);
    while (block != NULL) {
        void *next = *(void **)block;
        free(block);
        block = next;
    }
}

#endif
