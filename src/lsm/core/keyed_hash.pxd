# cython: language_level=3
"""The hash of keys in memory, keyed by a secret of the process (keyed_hash.h).

Without the secret, keys could be chosen that all fall into one line of a memtable's index, and each put and get would
walk through them all. Threads: any, once the secret is set.
"""
from libc.stdint cimport uint8_t, uint64_t

from lsm.core.coding cimport Slice

cdef extern from "keyed_hash.h" nogil:
    uint64_t lsm_hash_secret[3]
    uint64_t lsm_keyed_hash(const uint8_t *data, size_t size)


cdef inline uint64_t key_hash(Slice key) noexcept nogil:
    return lsm_keyed_hash(key.data, key.size)
