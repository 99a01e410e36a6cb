# cython: language_level=3
"""HashIndex: where the newest record of each key lies; a Bitcask's keydir. Open addressing, in memory.

An entry (hash_entries.pxd) is led to by a slot: 32 bits of the key's hash above the entry's place. Slots lie in lines of eight, as
large as the processor's. The upper bits of the hash choose one of the segments, the low 32 the line of it where a search begins;
it goes on through full lines and ends at the first empty slot.

A segment grows by a quarter when seven eighths of it are taken, all by itself, and its slots say where they belong without
a look at their keys. So no insertion waits for more than some hundred slots to be moved for each million of keys, and no
second table is ever beside the first. An entry costs, beside its key, 20 bytes, 3.5 for rounding and 9.1 to 11.4 for its
slot, 40 at the most for any length of key.

Invariants: at most 7 of 8 slots of a segment are taken, so a search ends. The slots of a line are taken from its first on.
Whatever does not lie in the line where its search begins has only full lines between. An entry stays where it is until it
is removed.

Owner: the store, or a snapshot's. Threads: the store's index lock; growing and removing need the write lock, too.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from lsm.core.coding cimport Slice
from lsm.core.hash_entries cimport (
    HASH_ABSENT, HASH_CHUNK_UNITS, HashEntries, HashEntry, hash_entries_bytes, hash_entries_free, hash_entries_give, hash_entries_take,
    hash_entry_at, hash_entry_key, hash_entry_set, hash_entry_units,
)

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **to, size_t alignment, size_t size)

cdef extern from "lsm_bits.h" nogil:
    void LSM_ASSERT(bint condition)
    void lsm_prefetch(const void *p)


cdef enum:
    HASH_LINE_SLOTS = 8
    HASH_LINE_BYTES = 64
    HASH_LINE_ENTRIES = 7               # on the average, before the segment grows
    HASH_SEGMENT_BITS = 10              # of the index of a store


cdef struct HashSegment:
    uint64_t *slots
    uint32_t lines
    uint32_t count


cdef struct HashIndex:
    HashSegment *segments
    int bits                            # 2**bits segments
    HashEntries memory
    uint64_t entries
    uint64_t present                    # entries that are not absent
    uint64_t key_bytes                  # of all entries
    uint64_t slot_bytes


cdef inline int hash_index_init(HashIndex *self, int bits) noexcept nogil:
    """Empty. -1 when there is no memory."""
    memset(self, 0, sizeof(HashIndex))
    self.bits = bits
    self.memory.at = HASH_CHUNK_UNITS
    self.segments = <HashSegment *>calloc(<size_t>1 << bits, sizeof(HashSegment))
    return 0 if self.segments != NULL else -1


cdef inline void hash_index_free(HashIndex *self) noexcept nogil:
    cdef size_t i
    if self.segments != NULL:
        for i in range(<size_t>1 << self.bits):
            free(self.segments[i].slots)
    hash_entries_free(&self.memory)
    free(self.segments)
    memset(self, 0, sizeof(HashIndex))


cdef inline uint64_t hash_index_bytes(const HashIndex *self) noexcept nogil:
    """Memory taken: everything, keys and what is free too."""
    return (sizeof(HashSegment) << self.bits) + self.slot_bytes + hash_entries_bytes(&self.memory)


# ------------------------------------------------------------------------------------------------- slots and lines

cdef inline HashEntry *hash_entry_of(const HashIndex *self, uint64_t slot) noexcept nogil:
    return hash_entry_at(&self.memory, <uint32_t>slot)


cdef inline HashSegment *_segment_of(const HashIndex *self, uint64_t hash) noexcept nogil:
    return &self.segments[(hash >> 32) >> (32 - self.bits)]


cdef inline uint32_t _home(const HashSegment *segment, uint32_t hash) noexcept nogil:
    """The line where the search for a key of this hash begins."""
    return <uint32_t>((<uint64_t>hash * segment.lines) >> 32)


cdef inline uint32_t _line_behind(const HashSegment *segment, uint32_t line) noexcept nogil:
    return line + 1 if line + 1 < segment.lines else 0


cdef inline void hash_index_ask(const HashIndex *self, uint64_t hash) noexcept nogil:
    """Have the line where a search begins brought into the processor's cache."""
    cdef HashSegment *segment = _segment_of(self, hash)
    if segment.lines > 0:
        lsm_prefetch(segment.slots + <size_t>_home(segment, <uint32_t>hash) * HASH_LINE_SLOTS)


cdef inline void hash_index_ask_entry(const HashIndex *self, uint64_t hash) noexcept nogil:
    """The same for the entry it comes to first."""
    cdef HashSegment *segment = _segment_of(self, hash)
    cdef uint64_t *line
    cdef unsigned int i
    if segment.lines == 0:
        return
    line = segment.slots + <size_t>_home(segment, <uint32_t>hash) * HASH_LINE_SLOTS
    for i in range(<unsigned int>HASH_LINE_SLOTS):
        if line[i] >> 32 == <uint32_t>hash and line[i] != 0:
            lsm_prefetch(hash_entry_of(self, line[i]))
            return


cdef inline uint64_t *_find_slot(const HashIndex *self, uint64_t hash, Slice key) noexcept nogil:
    """The slot that leads to `key`, or NULL."""
    cdef HashSegment *segment = _segment_of(self, hash)
    cdef uint64_t *line
    cdef HashEntry *entry
    cdef uint32_t number
    cdef unsigned int i
    if segment.lines == 0:
        return NULL
    number = _home(segment, <uint32_t>hash)
    while True:
        line = segment.slots + <size_t>number * HASH_LINE_SLOTS
        for i in range(<unsigned int>HASH_LINE_SLOTS):
            if line[i] == 0:
                return NULL
            if line[i] >> 32 == <uint32_t>hash:
                entry = hash_entry_of(self, line[i])
                if entry.key_size == key.size and (key.size == 0
                                                   or memcmp(hash_entry_key(entry), key.data, key.size) == 0):
                    return line + i
        number = _line_behind(segment, number)


cdef inline HashEntry *hash_index_find(const HashIndex *self, uint64_t hash, Slice key) noexcept nogil:
    """The entry of `key`, also when that says it is absent, or NULL."""
    cdef uint64_t *slot = _find_slot(self, hash, key)
    return hash_entry_of(self, slot[0]) if slot != NULL else NULL


cdef inline void _put_slot(HashSegment *segment, uint64_t slot) noexcept nogil:
    cdef uint32_t number = _home(segment, <uint32_t>(slot >> 32))
    cdef uint64_t *line
    cdef unsigned int i
    while True:
        line = segment.slots + <size_t>number * HASH_LINE_SLOTS
        for i in range(<unsigned int>HASH_LINE_SLOTS):
            if line[i] == 0:
                line[i] = slot
                return
        number = _line_behind(segment, number)


cdef inline int _grow(HashIndex *self, HashSegment *segment) noexcept nogil:
    cdef HashSegment grown
    cdef void *slots = NULL
    cdef size_t i
    grown.lines = segment.lines + segment.lines // 4 + 1
    grown.count = segment.count
    if posix_memalign(&slots, HASH_LINE_BYTES, <size_t>grown.lines * HASH_LINE_BYTES) != 0:
        return -1
    memset(slots, 0, <size_t>grown.lines * HASH_LINE_BYTES)
    grown.slots = <uint64_t *>slots
    for i in range(<size_t>segment.lines * HASH_LINE_SLOTS):
        if segment.slots[i] != 0:
            _put_slot(&grown, segment.slots[i])
    self.slot_bytes += <uint64_t>(grown.lines - segment.lines) * HASH_LINE_BYTES
    free(segment.slots)
    segment[0] = grown
    return 0


cdef inline bint _passes_over(const HashSegment *segment, uint64_t slot, uint32_t line, uint32_t at) noexcept nogil:
    """Did the search for what is in line `at` look at `line`, some lines before, too?"""
    cdef uint32_t home = _home(segment, <uint32_t>(slot >> 32))
    if line <= at:
        return home <= line or home > at
    return at < home <= line


cdef inline void _close_hole(HashSegment *segment, uint64_t *slot) noexcept nogil:
    """Empty a slot, and let what had to go past its line come nearer."""
    cdef uint32_t number = <uint32_t>((slot - segment.slots) // HASH_LINE_SLOTS)
    cdef uint64_t *line = segment.slots + <size_t>number * HASH_LINE_SLOTS
    cdef uint32_t at
    cdef uint64_t *other
    cdef unsigned int last = HASH_LINE_SLOTS - 1
    cdef unsigned int i
    while last > 0 and line[last] == 0:
        last -= 1
    slot[0] = line[last]
    line[last] = 0
    if last < <unsigned int>HASH_LINE_SLOTS - 1:
        return
    at = number
    while True:
        at = _line_behind(segment, at)
        if at == number:
            return
        other = segment.slots + <size_t>at * HASH_LINE_SLOTS
        for i in range(<unsigned int>HASH_LINE_SLOTS):
            if other[i] == 0:
                return                      # nothing ever had to go past this line
            if _passes_over(segment, other[i], number, at):
                line[last] = other[i]
                _close_hole(segment, other + i)
                return


# --------------------------------------------------------------------------------------------------------- entries

cdef inline HashEntry *hash_index_insert(HashIndex *self, uint64_t hash, Slice key) noexcept nogil:
    """An entry for a key that has none. It says that the key is absent. NULL when there is no memory."""
    cdef HashSegment *segment = _segment_of(self, hash)
    cdef HashEntry *entry
    cdef uint32_t place
    if segment.count >= segment.lines * HASH_LINE_ENTRIES and _grow(self, segment) != 0:
        return NULL
    place = hash_entries_take(&self.memory, hash_entry_units(key.size))
    if place == 0:
        return NULL
    entry = hash_entry_of(self, place)
    hash_entry_set(entry, 0, 0, HASH_ABSENT, 0)
    entry.key_size = <uint16_t>key.size
    if key.size > 0:
        memcpy(hash_entry_key(entry), key.data, key.size)
    _put_slot(segment, <uint64_t><uint32_t>hash << 32 | place)
    segment.count += 1
    self.entries += 1
    self.key_bytes += key.size
    return entry


cdef inline void _remove_slot(HashIndex *self, HashSegment *segment, uint64_t *slot) noexcept nogil:
    cdef uint32_t place = <uint32_t>slot[0]
    cdef HashEntry *entry = hash_entry_of(self, place)
    self.entries -= 1
    self.key_bytes -= entry.key_size
    segment.count -= 1
    hash_entries_give(&self.memory, place, hash_entry_units(entry.key_size))
    _close_hole(segment, slot)


cdef inline void hash_index_remove(HashIndex *self, uint64_t hash, Slice key) noexcept nogil:
    """Forget a key, if it has an entry, which says that it is absent."""
    cdef uint64_t *slot = _find_slot(self, hash, key)
    if slot != NULL:
        LSM_ASSERT(hash_entry_of(self, slot[0]).value_size == HASH_ABSENT)
        _remove_slot(self, _segment_of(self, hash), slot)


cdef inline void hash_index_forget_absent(HashIndex *self) noexcept nogil:
    """Remove every entry that says its key is absent."""
    cdef HashSegment *segment
    cdef size_t number
    cdef size_t i
    for number in range(<size_t>1 << self.bits):
        segment = &self.segments[number]
        i = 0
        while i < <size_t>segment.lines * HASH_LINE_SLOTS:
            if segment.slots[i] != 0 and hash_entry_of(self, segment.slots[i]).value_size == HASH_ABSENT:
                _remove_slot(self, segment, segment.slots + i)      # another may have come into its place
            else:
                i += 1


ctypedef struct HashWalk:
    size_t segment
    size_t slot


cdef inline HashEntry *hash_segment_next(const HashIndex *self, HashWalk *walk) noexcept nogil:
    """The next entry of the segment where the walk is, absent ones too; behind the last NULL, and the walk is in the next one."""
    cdef HashSegment *segment = &self.segments[walk.segment]
    while walk.slot < <size_t>segment.lines * HASH_LINE_SLOTS:
        walk.slot += 1
        if segment.slots[walk.slot - 1] != 0:
            return hash_entry_of(self, segment.slots[walk.slot - 1])
    walk.segment += 1
    walk.slot = 0
    return NULL


cdef inline HashEntry *hash_index_next(const HashIndex *self, HashWalk *walk) noexcept nogil:
    """The entries in no order, one by one, absent ones too; NULL behind the last. A walk begins as zeros."""
    cdef HashEntry *entry
    while walk.segment < <size_t>1 << self.bits:
        entry = hash_segment_next(self, walk)
        if entry != NULL:
            return entry
    return NULL
