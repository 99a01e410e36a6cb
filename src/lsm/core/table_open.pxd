# cython: language_level=3
"""Opening and closing a Table: everything but its data blocks is read and checked here (docs/format-table.md).

Every length is held against the file before it is used and every checksum before its bytes are. The file must be the
one expected: by size, by table number, by the identity of its database; one expected by number and
not there is damage. A newer format is FAULT_UNSUPPORTED.

Owner and threads: as in table.pxd; `table_close` when no reader is left.
"""
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset, strlen

from lsm.core.bloom cimport BLOOM_LINE_BYTES, BLOOM_PROBES_MAX
from lsm.core.cache cimport Cache, cache_erase_table
from lsm.core.cached_block cimport Block, block_data, block_release
from lsm.core.coding cimport slice_of
from lsm.core.env cimport MODE_READ, Env
from lsm.core.fault cimport FAULT_INVALID, Fault, fault as fault_of, fault_corrupt, fault_memory
from lsm.core.key cimport compare_slices
from lsm.core.table cimport Table, TableExpected, posix_memalign, table_read_block, table_system
from lsm.core.table_format cimport (TABLE_DATABASE_ID_BYTES, TABLE_FOOTER_BYTES, Footer, footer_decode,
                                    properties_decode)
from lsm.core.table_index cimport table_index_free, table_index_key, table_index_load

cdef extern from "<errno.h>" nogil:
    int ENOENT


cdef inline void table_close(Table *self) noexcept nogil:
    if self.cache != NULL:
        cache_erase_table(self.cache, self.slots, self.index.count)
    if self.file != NULL:
        self.env.close(self.file)
    table_index_free(&self.index)
    free(self.slots)
    free(self.filter_lines)
    block_release(self.properties_block)
    free(self)


cdef inline int _load_footer(Table *self, Footer *footer, Fault *fault) noexcept nogil:
    cdef uint8_t bytes[TABLE_FOOTER_BYTES]
    cdef uint64_t at
    cdef int error
    if self.file_size < TABLE_FOOTER_BYTES:
        return fault_corrupt(fault, self.name, self.file_size, "file too short to be a table")
    at = self.file_size - TABLE_FOOTER_BYTES
    error = self.env.pread(self.file, at, bytes, TABLE_FOOTER_BYTES)
    if error != 0:
        return table_system(self.name, at, error, "reading a table", fault)
    return footer_decode(footer, bytes, self.file_size, self.name, fault)


cdef inline int _load_properties(Table *self, const Footer *footer, const TableExpected *expected,
                                 Fault *fault) noexcept nogil:
    cdef Block *block = NULL
    cdef uint64_t where = footer.properties.offset
    if table_read_block(self, footer.properties, False, &block, fault) != 0:
        return -1
    self.properties_block = block
    if properties_decode(&self.properties, slice_of(block_data(block), block.size), footer, self.name, fault) != 0:
        return -1
    if expected.number != 0 and self.properties.number != expected.number:
        return fault_corrupt(fault, self.name, where, "another table's file: its number is not that of its name")
    if (expected.database_id != NULL
            and memcmp(self.properties.database_id, expected.database_id, TABLE_DATABASE_ID_BYTES) != 0):
        return fault_corrupt(fault, self.name, where, "another database's file: its database id differs")
    return 0


cdef inline int _load_index(Table *self, const Footer *footer, Fault *fault) noexcept nogil:
    cdef Block *block = NULL
    cdef int answer
    if table_read_block(self, footer.index, False, &block, fault) != 0:
        return -1
    answer = table_index_load(&self.index, slice_of(block_data(block), block.size), self.properties.blocks, footer,
                              self.name, fault)
    block_release(block)
    if answer == 0 and compare_slices(table_index_key(&self.index, self.index.count - 1), self.properties.largest):
        return fault_corrupt(fault, self.name, footer.index.offset, "table index: does not end with the largest key")
    if answer == 0:
        self.slots = <Block **>calloc(self.index.count, sizeof(Block *))
        if self.slots == NULL:
            return fault_memory(fault)
    return answer


cdef inline int _load_filter(Table *self, const Footer *footer, Fault *fault) noexcept nogil:
    """Lines and their number of probes, copied to where a line is a cache line."""
    cdef Block *block = NULL
    cdef void *lines = NULL
    cdef size_t size
    if table_read_block(self, footer.filter, False, &block, fault) != 0:
        return -1
    if block.size == 0:
        block_release(block)
        return 0
    size = block.size - 1
    self.filter.probes = block_data(block)[size]
    if size == 0 or size % BLOOM_LINE_BYTES != 0 or not 1 <= self.filter.probes <= BLOOM_PROBES_MAX:
        block_release(block)
        return fault_corrupt(fault, self.name, footer.filter.offset, "table filter: wrong size or number of probes")
    if posix_memalign(&lines, BLOOM_LINE_BYTES, size) != 0:
        block_release(block)
        return fault_memory(fault)
    memcpy(lines, block_data(block), size)
    block_release(block)
    self.filter_lines = <uint8_t *>lines
    self.filter.lines = self.filter_lines
    self.filter.line_count = size // BLOOM_LINE_BYTES
    return 0


cdef inline int _table_load(Table *self, const TableExpected *expected, Fault *fault) noexcept nogil:
    cdef Footer footer
    if expected.file_size != 0 and self.file_size != expected.file_size:
        return fault_corrupt(fault, self.name, self.file_size, "the file is not as long as it was when written")
    if _load_footer(self, &footer, fault) != 0 or _load_properties(self, &footer, expected, fault) != 0:
        return -1
    if _load_index(self, &footer, fault) != 0:
        return -1
    return _load_filter(self, &footer, fault)


cdef inline int table_open(Env *env, const char *name, const TableExpected *expected, Cache *cache, Table **table,
                           Fault *fault) noexcept nogil:
    cdef Table *self
    cdef int error
    table[0] = NULL
    if strlen(name) >= 64:
        return fault_of(fault, FAULT_INVALID, name, 0, "the name of a table is at most 63 bytes")
    self = <Table *>calloc(1, sizeof(Table))
    if self == NULL:
        return fault_memory(fault)
    self.env = env
    memcpy(self.name, name, strlen(name) + 1)
    error = env.open(env, name, MODE_READ, &self.file)
    if error != 0:
        self.file = NULL
        table_close(self)
        if error == ENOENT and expected.number != 0:
            return fault_corrupt(fault, name, 0, "the file is missing, and the database needs it")
        return table_system(name, 0, error, "opening a table", fault)
    self.file_size = self.file.size
    if _table_load(self, expected, fault) != 0:
        table_close(self)
        return -1
    memset(&self.counters, 0, sizeof(self.counters))        # they count data blocks only
    self.cache = cache              # only now: a table that did not open has no blocks there
    table[0] = self
    return 0
