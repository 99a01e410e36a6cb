"""Memtable: the Python owner of one core memtable. It lives as long as any view, scan or flush that refers to it.

The store adds to the newest one; `put`, `get` and `cursor` here are for tests and tools.
"""
cdef bytes _secret = _os.urandom(sizeof(lsm_hash_secret))
if lsm_hash_secret[0] == 0:             # once a process: memtables live on what it was
    memcpy(lsm_hash_secret, <const char *>_secret, sizeof(lsm_hash_secret))


@cython.final
cdef class Memtable:
    cdef c_memtable *table

    def __cinit__(self, Memtable before=None):
        """`before`: the one it follows, which tells about how many keys it will hold."""
        self.table = memtable_new(before.table.index.count if before is not None else 0)
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.table != NULL:
            with nogil:
                memtable_free(self.table)

    @property
    def bytes(self):
        """Memory taken, in bytes: what the budget `memtable_bytes` is held against."""
        cdef uint64_t size
        lsm_read_lock(&self.table.index_lock)         # the writer looks without it
        size = memtable_bytes(self.table)
        lsm_read_unlock(&self.table.index_lock)
        return size

    @property
    def entries(self):
        """Versions held, tombstones included."""
        return lsm_load_relaxed(&self.table.entries)

    @property
    def tombstones(self):
        return lsm_load_relaxed(&self.table.tombstones)

    @property
    def last_sequence(self):
        """Sequence number of the newest entry, 0 while empty."""
        return lsm_load_relaxed(&self.table.last_sequence)

    def put(self, bytes key not None, uint64_t sequence, int kind, bytes value not None):
        """Add one version; sequences must ascend."""
        if memtable_ensure(self.table, 1, entry_bytes(len(key), len(value))) != 0:
            raise MemoryError
        memtable_add(self.table, slice_of(<const char *>key, len(key)), key_hash(slice_of_bytes(key)), tag_of(sequence, kind),
                     slice_of(<const char *>value, len(value)))

    def get(self, bytes key not None, uint64_t sequence):
        """(sequence, kind, value) of the newest version at or below `sequence`, or None."""
        cdef const Entry *entry = memtable_get(self.table, slice_of(<const char *>key, len(key)), key_hash(slice_of_bytes(key)),
                                               sequence)
        if entry == NULL:
            return None
        return (tag_sequence(entry.tag), tag_kind(entry.tag),
                bytes_of(slice_of(entry_value(entry), entry.value_size)))

    def cursor(self):
        """A cursor over all versions of all keys."""
        return EntryCursor.over(memtable_cursor(self.table), self, "")

    def check(self):
        """Raise AssertionError when an invariant of the skip list is broken."""
        cdef int broken
        memtable_order(self.table)
        broken = skiplist_check(&self.table.list)
        if broken != 0:
            raise AssertionError(f"skiplist invariant {broken} is broken")
