# cython: language_level=3
"""DataRecord: how one write, and how a batch, is framed in a data file. The format is docs/format-hashlog.md; constants live here.

record := header key value padding · batch := header record+.  header (40 bytes, little-endian) :=
  crc u32 (masked, over all that follows) · size u32 (of the value, or of a batch's records) · file number u32 (low bits) ·
  key size u16 · kind u8 · place u8 · sequence u64 (of the first record) · synced sequence u64 · count u32 · seconds since 1970 u32
A record is padded with zero bytes to a multiple of eight; its checksum covers that too.

`place` says whether a record stands alone or in a batch, or that this is a batch's header, whose checksum covers its records. So
a batch is whole or not as a record of a log is, each of its records can be read by itself, and a search for what follows a
gap never takes a record out of a batch. `synced sequence` is the sync watermark of record.pxd, whose header this one resembles
so far that log.pxd reads both.

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
    DATA_FILE_BYTES_MAX = 0x7FFFFFF8    # so far a batch, framed, may reach


cdef enum DataPlacing:
    DATA_ALONE = 0
    DATA_INSIDE = 1                     # of a batch
    DATA_BATCH = 2                      # the header of a batch


ctypedef struct DataRecord:
    int kind
    Slice key
    Slice value
    uint64_t sequence
    uint64_t synced
    int place
    uint32_t count                      # of a batch; else 1
    uint32_t seconds


cdef inline size_t data_record_bytes(size_t key_size, size_t value_size) noexcept nogil:
    return record_bytes(key_size + value_size)


cdef inline void _encode_header(uint8_t *to, const DataRecord *record, size_t size, uint32_t file) noexcept nogil:
    put_fixed32(to + 4, <uint32_t>size)
    put_fixed32(to + 8, file)
    to[12] = <uint8_t>record.key.size
    to[13] = <uint8_t>(record.key.size >> 8)
    to[14] = <uint8_t>record.kind
    to[15] = <uint8_t>record.place
    put_fixed64(to + 16, record.sequence)
    put_fixed64(to + 24, record.synced)
    put_fixed32(to + 32, record.count)
    put_fixed32(to + 36, record.seconds)


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
    _encode_header(to, record, record.value.size, file)
    put_fixed32(to, crc_mask(crc32c(0, to + 4, total - 4)))


cdef inline void data_batch_seal(uint8_t *to, const DataRecord *first, size_t size, uint32_t file) noexcept nogil:
    """Complete a batch whose records, so many bytes, stand behind the room for its header; `first` has its count."""
    cdef DataRecord header = first[0]
    header.kind = KIND_PUT
    header.place = DATA_BATCH
    header.key.size = 0
    _encode_header(to, &header, size, file)
    put_fixed32(to, crc_mask(crc32c(0, to + 4, RECORD_HEADER_BYTES - 4 + size)))


cdef inline bint data_record_whole(const uint8_t *at, size_t left, uint32_t file, RecordHeader *header) noexcept nogil:
    """Is there a whole, unharmed record, or batch, of this file at `at`? Its size is record_bytes(header.size)."""
    cdef size_t total
    cdef size_t key_size
    if left < RECORD_HEADER_BYTES or get_fixed32(at + 8) != file:
        return False
    key_size = at[12] | <size_t>at[13] << 8
    header.size = get_fixed32(at + 4)
    if header.size > (DATA_FILE_BYTES_MAX if at[15] == DATA_BATCH else VALUE_BYTES_MAX):
        return False
    if header.size + key_size > left - RECORD_HEADER_BYTES:
        return False
    header.size += <uint32_t>key_size
    total = record_bytes(header.size)
    if total > left or get_fixed32(at) != crc_mask(crc32c(0, at + 4, total - 4)):
        return False
    header.count = get_fixed32(at + 32)
    header.sequence = get_fixed64(at + 16)
    header.synced = get_fixed64(at + 24)
    header.time = get_fixed32(at + 36)
    return True


cdef inline bint data_record_open(const uint8_t *at, size_t left, uint32_t file, RecordHeader *header) noexcept nogil:
    """The same, but for a record inside of a batch, which is never taken by itself (LogReader.open)."""
    return left >= RECORD_HEADER_BYTES and at[15] != DATA_INSIDE and data_record_whole(at, left, file, header)


cdef inline int data_record_decode(const uint8_t *at, DataRecord *record) noexcept nogil:
    """The parts of what data_record_whole found whole; -1 when it says what this version does not know. A batch's `value` is
    its records."""
    cdef size_t key_size = at[12] | <size_t>at[13] << 8
    record.kind = at[14]
    record.place = at[15]
    record.key = slice_of(at + RECORD_HEADER_BYTES, key_size)
    record.value = slice_of(at + RECORD_HEADER_BYTES + key_size, get_fixed32(at + 4))
    record.sequence = get_fixed64(at + 16)
    record.synced = get_fixed64(at + 24)
    record.count = get_fixed32(at + 32)
    record.seconds = get_fixed32(at + 36)
    if record.place > DATA_BATCH or record.kind > KIND_PUT or record.count == 0:
        return -1
    if record.place == DATA_BATCH:
        return -1 if key_size > 0 or record.value.size % DATA_UNIT != 0 else 0
    return -1 if record.count != 1 or (record.kind == KIND_DELETE and record.value.size > 0) else 0
