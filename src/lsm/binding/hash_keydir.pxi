"""HashKeydir: what a hashlog knows: the index, and the files on show that it leads to. The ground that its writing, reading,
opening and merging stand on (hash_write.pxi, hash_batch.pxi, hash_load.pxi, hash_merge.pxi, hash_store.pxi).

Invariants
- The index leads to the newest record of each key, and `files` has every file that the index or a snapshot leads to.
- Entries are made and removed by the holder of the write lock alone; the index lock is held for every change and every look of
  others. A batch is shown under one hold of it: seen whole or not at all.

Locks: the write lock, then the index lock, which is held for C alone: no Python runs under it, and its holder never waits for
the GIL.
"""
from lsm.core.hash_entries cimport HASH_ABSENT, HashEntry, hash_entry_sequence, hash_entry_set, hash_entry_slice, hash_sequence_max
from lsm.core.hash_index cimport (
    HASH_SEGMENT_BITS, HashIndex, HashWalk, hash_index_ask, hash_index_ask_entry, hash_index_bytes, hash_index_find,
    hash_index_forget_absent, hash_index_free, hash_index_init, hash_index_insert, hash_index_next, hash_index_remove,
    hash_segment_next,
)


ctypedef struct FileSlot:
    PyObject *file                      # borrowed from `files`
    FileCounts *counts
    DataPages *pages


cdef struct Undo                        # hash_undo.pxi


cdef class HashKeydir(Writer):
    cdef pthread_mutex_t index_lock
    cdef HashIndex index
    cdef dict files                     # number -> DataFile; replaced, never changed
    cdef FileSlot *slots                # the same by number, from `first_slot` on
    cdef uint64_t first_slot
    cdef uint64_t slot_count
    cdef DataFile active
    cdef DataPages *newest_pages        # of it, or NULL
    cdef readonly uint64_t wanted       # bytes that the write which asks for another file needs
    cdef uint64_t hash_gets
    cdef uint64_t moments               # counted since it was opened
    cdef Undo *newest                   # what the snapshots keep
    cdef Undo *oldest
    cdef uint64_t undo_changes          # how often one of them left the list

    def __cinit__(self):
        pthread_mutex_init(&self.index_lock, NULL)
        self.files = {}
        if hash_index_init(&self.index, HASH_SEGMENT_BITS) != 0:
            raise MemoryError

    def __dealloc__(self):
        hash_index_free(&self.index)
        free(self.slots)
        pthread_mutex_destroy(&self.index_lock)

    cdef inline void lock_index(self) noexcept:
        """Take the index lock while holding the GIL. It is only ever taken at once: who waits without the GIL would then wait for
        that with the lock held."""
        while pthread_mutex_trylock(&self.index_lock) != 0:
            with nogil:
                pthread_mutex_lock(&self.index_lock)
                pthread_mutex_unlock(&self.index_lock)

    cdef inline void unlock_index(self) noexcept nogil:
        pthread_mutex_unlock(&self.index_lock)

    cdef inline FileCounts *counts_of(self, uint32_t number) noexcept nogil:
        return self.slots[number - self.first_slot].counts

    def _show_files(self, dict files not None, tuple logs not None, DataFile active):
        """From now on these are the files (number -> DataFile) that are looked into; `logs` are those of them that are not yet
        made for keeping, oldest first; `active` is written to, None: the next write has to rotate first. Under the write lock
        when that changes."""
        cdef uint64_t first = min(files) if files else 1
        cdef uint64_t count = max(files) - first + 1 if files else 1
        cdef FileSlot *slots
        cdef FileSlot *before = self.slots
        cdef dict replaced = self.files
        cdef DataFile file
        cdef DataFile was = self.active
        cdef list heirs = []
        for file in files.values():
            if file.before is not None:
                heirs.append(file)
        slots = <FileSlot *>calloc(count, sizeof(FileSlot))
        if slots == NULL:
            raise MemoryError
        for number, file in files.items():
            slots[<uint64_t>number - first].file = <PyObject *>file
            slots[<uint64_t>number - first].counts = &file.counts
            slots[<uint64_t>number - first].pages = &file.pages
        self.lock_index()
        for file in heirs:
            file.counts = file.before.counts
        self.slots = slots
        self.newest_pages = &active.pages if active is not None else NULL
        self.first_slot = first
        self.slot_count = count
        self.files = files
        self.unlock_index()
        for file in heirs:
            file.before = None
        free(before)
        lsm_guard_lock(&self.guard)
        self.logs = logs
        lsm_guard_unlock(&self.guard)
        if self.active is not active:                   # only under the write lock, or before and after all writing
            self.prepare_for(active, None)
            self.active = active

    def _drop_files(self):
        """After closing: let go of everything."""
        cdef HashIndex index
        self._show_files({}, (), None)
        if hash_index_init(&index, HASH_SEGMENT_BITS) != 0:
            return
        self.lock_index()
        index, self.index = self.index, index
        self.unlock_index()
        hash_index_free(&index)

    @property
    def _logs(self):
        lsm_guard_lock(&self.guard)
        logs = self.logs
        lsm_guard_unlock(&self.guard)
        return logs

    @property
    def _files(self):
        return self.files

    @property
    def _active(self):
        return self.active

    @property
    def _index_figures(self):
        """keys, bytes of keys, memory of the index."""
        self.lock_index()
        figures = (self.index.present, self.index.key_bytes, hash_index_bytes(&self.index))
        self.unlock_index()
        return figures

    @property
    def _counters(self):
        return {"bytes_written": lsm_load_relaxed(&self.bytes_written), "log_bytes": lsm_load_relaxed(&self.log_bytes),
                "syncs": lsm_load_relaxed(&self.syncs), "gets": lsm_load_relaxed(&self.hash_gets)}

    @property
    def _sequence(self):
        return lsm_load_acquire(&self.sequence)

    @property
    def _synced(self):
        return lsm_load_acquire(&self.synced)

    @property
    def _recovered(self):
        return self.recovered


cdef inline void _add(uint64_t *counter, uint64_t more) noexcept nogil:
    """Under the index lock; who only wants to know reads it without."""
    lsm_store_relaxed(counter, counter[0] + more)


cdef inline void _take(uint64_t *counter, uint64_t less) noexcept nogil:
    lsm_store_relaxed(counter, counter[0] - less)


cdef inline void _place_of(const HashEntry *entry, DataPlace *place) noexcept nogil:
    place.offset = <uint64_t>entry.offset << 3
    place.key_size = entry.key_size
    place.value_size = entry.value_size
    place.sequence = hash_entry_sequence(entry)
