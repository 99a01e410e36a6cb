# BlockCache: the Python door to core/cache.pxd. One may serve any number of databases and threads of the process.
#
# In the child of a fork every cache begins empty: a lock of the old one may be held by a thread that is not there any
# more. The old one is left where it is, for the tables of the parent that point to it and are not used any more.
import weakref as _weakref

from lsm.core.cache cimport Cache, CacheStats, cache_close, cache_open, cache_stats

cdef object _caches = _weakref.WeakSet()


cdef class BlockCache:
    """BlockCache(bytes): keeps up to that many bytes of table blocks in memory, uncompressed. 0 keeps none.

    Give it to several `lsm.open(..., block_cache=cache)` to let them share one budget; `block_cache_bytes` does not
    count then. Any thread; in the child of a fork it begins empty. Raises TypeError, ValueError.

    >>> cache = lsm.BlockCache(256 << 20)
    >>> with lsm.open("a", block_cache=cache) as a, lsm.open("b", block_cache=cache) as b:
    ...     cache.capacity, cache.blocks
    (268435456, 0)
    """
    cdef Cache *cache
    cdef object __weakref__

    def __cinit__(self, bytes):
        if isinstance(bytes, bool) or not isinstance(bytes, int):
            raise TypeError(f"BlockCache takes a number of bytes, not {type(bytes).__name__}")
        if not 0 <= bytes < 1 << 60:
            raise ValueError(f"BlockCache takes a number of bytes from 0, not {bytes}")
        self.cache = cache_open(bytes)
        if self.cache == NULL:
            raise MemoryError("no memory for a block cache")
        _caches.add(self)

    def __dealloc__(self):
        if self.cache != NULL:
            cache_close(self.cache)

    cdef CacheStats figures(self) noexcept:
        cdef CacheStats stats
        with nogil:
            cache_stats(self.cache, &stats)
        return stats

    cdef int renew(self) except -1:
        cdef Cache *fresh = cache_open(self.cache.capacity)
        if fresh != NULL:
            self.cache = fresh
        return 0

    @property
    def capacity(self):
        """The budget in bytes."""
        return self.cache.capacity

    @property
    def used(self):
        """Bytes taken, with what each block costs beside its contents."""
        return self.figures().used

    @property
    def blocks(self):
        """Blocks kept."""
        return self.figures().blocks

    @property
    def hits(self):
        """Reads answered from the cache."""
        return self.figures().hits

    @property
    def misses(self):
        """Reads that had to go to a file."""
        return self.figures().misses

    @property
    def evictions(self):
        """Blocks dropped to make room."""
        return self.figures().evictions

    def __repr__(self):
        return f"BlockCache({self.capacity}: {self.used} bytes in {self.blocks} blocks)"


def _renew_caches():
    cdef BlockCache cache
    for cache in list(_caches):
        cache.renew()


_os.register_at_fork(after_in_child=_renew_caches)
