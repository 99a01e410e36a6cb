# cython: language_level=3
"""HashEntries: the memory of the entries of a hash index: one for each key, found by its place.

An entry is 20 bytes and its key, rounded up to eight, in chunks of two megabytes. Its place is a number of eight-byte units, counted
from 1. What is given back is taken again for the next of its size. An entry stays where it is until it is given back.

Owner: the index. Threads: as the index.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc

from lsm.core.coding cimport Slice, slice_of

cdef extern from "lsm_bits.h" nogil:
    void *lsm_huge_alloc(size_t size)


cdef enum:
    HASH_ENTRY_BYTES = 20
    HASH_UNIT = 8
    HASH_CHUNK_BYTES = 2097152          # as large as a huge page
    HASH_CHUNK_UNITS = 262144
    HASH_CHUNK_SHIFT = 18
    HASH_CHUNKS_SMALL = 1               # so many are ordinary memory, which is there when it is touched
    HASH_CLASSES = 64                   # free entries of up to so many units are kept by their size
    HASH_LARGE_LOOKED_AT = 32
    HASH_ABSENT = 0xFFFFFFFF            # the value size of a key that is not there


cdef struct HashEntry:
    uint32_t file                       # number of the data file
    uint32_t offset                     # of the record in it, in units of eight bytes
    uint32_t value_size                 # or HASH_ABSENT
    uint32_t sequence_low
    uint16_t sequence_high
    uint16_t key_size                   # the key follows


cdef struct HashEntries:
    uint8_t **chunks
    uint32_t chunk_count
    uint32_t chunk_room
    uint32_t at                         # unit in the last chunk from which on it is free; HASH_CHUNK_UNITS: none
    uint32_t free_of[HASH_CLASSES + 1]  # by units; [0]: larger ones


cdef inline uint8_t *hash_entry_key(const HashEntry *entry) noexcept nogil:
    return <uint8_t *>entry + HASH_ENTRY_BYTES


cdef inline uint64_t hash_entry_sequence(const HashEntry *entry) noexcept nogil:
    return <uint64_t>entry.sequence_high << 32 | entry.sequence_low


cdef inline uint64_t hash_sequence_max() noexcept nogil:
    return (<uint64_t>1 << 48) - 1


cdef inline void hash_entry_set(HashEntry *entry, uint32_t file, uint32_t offset, uint32_t value_size,
                                uint64_t sequence) noexcept nogil:
    entry.file = file
    entry.offset = offset
    entry.value_size = value_size
    entry.sequence_low = <uint32_t>sequence
    entry.sequence_high = <uint16_t>(sequence >> 32)


cdef inline Slice hash_entry_slice(const HashEntry *entry) noexcept nogil:
    return slice_of(hash_entry_key(entry), entry.key_size)


cdef inline HashEntry *hash_entry_at(const HashEntries *self, uint32_t place) noexcept nogil:
    place -= 1
    return <HashEntry *>(self.chunks[place >> HASH_CHUNK_SHIFT] + <size_t>(place & (HASH_CHUNK_UNITS - 1)) * HASH_UNIT)


cdef inline void hash_entries_free(HashEntries *self) noexcept nogil:
    cdef size_t i
    for i in range(self.chunk_count):
        free(self.chunks[i])
    free(self.chunks)


cdef inline uint64_t hash_entries_bytes(const HashEntries *self) noexcept nogil:
    """Memory taken, free or not."""
    return <uint64_t>self.chunk_count * HASH_CHUNK_BYTES + self.chunk_room * sizeof(void *)


cdef inline uint32_t hash_entry_units(size_t key_size) noexcept nogil:
    return <uint32_t>((HASH_ENTRY_BYTES + key_size + HASH_UNIT - 1) // HASH_UNIT)


cdef inline uint32_t *_free_words(const HashEntries *self, uint32_t place) noexcept nogil:
    """Of a free stretch: the next of its list, and its units."""
    return <uint32_t *>hash_entry_at(self, place)


cdef inline void hash_entries_give(HashEntries *self, uint32_t place, uint32_t units) noexcept nogil:
    cdef uint32_t list_ = units if units <= HASH_CLASSES else 0
    cdef uint32_t *words
    if units == 0:
        return
    words = _free_words(self, place)
    words[0] = self.free_of[list_]
    words[1] = units
    self.free_of[list_] = place


cdef inline uint32_t _take_large(HashEntries *self, uint32_t units) noexcept nogil:
    """The front of a free stretch that is large enough; 0 when none of the first of them is."""
    cdef uint32_t *link = &self.free_of[0]
    cdef uint32_t place = link[0]
    cdef uint32_t *words
    cdef uint32_t size
    cdef int looked = 0
    while place != 0 and looked < HASH_LARGE_LOOKED_AT:
        words = _free_words(self, place)
        if words[1] >= units:
            link[0] = words[0]
            size = words[1]
            hash_entries_give(self, place + units, size - units)
            return place
        link = words
        place = words[0]
        looked += 1
    return 0


cdef inline int _new_chunk(HashEntries *self) noexcept nogil:
    cdef uint8_t **grown
    cdef uint8_t *chunk
    cdef uint32_t room
    if self.chunk_count == <uint32_t>1 << (32 - HASH_CHUNK_SHIFT):
        return -1                           # 32 GiB of entries are all that 32 bits lead to
    if self.chunk_count == self.chunk_room:
        room = self.chunk_room * 2 + 4
        grown = <uint8_t **>realloc(self.chunks, room * sizeof(uint8_t *))
        if grown == NULL:
            return -1
        self.chunks = grown
        self.chunk_room = room
    if self.chunk_count < HASH_CHUNKS_SMALL:
        chunk = <uint8_t *>malloc(HASH_CHUNK_BYTES)
    else:
        chunk = <uint8_t *>lsm_huge_alloc(HASH_CHUNK_BYTES)
    if chunk == NULL:
        return -1
    if self.at < HASH_CHUNK_UNITS:
        hash_entries_give(self, ((self.chunk_count - 1) << HASH_CHUNK_SHIFT) + self.at + 1, HASH_CHUNK_UNITS - self.at)
    self.chunks[self.chunk_count] = chunk
    self.chunk_count += 1
    self.at = 0
    return 0


cdef inline uint32_t hash_entries_take(HashEntries *self, uint32_t units) noexcept nogil:
    """The place of so many units, counted from 1; 0 when there is no memory."""
    cdef uint32_t place
    if units <= HASH_CLASSES and self.free_of[units] != 0:
        place = self.free_of[units]
        self.free_of[units] = _free_words(self, place)[0]
        return place
    if HASH_CHUNK_UNITS - self.at < units:
        place = _take_large(self, units)
        if place != 0:
            return place
        if _new_chunk(self) != 0:
            return 0
    place = ((self.chunk_count - 1) << HASH_CHUNK_SHIFT) + self.at + 1
    self.at += units
    return place
