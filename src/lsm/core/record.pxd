# cython: language_level=3
"""Record: how one atomic batch of writes is framed in a log. The format is docs/format-log.md; constants live here.

record := header payload padding.  header (40 bytes, little-endian) :=
  crc u32 (masked, over the rest of header, payload and padding) · payload size u32 · log number u32 (low bits) ·
  entry count u32 · sequence of the first entry u64 · synced sequence u64 · microseconds since 1970 u64
payload := entry*;  entry := kind u8, key size varint, [value size varint, when put], key, [value].
The whole is padded with zero bytes to a multiple of eight.

`synced sequence` is the sync watermark: every write up to it was known to be on disk when this record was made. It is
what tells damage (below it) from the tear of a power loss (above it).

Owner: borrowed bytes throughout. Threads: no state.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from lsm.core.coding cimport (Input, Slice, get_fixed32, get_fixed64, input_byte, input_bytes, input_left, input_varint,
                              put_fixed32, put_fixed64, put_varint, varint_size)
from lsm.core.crc32c cimport crc32c, crc_mask
from lsm.core.key cimport KEY_BYTES_MAX, KIND_DELETE, KIND_PUT, VALUE_BYTES_MAX


cdef enum:
    RECORD_HEADER_BYTES = 40
    RECORD_ALIGNMENT = 8
    BATCH_BYTES_MAX = 1073741824        # 1 GiB of payload: a limit of the contract


ctypedef struct RecordHeader:
    uint32_t size                       # of the payload, without padding
    uint32_t count
    uint64_t sequence
    uint64_t synced
    uint64_t time


ctypedef struct RecordEntry:
    int kind
    Slice key
    Slice value


cdef inline size_t record_bytes(size_t payload) noexcept nogil:
    """The size in the log of a record with this much payload."""
    return (RECORD_HEADER_BYTES + payload + (RECORD_ALIGNMENT - 1)) & ~<size_t>(RECORD_ALIGNMENT - 1)


cdef inline size_t entry_payload(int kind, size_t key_size, size_t value_size) noexcept nogil:
    """The size in a payload of one entry."""
    cdef size_t size = 1 + varint_size(key_size) + key_size
    if kind == KIND_PUT:
        size += varint_size(value_size) + value_size
    return size


cdef inline uint8_t *entry_encode(uint8_t *to, int kind, Slice key, Slice value) noexcept nogil:
    """Write one entry at `to` (entry_payload bytes) and answer the byte after it."""
    to[0] = <uint8_t>kind
    to = put_varint(to + 1, key.size)
    if kind == KIND_PUT:
        to = put_varint(to, value.size)
    if key.size > 0:
        memcpy(to, key.data, key.size)
    to += key.size
    if kind == KIND_PUT and value.size > 0:
        memcpy(to, value.data, value.size)
        to += value.size
    return to


cdef inline int entry_decode(Input *payload, RecordEntry *entry) noexcept nogil:
    """Take the next entry off a payload; -1 when the bytes are no entry this version knows."""
    cdef uint8_t kind = 0
    cdef uint64_t key_size = 0
    cdef uint64_t value_size = 0
    if input_byte(payload, &kind) != 0 or (kind != KIND_PUT and kind != KIND_DELETE):
        return -1
    if input_varint(payload, &key_size) != 0 or key_size > KEY_BYTES_MAX:
        return -1
    if kind == KIND_PUT and (input_varint(payload, &value_size) != 0 or value_size > VALUE_BYTES_MAX):
        return -1
    entry.kind = kind
    if input_bytes(payload, key_size, &entry.key) != 0:
        return -1
    return input_bytes(payload, value_size, &entry.value)


cdef inline void record_seal(uint8_t *at, const RecordHeader *header, uint32_t log_number) noexcept nogil:
    """Complete a record whose payload stands at `at` + RECORD_HEADER_BYTES: padding, header, and last the checksum."""
    cdef size_t total = record_bytes(header.size)
    cdef size_t end = RECORD_HEADER_BYTES + header.size
    if total > end:
        memset(at + end, 0, total - end)
    put_fixed32(at + 4, header.size)
    put_fixed32(at + 8, log_number)
    put_fixed32(at + 12, header.count)
    put_fixed64(at + 16, header.sequence)
    put_fixed64(at + 24, header.synced)
    put_fixed64(at + 32, header.time)
    put_fixed32(at, crc_mask(crc32c(0, at + 4, total - 4)))


cdef inline bint record_open(const uint8_t *at, size_t left, uint32_t log_number, RecordHeader *header) noexcept nogil:
    """Is there a whole, unharmed record of this log at `at`? Its payload then stands behind the header."""
    cdef size_t total
    if left < RECORD_HEADER_BYTES:
        return False
    header.size = get_fixed32(at + 4)
    if header.size > BATCH_BYTES_MAX or header.size > left - RECORD_HEADER_BYTES:
        return False
    total = record_bytes(header.size)
    if total > left or get_fixed32(at + 8) != log_number:
        return False
    header.count = get_fixed32(at + 12)
    header.sequence = get_fixed64(at + 16)
    header.synced = get_fixed64(at + 24)
    header.time = get_fixed64(at + 32)
    return get_fixed32(at) == crc_mask(crc32c(0, at + 4, total - 4))
