# cython: language_level=3
"""Hint: the keys of one data file and where their records lie, so that opening need not read the values.
The format is docs/format-hashlog.md.

hint := header entry*.  header (64 bytes, little-endian) := magic "lsm.hint", crc u32 (masked, over all that follows it in the
file), format version u32, file number u64, database id 16 bytes, size of the data file u64, entries u64, 8 zero bytes
entry := tag u64 (sequence << 8 | kind) · offset u32, in units of eight bytes · value size u32 · key size u16 · key

What it says can be had from the data file again; so whatever is wrong with it, it is not used.

Owner: borrowed bytes. Threads: no state.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from lsm.core.buffer cimport Buffer, buffer_reserve
from lsm.core.coding cimport (
    Input, Slice, get_fixed32, get_fixed64, input_bytes, input_fixed32, input_fixed64, input_left, input_of, put_fixed32,
    put_fixed64,
)
from lsm.core.crc32c cimport crc32c, crc_mask
from lsm.core.data_record cimport DataRecord
from lsm.core.key cimport tag_of


cdef enum:
    HINT_HEADER_BYTES = 64
    HINT_VERSION = 1
    HINT_ENTRY_BYTES = 18


ctypedef struct HintEntry:
    uint64_t tag
    uint32_t offset
    uint32_t value_size
    Slice key


cdef inline int hint_add(Buffer *self, const DataRecord *record, uint64_t offset) noexcept nogil:
    """Append the entry of a record that lies at `offset`; -1 for no memory. The buffer begins with room for the header."""
    cdef uint8_t *to
    if buffer_reserve(self, HINT_ENTRY_BYTES + record.key.size) != 0:
        return -1
    to = self.data + self.size
    put_fixed64(to, tag_of(record.sequence, record.kind))
    put_fixed32(to + 8, <uint32_t>(offset >> 3))
    put_fixed32(to + 12, <uint32_t>record.value.size)
    to[16] = <uint8_t>record.key.size
    to[17] = <uint8_t>(record.key.size >> 8)
    if record.key.size > 0:
        memcpy(to + HINT_ENTRY_BYTES, record.key.data, record.key.size)
    self.size += HINT_ENTRY_BYTES + record.key.size
    return 0


cdef inline int hint_begin(Buffer *self) noexcept nogil:
    if buffer_reserve(self, HINT_HEADER_BYTES) != 0:
        return -1
    memset(self.data, 0, HINT_HEADER_BYTES)
    self.size = HINT_HEADER_BYTES
    return 0


cdef inline void hint_seal(Buffer *self, uint64_t number, const uint8_t *database, uint64_t data_size,
                           uint64_t entries) noexcept nogil:
    """Complete the header: last the checksum."""
    cdef uint8_t *to = self.data
    memcpy(to, <const char *>b"lsm.hint", 8)
    put_fixed32(to + 12, HINT_VERSION)
    put_fixed64(to + 16, number)
    memcpy(to + 24, database, 16)
    put_fixed64(to + 40, data_size)
    put_fixed64(to + 48, entries)
    put_fixed32(to + 8, crc_mask(crc32c(0, to + 12, self.size - 12)))


cdef inline const char *hint_check(Slice data, uint64_t number, const uint8_t *database, uint64_t data_size,
                                   uint64_t *entries) noexcept nogil:
    """What is wrong with this hint of that file; NULL when nothing is."""
    cdef const uint8_t *at = data.data
    if data.size < HINT_HEADER_BYTES or memcmp(at, <const char *>b"lsm.hint", 8) != 0:
        return b"its header is missing or damaged"
    if get_fixed32(at + 8) != crc_mask(crc32c(0, at + 12, data.size - 12)):
        return b"its checksum is wrong"
    if get_fixed32(at + 12) != HINT_VERSION:
        return b"its format version is another"
    if get_fixed64(at + 16) != number or memcmp(at + 24, database, 16) != 0 or get_fixed64(at + 40) != data_size:
        return b"it belongs to another data file"
    entries[0] = get_fixed64(at + 48)
    return NULL


cdef inline Input hint_entries(Slice data) noexcept nogil:
    return input_of(data.data + HINT_HEADER_BYTES, data.size - HINT_HEADER_BYTES)


cdef inline int hint_next(Input *self, HintEntry *entry) noexcept nogil:
    """The next entry; -1 when there is none, or the bytes are none."""
    cdef size_t key_size
    if (input_fixed64(self, &entry.tag) != 0 or input_fixed32(self, &entry.offset) != 0
            or input_fixed32(self, &entry.value_size) != 0 or input_left(self) < 2):
        return -1
    key_size = self.at[0] | <size_t>self.at[1] << 8
    self.at += 2
    return input_bytes(self, key_size, &entry.key)
