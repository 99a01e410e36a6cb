# cython: language_level=3
"""DataRecord: how one write is framed in a data file. The format is docs/format-hashlog.md; constants live here.

record := header key value padding.  header (40 bytes, little-endian) :=
  crc u32 (masked, over all that follows, padding too) · value size u32 · file number u32 (low bits) · key size u16 · kind u8 ·
  zero u8 · sequence u64 · synced sequence u64 · left u32 · seconds since 1970 u32
The whole is padded with zero bytes to a multiple of eight.

`left` counts the records of the same batch that follow: a batch is whole when the one with 0 is there. `synced sequence` is
the sync watermark of record.pxd, whose header this one resembles so far that log.pxd reads both.

Owner: borrowed bytes throughout. Threads: no state.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from lsm.core.coding cimport Slice, get_fixed32, get_fixed64, put_fixed32, put_fixed64, slice_of
from lsm.core.crc32c cimport crc32c, crc_mask
from lsm.core.key cimport KIND_DELETE, KIND_PUT, VALUE_BYTES_MAX
from lsm.core.record cimport RECORD_HEADER_BYTES, RecordHeader, record_bytes


cdef enum:
    DATA_UNIT = 8                       # records begin at multiples of it
    DATA_FILE_BYTES_MAX = 0x7FFFFFF8    # so far a batch of 1 GiB of payload, framed, may reach


ctypedef struct DataRecord:
    int kind
    Slice key
    Slice value
    uint64_t sequence
    uint64_t synced
    uint32_t left
    uint32_t seconds


cdef inline size_t data_record_bytes(size_t key_size, size_t value_size) noexcept nogil:
    return record_bytes(key_size + value_size)


cdef inline void data_record_encode(uint8_t *to, const DataRecord *record, uint32_t file) noexcept nogil:
    """Write a record at `to` (data_record_bytes), its checksum last."""
    cdef size_t size = RECORD_HEADER_BYTES + record.key.size
    cdef size_t total = data_record_bytes(record.key.size, record.value.size)
    if record.key.size > 0:
        memcpy(to + RECORD_HEADER_BYTES, record.key.data, record.key.size)
    if record.value.size > 0:
        memcpy(to + size, record.value.data, record.value.size)
    size += record.value.size
    if total > size:
        memset(to + size, 0, total - size)
    put_fixed32(to + 4, <uint32_t>record.value.size)
    put_fixed32(to + 8, file)
    to[12] = <uint8_t>record.key.size
    to[13] = <uint8_t>(record.key.size >> 8)
    to[14] = <uint8_t>record.kind
    to[15] = 0
    put_fixed64(to + 16, record.sequence)
    put_fixed64(to + 24, record.synced)
    put_fixed32(to + 32, record.left)
    put_fixed32(to + 36, record.seconds)
    put_fixed32(to, crc_mask(crc32c(0, to + 4, total - 4)))


cdef inline bint data_record_open(const uint8_t *at, size_t left, uint32_t file, RecordHeader *header) noexcept nogil:
    """Is there a whole, unharmed record of this file at `at`? In the terms of a log (LogReader.record_open)."""
    cdef size_t total
    cdef size_t key_size
    if left < RECORD_HEADER_BYTES or get_fixed32(at + 8) != file:
        return False
    key_size = at[12] | <size_t>at[13] << 8
    header.size = get_fixed32(at + 4)
    if header.size > VALUE_BYTES_MAX or header.size + key_size > left - RECORD_HEADER_BYTES:
        return False
    header.size += <uint32_t>key_size
    total = record_bytes(header.size)
    if total > left or get_fixed32(at) != crc_mask(crc32c(0, at + 4, total - 4)):
        return False
    header.count = 1
    header.sequence = get_fixed64(at + 16)
    header.synced = get_fixed64(at + 24)
    header.time = get_fixed32(at + 36)
    return True


cdef inline int data_record_decode(const uint8_t *at, DataRecord *record) noexcept nogil:
    """The parts of a record that data_record_open found whole; -1 when it says what this version does not know."""
    cdef size_t key_size = at[12] | <size_t>at[13] << 8
    record.kind = at[14]
    record.key = slice_of(at + RECORD_HEADER_BYTES, key_size)
    record.value = slice_of(at + RECORD_HEADER_BYTES + key_size, get_fixed32(at + 4))
    record.sequence = get_fixed64(at + 16)
    record.synced = get_fixed64(at + 24)
    record.left = get_fixed32(at + 32)
    record.seconds = get_fixed32(at + 36)
    if at[15] != 0 or record.kind > KIND_PUT or (record.kind == KIND_DELETE and record.value.size > 0):
        return -1
    return 0
