# cython: language_level=3
"""The end of a table file: last block, filter, index, properties, footer, sync (docs/format-table.md).

Owner and threads: as in table_builder.pxd.
"""
from libc.stdint cimport uint8_t, uint64_t

from lsm.core.block_format cimport BLOCK_BYTES_MAX
from lsm.core.bloom cimport BLOOM_LINE_BYTES, bloom_builder_fill, bloom_line_count, bloom_probes
from lsm.core.buffer cimport Buffer, buffer_append, buffer_free, buffer_init, buffer_reserve
from lsm.core.coding cimport slice_of
from lsm.core.compress cimport COMPRESSION_NONE
from lsm.core.fault cimport FAULT_INVALID, Fault, fault, fault_memory, fault_system
from lsm.core.table_builder cimport (TableBuilder, TableSummary, builder_end_block, builder_flush, builder_index,
                                     builder_seal)
from lsm.core.table_format cimport (TABLE_FOOTER_BYTES, Footer, Handle, TableProperties, footer_encode,
                                    properties_encode)


cdef inline int _builder_filter(TableBuilder *self, Handle *handle, Fault *fault) noexcept nogil:
    """The filter block: its lines, then the number of probes; empty when there is none."""
    cdef uint64_t lines = bloom_line_count(self.filter.count, self.options.bits_per_key, BLOCK_BYTES_MAX - 64)
    cdef size_t bytes = <size_t>lines * BLOOM_LINE_BYTES
    cdef int probes = bloom_probes(self.options.bits_per_key)
    cdef Buffer contents
    cdef int answer
    buffer_init(&contents)
    if lines > 0:
        if buffer_reserve(&contents, bytes + 1) != 0:
            return fault_memory(fault)
        bloom_builder_fill(&self.filter, contents.data, lines, probes)
        contents.data[bytes] = <uint8_t>probes
        contents.size = bytes + 1
    answer = builder_seal(self, slice_of(contents.data, contents.size), COMPRESSION_NONE, handle, fault)
    buffer_free(&contents)
    return answer


cdef inline int _builder_properties(TableBuilder *self, Handle *handle, Fault *fault) noexcept nogil:
    cdef TableProperties *properties = &self.properties
    cdef Buffer contents
    cdef int answer = -1
    properties.number = self.options.number
    properties.created = self.options.created if self.options.created != 0 else self.env.now(self.env)
    properties.database_id = self.options.database_id
    properties.smallest = slice_of(self.smallest.data, self.smallest.size)
    properties.largest = slice_of(self.block.last_key.data, self.block.last_key.size)
    buffer_init(&contents)
    if properties_encode(properties, &contents) != 0:
        fault_memory(fault)
    else:
        answer = builder_seal(self, slice_of(contents.data, contents.size), COMPRESSION_NONE, handle, fault)
    buffer_free(&contents)
    return answer


cdef inline int _builder_tail(TableBuilder *self, Fault *fault) noexcept nogil:
    """Everything after the data blocks."""
    cdef Footer footer
    cdef uint8_t encoded[TABLE_FOOTER_BYTES]
    self.properties.data_bytes = self.offset
    if builder_index(self, slice_of(self.block.last_key.data, self.block.last_key.size)) != 0:
        return fault_memory(fault)
    if _builder_filter(self, &footer.filter, fault) != 0:
        return -1
    if builder_seal(self, slice_of(self.index.data, self.index.size), self.options.compression, &footer.index,
                     fault) != 0:
        return -1
    if _builder_properties(self, &footer.properties, fault) != 0:
        return -1
    footer_encode(&footer, encoded)
    if buffer_append(&self.output, encoded, TABLE_FOOTER_BYTES) != 0:
        return fault_memory(fault)
    self.offset += TABLE_FOOTER_BYTES
    return builder_flush(self, fault)


cdef inline int table_builder_finish(TableBuilder *self, TableSummary *summary, Fault *out) noexcept nogil:
    cdef int error
    if self.properties.entries == 0:
        return fault(out, FAULT_INVALID, self.name, 0, "a table holds at least one entry")
    if self.block.entries > 0 and builder_end_block(self, out) != 0:
        return -1
    if _builder_tail(self, out) != 0:
        return -1
    error = self.env.sync(self.file)
    if error != 0:
        return fault_system(out, self.name, error, "syncing a table")
    error = self.env.close(self.file)
    self.file = NULL
    if error != 0:
        return fault_system(out, self.name, error, "closing a table")
    self.finished = True
    summary.file_size = self.offset
    summary.crc = self.crc
    summary.properties = self.properties
    return 0
