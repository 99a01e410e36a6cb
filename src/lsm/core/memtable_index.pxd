# cython: language_level=3
"""The hash index of a memtable: from a key straight to its newest entry.

A point read in a skip list waits for memory at every hop; here it waits for one line of the index and for the entry. A
slot is a word: the address of an entry in its upper 48 bits, 16 bits of the hash below, 0 when it is empty. Eight slots
are a line, as large as the processor's. The low bits of the hash choose the line where a search begins; it goes on
through full lines and ends at the first empty slot.

Invariants: one slot for each key, leading to its newest entry; at most three quarters of the slots are taken, so a
search ends; nothing is removed, so slots of a line are taken from its first on.

Owner: the memtable. Threads: the memtable's lock, shared to find and alone to put; growing is the writer's, who makes
the larger index beside the old one, without the lock, and changes them under it.
"""
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memset

from lsm.core.coding cimport Slice
from lsm.core.key cimport compare_keys
from lsm.core.keyed_hash cimport lsm_keyed_hash
from lsm.core.skiplist cimport Entry, entry_key

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **to, size_t alignment, size_t size)

cdef extern from "lsm_bits.h" nogil:
    void LSM_ASSERT(bint condition)
    void lsm_prefetch(const void *p)
    void *lsm_huge_alloc(size_t size)


cdef enum:
    INDEX_LINE_SLOTS = 8
    INDEX_LINE_BYTES = 64
    INDEX_LINE_ENTRIES = 6          # on the average, before it grows
    INDEX_LINES_MIN = 4
    INDEX_HUGE_BYTES = 2097152      # from here on asked for in huge pages
    INDEX_AHEAD = 12                # entries asked for before they are needed when it grows


ctypedef struct MemtableIndex:
    uint64_t *slots
    uint64_t lines                  # a power of two
    uint64_t count


cdef inline uint64_t index_bytes(const MemtableIndex *self) noexcept nogil:
    return self.lines * INDEX_LINE_BYTES


cdef inline void index_free(MemtableIndex *self) noexcept nogil:
    free(self.slots)
    self.slots = NULL
    self.lines = 0


cdef inline int _index_init(MemtableIndex *self, uint64_t lines) noexcept nogil:
    """Empty, with so many lines. -1 when there is no memory, or addresses have more than 48 bits here."""
    cdef void *slots = NULL
    cdef size_t size = <size_t>lines * INDEX_LINE_BYTES
    if size >= INDEX_HUGE_BYTES:
        slots = lsm_huge_alloc(size)
    elif posix_memalign(&slots, INDEX_LINE_BYTES, size) != 0:
        slots = NULL
    if slots == NULL or <uint64_t><uintptr_t>slots >> 48 != 0:
        free(slots)
        return -1
    memset(slots, 0, size)
    self.slots = <uint64_t *>slots
    self.lines = lines
    self.count = 0
    return 0


cdef inline int index_init(MemtableIndex *self, uint64_t keys) noexcept nogil:
    """An index about to hold so many keys, as far as is known; it grows. -1 when there is no memory."""
    cdef uint64_t lines = INDEX_LINES_MIN
    while lines * INDEX_LINE_ENTRIES < keys:
        lines *= 2
    return _index_init(self, lines)


cdef inline const Entry *_slot_entry(uint64_t slot) noexcept nogil:
    return <const Entry *><uintptr_t>(slot >> 16)


cdef inline uint64_t *_line_of(const MemtableIndex *self, uint64_t hash) noexcept nogil:
    return self.slots + (hash & (self.lines - 1)) * INDEX_LINE_SLOTS


cdef inline uint64_t *_line_after(const MemtableIndex *self, uint64_t *line) noexcept nogil:
    line += INDEX_LINE_SLOTS
    return line if line < self.slots + self.lines * INDEX_LINE_SLOTS else self.slots


cdef inline void index_ask(const MemtableIndex *self, uint64_t hash) noexcept nogil:
    """Have the line of this hash brought into the processor's cache."""
    lsm_prefetch(_line_of(self, hash))


cdef inline void index_ask_entry(const MemtableIndex *self, uint64_t hash) noexcept nogil:
    """The same for the entry that a search comes to first."""
    cdef uint64_t *line = _line_of(self, hash)
    cdef uintptr_t entry                # an address: of an empty slot 0, which asking for does no harm
    cdef unsigned int i
    for i in range(<unsigned int>INDEX_LINE_SLOTS):
        if line[i] & 0xFFFF == hash >> 48:
            entry = <uintptr_t>_slot_entry(line[i])
            lsm_prefetch(<const void *>entry)
            lsm_prefetch(<const void *>(entry + 64))
            lsm_prefetch(<const void *>(entry + 128))
            return


cdef inline const Entry *index_find(const MemtableIndex *self, uint64_t hash, Slice key) noexcept nogil:
    """The newest entry of `key`, or NULL."""
    cdef uint64_t *line = _line_of(self, hash)
    cdef const Entry *entry
    cdef unsigned int i
    while True:
        for i in range(<unsigned int>INDEX_LINE_SLOTS):
            if line[i] == 0:
                return NULL
            if line[i] & 0xFFFF == hash >> 48:
                entry = _slot_entry(line[i])
                lsm_prefetch(<const char *>entry + 64)
                lsm_prefetch(<const char *>entry + 128)
                if compare_keys(entry_key(entry), entry.key_size, key.data, key.size) == 0:
                    return entry
        line = _line_after(self, line)


cdef inline void index_put(MemtableIndex *self, uint64_t hash, const Entry *entry, const Entry *older) noexcept nogil:
    """Lead to `entry` from now on: in the place of `older`, or, when that is NULL, in a slot of its own."""
    cdef uint64_t *line = _line_of(self, hash)
    cdef uint64_t tag = hash >> 48
    cdef uint64_t replaced = (<uint64_t><uintptr_t>older << 16) | tag if older != NULL else 0
    cdef unsigned int i
    LSM_ASSERT(<uint64_t><uintptr_t>entry >> 48 == 0)
    while True:
        for i in range(<unsigned int>INDEX_LINE_SLOTS):
            if line[i] == replaced:
                line[i] = (<uint64_t><uintptr_t>entry << 16) | tag
                self.count += older == NULL
                return
            LSM_ASSERT(line[i] != 0)
        line = _line_after(self, line)


cdef inline void _index_copy(const MemtableIndex *self, MemtableIndex *to) noexcept nogil:
    """Put all entries into a larger index. They lie anywhere in memory: each is asked for some steps before."""
    cdef uint64_t slots = self.lines * INDEX_LINE_SLOTS
    cdef const Entry *entry
    cdef uint64_t i
    for i in range(slots):
        if i + INDEX_AHEAD < slots and self.slots[i + INDEX_AHEAD] != 0:
            lsm_prefetch(_slot_entry(self.slots[i + INDEX_AHEAD]))
        if self.slots[i] != 0:
            entry = _slot_entry(self.slots[i])
            index_put(to, lsm_keyed_hash(entry_key(entry), entry.key_size), entry, NULL)


cdef inline bint index_has_room(const MemtableIndex *self, uint64_t more) noexcept nogil:
    return self.count + more <= self.lines * INDEX_LINE_ENTRIES


cdef inline int index_grown(const MemtableIndex *self, uint64_t more, MemtableIndex *to) noexcept nogil:
    """Make another index with the same entries and room for so many more. -1 when there is no memory."""
    if index_init(to, self.count + more) != 0:
        return -1
    _index_copy(self, to)
    return 0
