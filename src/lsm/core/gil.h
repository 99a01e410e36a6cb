/* What the GIL guards where there is one, and a lock of its own where there is none (a free-threaded build of Python).

   lsm_guard   a spin lock for a few instructions that touch Python references: never held across anything that may
               release the GIL, run Python code or free an object. Nothing at all in a build with the GIL.
   lsm_flag    "somebody uses this": lsm_take answers whether somebody else does, and else takes it; assigning 0 gives it
               back. An ordinary int in a build with the GIL.
   lsm_atomic_int, lsm_atomic_ulong    read anywhere, changed by the functions below or by assignment; atomic everywhere. */
#ifndef LSM_GIL_H
#define LSM_GIL_H

#include <stdatomic.h>
#include <Python.h>
#include "lsm_bits.h"

typedef _Atomic int lsm_atomic_int;
typedef _Atomic unsigned long lsm_atomic_ulong;

static inline int lsm_swap(lsm_atomic_int *p, int value) { return atomic_exchange(p, value); }
static inline void lsm_set_bits(lsm_atomic_int *p, int bits) { atomic_fetch_or(p, bits); }
static inline void lsm_clear_bits(lsm_atomic_int *p, int bits) { atomic_fetch_and(p, ~bits); }

#ifdef Py_GIL_DISABLED
typedef _Atomic int lsm_flag;
typedef _Atomic int lsm_guard;
static inline int lsm_take(lsm_flag *flag) { return atomic_exchange(flag, 1); }
static inline void lsm_guard_lock(lsm_guard *guard) {
    unsigned spins = 0;
    while (atomic_exchange_explicit(guard, 1, memory_order_acquire)) {
        while (atomic_load_explicit(guard, memory_order_relaxed)) lsm_relax(&spins);
    }
}
static inline void lsm_guard_unlock(lsm_guard *guard) { atomic_store_explicit(guard, 0, memory_order_release); }
#else
typedef int lsm_flag;
typedef int lsm_guard;
static inline int lsm_take(lsm_flag *flag) {
    int taken = *flag;
    *flag = 1;
    return taken;
}
static inline void lsm_guard_lock(lsm_guard *guard) { (void)guard; }
static inline void lsm_guard_unlock(lsm_guard *guard) { (void)guard; }
#endif

#endif
