# cython: language_level=3
"""The fixed parts of a table file: footer and properties (docs/format-table.md).

DO NOT CHANGE THE ORDER OR SIZE OF ANY FIELD WITHOUT A NEW FORMAT VERSION. The footer keeps its 64 bytes, its checksum
and its version field in every version, so that an old reader can tell a newer file from a damaged one.

A handle's size is what its block takes in the file, trailer included. Owner: decoded slices are borrowed from the
bytes they were decoded from. Threads: no state.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from lsm.core.block_format cimport BLOCK_BYTES_MAX, BLOCK_SIZE_BYTES, BLOCK_TRAILER_BYTES
from lsm.core.buffer cimport Buffer, buffer_append
from lsm.core.coding cimport (Input, Slice, get_fixed32, get_fixed64, input_bytes, input_fixed32, input_fixed64,
                              input_left, input_of, put_fixed32, put_fixed64)
from lsm.core.crc32c cimport crc32c, crc_mask
from lsm.core.fault cimport FAULT_UNSUPPORTED, Fault, fault, fault_corrupt
from lsm.core.key cimport KEY_BYTES_MAX, compare_slices, sequence_max


cdef enum:
    TABLE_FORMAT_VERSION = 1
    TABLE_FOOTER_BYTES = 64
    TABLE_DATABASE_ID_BYTES = 16
    TABLE_BLOCK_STORED_MAX = BLOCK_BYTES_MAX + BLOCK_SIZE_BYTES + BLOCK_TRAILER_BYTES


ctypedef struct Handle:
    uint64_t offset
    uint64_t size


ctypedef struct Footer:
    Handle filter
    Handle index
    Handle properties


ctypedef struct TableProperties:
    uint64_t entries
    uint64_t tombstones
    uint64_t key_bytes          # as given, before compression
    uint64_t value_bytes
    uint64_t data_bytes         # of the data blocks in the file
    uint64_t blocks             # data blocks
    uint64_t min_sequence
    uint64_t max_sequence
    uint64_t number             # the table's own, as in its file name
    uint64_t created            # microseconds since 1970
    uint8_t database_id[TABLE_DATABASE_ID_BYTES]
    Slice smallest
    Slice largest


cdef inline const uint8_t *_table_magic() noexcept nogil:
    return <const uint8_t *>b"lsmtable"


cdef inline void footer_encode(const Footer *self, uint8_t *to) noexcept nogil:
    put_fixed64(to, self.filter.offset)
    put_fixed64(to + 8, self.filter.size)
    put_fixed64(to + 16, self.index.offset)
    put_fixed64(to + 24, self.index.size)
    put_fixed64(to + 32, self.properties.offset)
    put_fixed64(to + 40, self.properties.size)
    put_fixed32(to + 48, TABLE_FORMAT_VERSION)
    put_fixed32(to + 52, crc_mask(crc32c(0, to, 52)))
    memcpy(to + 56, _table_magic(), 8)


cdef inline int _handle_ends_at(Handle handle, uint64_t end, uint64_t *start) noexcept nogil:
    """Is this a block that lies before `end` and touches it?"""
    if handle.size < BLOCK_TRAILER_BYTES or handle.size > TABLE_BLOCK_STORED_MAX or handle.size > end:
        return -1
    if handle.offset != end - handle.size:
        return -1
    start[0] = handle.offset
    return 0


cdef inline int footer_decode(Footer *self, const uint8_t *at, uint64_t file_size, const char *file,
                              Fault *out) noexcept nogil:
    """The footer of 64 bytes at `at`; its handles tile the file from the end of the data to the footer."""
    cdef uint64_t where = file_size - TABLE_FOOTER_BYTES
    cdef uint64_t start = where
    cdef uint32_t version = get_fixed32(at + 48)
    cdef char text[96]
    cdef int i
    for i in range(8):
        if at[56 + i] != _table_magic()[i]:
            return fault_corrupt(out, file, where + 56, "not a table file: no magic at its end")
    if crc_mask(crc32c(0, at, 52)) != get_fixed32(at + 52):
        return fault_corrupt(out, file, where, "table footer checksum does not match")
    if version != TABLE_FORMAT_VERSION:
        snprintf(text, sizeof(text), "format version %u of a table; this lsm reads up to %d: use a newer lsm",
                 version, <int>TABLE_FORMAT_VERSION)
        return fault(out, FAULT_UNSUPPORTED, file, where + 48, text)
    self.filter.offset = get_fixed64(at)
    self.filter.size = get_fixed64(at + 8)
    self.index.offset = get_fixed64(at + 16)
    self.index.size = get_fixed64(at + 24)
    self.properties.offset = get_fixed64(at + 32)
    self.properties.size = get_fixed64(at + 40)
    if (_handle_ends_at(self.properties, start, &start) != 0 or _handle_ends_at(self.index, start, &start) != 0
            or _handle_ends_at(self.filter, start, &start) != 0):
        return fault_corrupt(out, file, where, "table footer: a block does not lie where it must")
    return 0


cdef inline int properties_encode(const TableProperties *self, Buffer *to) noexcept nogil:
    """0, or -1 when there is no memory."""
    cdef uint8_t head[80]
    cdef uint8_t size[4]
    put_fixed64(head, self.entries)
    put_fixed64(head + 8, self.tombstones)
    put_fixed64(head + 16, self.key_bytes)
    put_fixed64(head + 24, self.value_bytes)
    put_fixed64(head + 32, self.data_bytes)
    put_fixed64(head + 40, self.blocks)
    put_fixed64(head + 48, self.min_sequence)
    put_fixed64(head + 56, self.max_sequence)
    put_fixed64(head + 64, self.number)
    put_fixed64(head + 72, self.created)
    if buffer_append(to, head, 80) != 0 or buffer_append(to, self.database_id, TABLE_DATABASE_ID_BYTES) != 0:
        return -1
    put_fixed32(size, <uint32_t>self.smallest.size)
    if buffer_append(to, size, 4) != 0 or buffer_append(to, self.smallest.data, self.smallest.size) != 0:
        return -1
    put_fixed32(size, <uint32_t>self.largest.size)
    if buffer_append(to, size, 4) != 0 or buffer_append(to, self.largest.data, self.largest.size) != 0:
        return -1
    return 0


cdef inline int _input_key(Input *source, Slice *key) noexcept nogil:
    cdef uint32_t size = 0
    if input_fixed32(source, &size) != 0 or size > KEY_BYTES_MAX:
        return -1
    return input_bytes(source, size, key)


cdef inline int _properties_read(TableProperties *self, Input *source) noexcept nogil:
    cdef Slice identity
    if (input_fixed64(source, &self.entries) != 0 or input_fixed64(source, &self.tombstones) != 0
            or input_fixed64(source, &self.key_bytes) != 0 or input_fixed64(source, &self.value_bytes) != 0
            or input_fixed64(source, &self.data_bytes) != 0 or input_fixed64(source, &self.blocks) != 0
            or input_fixed64(source, &self.min_sequence) != 0 or input_fixed64(source, &self.max_sequence) != 0
            or input_fixed64(source, &self.number) != 0 or input_fixed64(source, &self.created) != 0
            or input_bytes(source, TABLE_DATABASE_ID_BYTES, &identity) != 0):
        return -1
    memcpy(self.database_id, identity.data, TABLE_DATABASE_ID_BYTES)
    if _input_key(source, &self.smallest) != 0 or _input_key(source, &self.largest) != 0:
        return -1
    return 0 if input_left(source) == 0 else -1


cdef inline int properties_decode(TableProperties *self, Slice contents, const Footer *footer, const char *file,
                                  Fault *fault) noexcept nogil:
    cdef Input source = input_of(contents.data, contents.size)
    cdef uint64_t where = footer.properties.offset
    if _properties_read(self, &source) != 0:
        return fault_corrupt(fault, file, where, "table properties: wrong size")
    if self.data_bytes != footer.filter.offset:
        return fault_corrupt(fault, file, where, "table properties: data bytes do not end at the filter")
    if self.entries == 0 or self.tombstones > self.entries or self.blocks == 0 or self.blocks > self.entries:
        return fault_corrupt(fault, file, where, "table properties: impossible counts")
    if self.min_sequence > self.max_sequence or self.max_sequence > sequence_max():
        return fault_corrupt(fault, file, where, "table properties: impossible sequence numbers")
    if compare_slices(self.smallest, self.largest) > 0:
        return fault_corrupt(fault, file, where, "table properties: smallest key after largest")
    return 0
