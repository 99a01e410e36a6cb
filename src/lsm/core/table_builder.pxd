# cython: language_level=3
"""TableBuilder: writes one table file from entries in strictly ascending internal order (docs/format-table.md).

`open` creates the file, `add` one entry after the other, `finish` (table_finish.pxd) writes what follows the data, syncs
the file and fills the summary. The name becomes durable by the caller's sync of the directory. Whatever failed, `free`
comes last; it removes the file unless `finish` succeeded. After a failure only `free` may be called.

Owner: the builder owns its file and buffers; the keys in the summary are borrowed from it until `free`. One thread.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset, strlen

from lsm.core.block_builder cimport (BlockBuilder, block_builder_add, block_builder_finish, block_builder_free,
                                     block_builder_init, block_builder_reset, block_builder_size)
from lsm.core.block_format cimport BLOCK_BYTES_MAX, block_seal
from lsm.core.bloom cimport BLOOM_BITS_PER_KEY_MAX, BloomBuilder, bloom_builder_add, bloom_builder_free, hash64
from lsm.core.buffer cimport Buffer, buffer_append, buffer_free, buffer_reserve
from lsm.core.coding cimport VARINT32_MAX, VARINT64_MAX, Slice, put_varint, slice_of
from lsm.core.compress cimport compression_built
from lsm.core.crc32c cimport crc32c
from lsm.core.env cimport MODE_CREATE, Env, File
from lsm.core.fault cimport FAULT_INVALID, FAULT_UNSUPPORTED, Fault, fault, fault_memory, fault_system
from lsm.core.key cimport (KEY_BYTES_MAX, KIND_DELETE, KIND_PUT, VALUE_BYTES_MAX, compare_slices, tag_kind,
                           tag_sequence)
from lsm.core.table_format cimport TABLE_DATABASE_ID_BYTES, Handle, TableProperties


cdef enum:
    TABLE_PIECE_BYTES = 262144          # what one append hands to the file


ctypedef struct TableOptions:
    uint32_t block_bytes
    uint32_t restart_interval
    int bits_per_key                    # of the filter; 0: none
    int compression
    uint64_t number
    uint64_t created                    # microseconds since 1970; 0: the Env's clock
    uint8_t database_id[TABLE_DATABASE_ID_BYTES]


ctypedef struct TableSummary:
    uint64_t file_size
    uint32_t crc                        # of the whole file, not masked
    TableProperties properties          # its keys are borrowed from the builder


ctypedef struct TableBuilder:
    Env *env
    File *file                          # NULL when closed
    char name[64]
    bint created                        # the file is ours: removed by `free` unless finished
    bint finished
    TableOptions options
    TableProperties properties
    BlockBuilder block                  # its last_key is the table's last key
    uint64_t last_tag
    bint index_pending                  # the last block's index entry waits for the next block's first key
    Handle last_block
    Buffer output                       # sealed, not yet in the file
    Buffer index
    Buffer smallest
    BloomBuilder filter
    uint64_t offset                     # file size once `output` is written
    uint32_t crc                        # of what was written


cdef inline void table_options_default(TableOptions *self) noexcept nogil:
    memset(self, 0, sizeof(TableOptions))
    self.block_bytes = 4096
    self.restart_interval = 16
    self.bits_per_key = 10


cdef inline int table_builder_open(TableBuilder *self, Env *env, const char *name, const TableOptions *options,
                                   Fault *out) noexcept nogil:
    """Create the file. `free` must be called whatever this answers."""
    cdef int error
    cdef size_t i
    cdef size_t name_size = strlen(name)
    memset(self, 0, sizeof(TableBuilder))
    self.env = env
    self.options = options[0]
    block_builder_init(&self.block, options.restart_interval)
    if name_size >= sizeof(self.name) or options.block_bytes > BLOCK_BYTES_MAX // 4:
        return fault(out, FAULT_INVALID, name, 0, "table name or block size is over the limit")
    if options.bits_per_key < 0 or options.bits_per_key > BLOOM_BITS_PER_KEY_MAX:
        return fault(out, FAULT_INVALID, name, 0, "filter bits per key must be 0 to 64")
    if not compression_built(options.compression):
        return fault(out, FAULT_UNSUPPORTED, name, 0, "this build of lsm lacks the compression asked for")
    for i in range(name_size):
        self.name[i] = name[i]
    error = env.open(env, name, MODE_CREATE, &self.file)
    if error != 0:
        self.file = NULL
        return fault_system(out, name, error, "creating a table")
    self.created = True
    return 0


cdef inline void table_builder_free(TableBuilder *self) noexcept nogil:
    if self.file != NULL:
        self.env.close(self.file)
        self.file = NULL
    if self.created and not self.finished:
        self.env.unlink(self.env, self.name)
        self.created = False
    block_builder_free(&self.block)
    bloom_builder_free(&self.filter)
    buffer_free(&self.output)
    buffer_free(&self.index)
    buffer_free(&self.smallest)


cdef inline uint64_t table_builder_size(const TableBuilder *self) noexcept nogil:
    """About the size of the file if finished now."""
    return (self.offset + block_builder_size(&self.block) + self.index.size
            + self.filter.count * <uint64_t>self.options.bits_per_key // 8 + 512)


cdef inline int builder_flush(TableBuilder *self, Fault *fault) noexcept nogil:
    """Hand what is sealed to the file."""
    cdef int error = self.env.append(self.file, self.output.data, self.output.size)
    if error != 0:
        return fault_system(fault, self.name, error, "writing a table")
    self.crc = crc32c(self.crc, self.output.data, self.output.size)
    self.output.size = 0
    return 0


cdef inline int builder_seal(TableBuilder *self, Slice contents, int compression, Handle *handle,
                              Fault *out) noexcept nogil:
    cdef size_t before = self.output.size
    if contents.size > BLOCK_BYTES_MAX:
        return fault(out, FAULT_INVALID, self.name, self.offset, "table too large: one of its blocks is over 256 MiB")
    if block_seal(&self.output, contents, compression) != 0:
        return fault_memory(out)
    handle.offset = self.offset
    handle.size = self.output.size - before
    self.offset += handle.size
    return builder_flush(self, out) if self.output.size >= TABLE_PIECE_BYTES else 0


cdef inline int builder_end_block(TableBuilder *self, Fault *fault) noexcept nogil:
    cdef Slice contents
    if block_builder_finish(&self.block, &contents) != 0:
        return fault_memory(fault)
    if builder_seal(self, contents, self.options.compression, &self.last_block, fault) != 0:
        return -1
    block_builder_reset(&self.block)
    self.properties.blocks += 1
    self.index_pending = True
    return 0


cdef inline Slice _separator(Slice last, Slice next) noexcept nogil:
    """The shortest beginning of `next` that is still after `last`, if it is shorter than `last` and before `next`;
    else `last`."""
    cdef size_t shared = 0
    cdef size_t most = last.size if last.size < next.size else next.size
    while shared < most and last.data[shared] == next.data[shared]:
        shared += 1
    if shared + 1 < next.size and shared + 1 < last.size:
        return slice_of(next.data, shared + 1)
    return last


cdef inline int builder_index(TableBuilder *self, Slice separator) noexcept nogil:
    """The index entry of the last block: 0, or -1 when there is no memory."""
    cdef uint8_t *at
    if buffer_reserve(&self.index, 2 * VARINT32_MAX + VARINT64_MAX + separator.size) != 0:
        return -1
    at = self.index.data + self.index.size
    at = put_varint(at, separator.size)
    self.index.size = <size_t>(at - self.index.data)
    if buffer_append(&self.index, separator.data, separator.size) != 0:
        return -1
    at = self.index.data + self.index.size
    at = put_varint(at, self.last_block.offset)
    at = put_varint(at, self.last_block.size)
    self.index.size = <size_t>(at - self.index.data)
    self.index_pending = False
    return 0


cdef inline int _builder_count(TableBuilder *self, Slice key, uint64_t tag, Slice value) noexcept nogil:
    cdef TableProperties *properties = &self.properties
    cdef uint64_t sequence = tag_sequence(tag)
    if properties.entries == 0:
        properties.min_sequence = properties.max_sequence = sequence
        if buffer_append(&self.smallest, key.data, key.size) != 0:
            return -1
    if sequence < properties.min_sequence:
        properties.min_sequence = sequence
    if sequence > properties.max_sequence:
        properties.max_sequence = sequence
    properties.entries += 1
    properties.tombstones += tag_kind(tag) == KIND_DELETE
    properties.key_bytes += key.size
    properties.value_bytes += value.size
    return 0


cdef inline int table_builder_add(TableBuilder *self, Slice key, uint64_t tag, Slice value, Fault *out) noexcept nogil:
    cdef Slice last = slice_of(self.block.last_key.data, self.block.last_key.size)
    cdef int order = -1
    if key.size > KEY_BYTES_MAX or value.size > VALUE_BYTES_MAX or tag_kind(tag) > KIND_PUT:
        return fault(out, FAULT_INVALID, self.name, self.offset, "key, value or kind is over the limit of a table")
    if self.properties.entries > 0:
        order = compare_slices(last, key)
        if order > 0 or (order == 0 and self.last_tag <= tag):
            return fault(out, FAULT_INVALID, self.name, self.offset, "entries of a table must be added in order")
    if self.index_pending and builder_index(self, _separator(last, key)) != 0:
        return fault_memory(out)
    if order != 0 and self.options.bits_per_key > 0 and bloom_builder_add(&self.filter, hash64(key.data, key.size)):
        return fault_memory(out)
    if _builder_count(self, key, tag, value) != 0 or block_builder_add(&self.block, key, tag, value) != 0:
        return fault_memory(out)
    self.last_tag = tag
    return builder_end_block(self, out) if block_builder_size(&self.block) >= self.options.block_bytes else 0
