# cython: language_level=3
"""table_verify: read every byte of a table again and hold it against everything known about it.

Opens the file anew (footer, properties, index, filter as they lie on disk now), walks every entry of every block, and
sums the whole file. Checked beyond what reading checks: order across blocks, separators, restart arrays, counts and
sums against the properties, every key in the filter, the checksum of the whole file.

Every damaged data block is listed, in the order of the file, once each. What can only be said of the file as a whole
(counts, checksum) is checked when no block is damaged. A table that would not open any more is listed with each of its parts
(footer, properties, index, filter) that is damaged; its data blocks are then checked by what is in memory of them.

Owner: the caller frees the list by `table_verified_free`.
Threads: any; it uses no cache and nothing of the Table but its name, number and identity.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from lsm.core.block cimport BlockEntry, BlockView, entry_decode
from lsm.core.block_cursor cimport BlockCursor, block_cursor_first, block_cursor_next
from lsm.core.block_builder cimport RESTART_INTERVAL_MAX
from lsm.core.bloom cimport bloom_may_contain, hash64
from lsm.core.buffer cimport Buffer, buffer_append, buffer_free, buffer_init
from lsm.core.cache cimport Cache, cache_close, cache_open
from lsm.core.cached_block cimport Block, block_release
from lsm.core.coding cimport Slice, get_fixed32, slice_of
from lsm.core.crc32c cimport crc32c
from lsm.core.cursor cimport Cursor
from lsm.core.fault cimport FAULT_CORRUPT, Fault, fault_corrupt, fault_memory
from lsm.core.key cimport KIND_DELETE, compare_internal, compare_slices, tag_kind, tag_sequence
from lsm.core.table cimport Table, TableExpected, table_read_block, table_system
from lsm.core.table_cursor cimport TABLE_SPAN_BYTES, TableCursor, _cursor_enter, table_cursor_open
from lsm.core.table_format cimport TABLE_FOOTER_BYTES, Footer, Handle, TableProperties, footer_decode
from lsm.core.table_index cimport table_index_key
from lsm.core.table_open cimport table_close, table_open


cdef struct TableVerified:
    uint64_t bytes
    uint64_t blocks
    uint64_t entries
    Fault *damage
    size_t damages


cdef inline void table_verified_free(TableVerified *self) noexcept nogil:
    free(self.damage)
    self.damage = NULL
    self.damages = 0


cdef inline int _note(TableVerified *self, Fault *fault) noexcept nogil:
    """Put damage on the list and go on: 0. Anything else that went wrong ends the check: -1."""
    cdef Fault *grown
    if fault.kind != FAULT_CORRUPT:
        return -1
    if self.damages & (self.damages - 1) == 0:      # full at each power of two
        grown = <Fault *>realloc(self.damage, (2 * self.damages + 1) * sizeof(Fault))
        if grown == NULL:
            return fault_memory(fault)
        self.damage = grown
    self.damage[self.damages] = fault[0]
    self.damages += 1
    return 0


cdef inline int check_restarts(const BlockView *view, Fault *fault) noexcept nogil:
    """Restart points are exactly entries of the block, ascending, and no run between them is too long."""
    cdef const uint8_t *at = view.data
    cdef BlockEntry entry
    cdef uint32_t restart = 0
    cdef uint32_t run = 0
    while at != view.entries_end:
        run += 1
        if restart < view.restart_count and get_fixed32(view.entries_end + 4 * <size_t>restart) == at - view.data:
            restart += 1
            run = 0
        at = entry_decode(at, view.entries_end, &entry)
        if at == NULL or run >= RESTART_INTERVAL_MAX or (run == 0 and entry.shared != 0):
            return fault_corrupt(fault, view.file, view.offset, "data block: bad entry or restart point")
    if restart != view.restart_count:
        return fault_corrupt(fault, view.file, view.offset, "data block: a restart point is not at an entry")
    return 0


cdef struct Walk:                   # what the check of a block has to know of the one before
    TableCursor *at
    Buffer last                     # the last key seen
    uint64_t last_tag
    bint follows                    # the block before was whole


cdef inline int _check_block_start(Walk *walk, Fault *fault) noexcept nogil:
    """The first entry of a block follows the last entry and the separator of the block before."""
    cdef TableCursor *at = walk.at
    cdef Cursor *cursor = &at.block.cursor
    cdef BlockView *view = &at.block.view
    cdef Slice last = slice_of(walk.last.data, walk.last.size)
    cdef Slice separator
    cdef int order
    if walk.follows:
        separator = table_index_key(&at.table.index, at.index - 1)
        if compare_internal(last, walk.last_tag, cursor.key, cursor.tag) >= 0:
            return fault_corrupt(fault, view.file, view.offset, "data block: begins before the one before it ends")
        order = compare_slices(separator, cursor.key)       # equal only amid the versions of one key
        if compare_slices(last, separator) > 0 or order > 0 or (order == 0 and compare_slices(last, separator) != 0):
            return fault_corrupt(fault, view.file, view.offset, "table index: separator does not separate")
    return check_restarts(view, fault)


cdef inline int _check_block(Table *table, Walk *walk, size_t index, TableProperties *seen, Fault *fault) noexcept nogil:
    cdef Cursor *cursor = &walk.at.block.cursor
    cdef int answer = _cursor_enter(walk.at, index, fault)
    if answer == 0:
        answer = block_cursor_first(cursor, fault)
    if answer == 0 and cursor.valid:
        answer = _check_block_start(walk, fault)
    while answer == 0 and cursor.valid:
        answer = _check_entry(table, walk.at, seen, fault)
        walk.last.size = 0
        walk.last_tag = cursor.tag
        if answer == 0 and buffer_append(&walk.last, cursor.key.data, cursor.key.size) != 0:
            answer = fault_memory(fault)
        if answer == 0:
            answer = block_cursor_next(cursor, fault)
    walk.follows = answer == 0
    return answer


cdef inline int _check_blocks(Table *table, TableProperties *seen, TableVerified *out, Fault *fault) noexcept nogil:
    """Walk everything; `seen` gets the counts, `out` what is damaged."""
    cdef Cursor *cursor = table_cursor_open(table, True)
    cdef Walk walk
    cdef size_t index
    cdef int answer = 0
    if cursor == NULL:
        return fault_memory(fault)
    memset(&walk, 0, sizeof(walk))
    walk.at = <TableCursor *>cursor
    buffer_init(&walk.last)
    for index in range(table.index.count):
        seen.blocks += 1
        if _check_block(table, &walk, index, seen, fault) != 0:
            answer = _note(out, fault)
            if answer != 0:
                break
    if answer == 0 and out.damages == 0 and compare_slices(slice_of(walk.last.data, walk.last.size),
                                                           table.properties.largest) != 0:
        fault_corrupt(fault, table.name, 0, "table properties: largest key is not the last")
        answer = _note(out, fault)
    buffer_free(&walk.last)
    cursor.close(cursor)
    return answer


cdef inline int _check_entry(Table *table, TableCursor *walk, TableProperties *seen, Fault *fault) noexcept nogil:
    cdef Cursor *cursor = &walk.block.cursor
    cdef uint64_t sequence = tag_sequence(cursor.tag)
    if seen.entries == 0:
        seen.min_sequence = seen.max_sequence = sequence
        if walk.index == 0 and compare_slices(cursor.key, table.properties.smallest) != 0:
            return fault_corrupt(fault, table.name, 0, "table properties: smallest key is not the first")
    if not bloom_may_contain(&table.filter, hash64(cursor.key.data, cursor.key.size)):
        return fault_corrupt(fault, table.name, walk.block.view.offset, "table filter: a key of this block is missing")
    if sequence < seen.min_sequence:
        seen.min_sequence = sequence
    if sequence > seen.max_sequence:
        seen.max_sequence = sequence
    seen.entries += 1
    seen.tombstones += tag_kind(cursor.tag) == KIND_DELETE
    seen.key_bytes += cursor.key.size
    seen.value_bytes += cursor.value.size
    return 0


cdef inline int _check_counts(Table *table, const TableProperties *seen, Fault *fault) noexcept nogil:
    cdef const TableProperties *stated = &table.properties
    if (seen.entries != stated.entries or seen.tombstones != stated.tombstones or seen.blocks != stated.blocks
            or seen.key_bytes != stated.key_bytes or seen.value_bytes != stated.value_bytes
            or seen.min_sequence != stated.min_sequence or seen.max_sequence != stated.max_sequence):
        return fault_corrupt(fault, table.name, 0, "table properties: counts differ from the entries found")
    return 0


cdef inline int _check_whole_file(Table *table, uint32_t crc, Fault *fault) noexcept nogil:
    cdef uint8_t *piece = <uint8_t *>malloc(TABLE_SPAN_BYTES)
    cdef uint64_t at = 0
    cdef size_t size
    cdef uint32_t seen = 0
    cdef int error = 0
    if piece == NULL:
        return fault_memory(fault)
    while at < table.file_size and error == 0:
        size = TABLE_SPAN_BYTES
        if size > table.file_size - at:
            size = <size_t>(table.file_size - at)
        error = table.env.pread(table.file, at, piece, size)
        if error == 0:
            seen = crc32c(seen, piece, size)
            at += size
    free(piece)
    if error != 0:
        return table_system(table.name, at, error, "verifying a table", fault)
    if seen != crc:
        return fault_corrupt(fault, table.name, 0, "checksum of the whole file does not match the manifest's")
    return 0


cdef inline int _verify_opened(Table *table, bint has_crc, uint32_t crc, TableVerified *out,
                               Fault *fault) noexcept nogil:
    cdef TableProperties seen
    memset(&seen, 0, sizeof(seen))
    if _check_blocks(table, &seen, out, fault) != 0:
        return -1
    out.blocks = seen.blocks + 3
    out.entries = seen.entries
    if out.damages == 0 and (_check_counts(table, &seen, fault) != 0
                             or (has_crc and _check_whole_file(table, crc, fault) != 0)):
        return _note(out, fault)
    return 0


cdef inline int _check_parts(Table *table, TableVerified *out, Fault *fault) noexcept nogil:
    """The table did not open, which is noted: note every other part that is damaged, as far as the footer leads to them."""
    cdef uint8_t bytes[TABLE_FOOTER_BYTES]
    cdef uint64_t at = table.file_size - TABLE_FOOTER_BYTES
    cdef uint64_t noted = out.damage[0].offset
    cdef Footer footer
    cdef Handle parts[3]
    cdef Block *block
    cdef int i
    if table.env.pread(table.file, at, bytes, TABLE_FOOTER_BYTES) != 0:
        return 0
    if footer_decode(&footer, bytes, table.file_size, table.name, fault) != 0:
        return 0                                    # it is the footer that is noted
    parts[0], parts[1], parts[2] = footer.filter, footer.index, footer.properties
    for i in range(3):
        block = NULL
        if parts[i].offset != noted and table_read_block(table, parts[i], False, &block, fault) != 0 and _note(out, fault) != 0:
            return -1
        block_release(block)
    return 0


cdef inline int _verify_unopened(Table *table, TableVerified *out, Fault *fault) noexcept nogil:
    """Its parts, then its blocks by the index in memory."""
    cdef Table seen = table[0]                      # its counters are not for this
    cdef TableProperties counts
    cdef int answer = _check_parts(table, out, fault)
    if answer != 0:
        return -1
    memset(&counts, 0, sizeof(counts))
    answer = _check_blocks(&seen, &counts, out, fault)
    out.blocks = counts.blocks
    out.entries = counts.entries
    return answer


cdef inline int table_verify(Table *self, bint has_crc, uint32_t crc, TableVerified *out, Fault *fault) noexcept nogil:
    """`crc`, if known, is that of the whole file (TableSummary.crc). 0 with `out` filled, damage included; -1 when it
    could not be checked. `table_verified_free` either way."""
    cdef TableExpected expected
    cdef Cache *none = cache_open(0)
    cdef Table *again = NULL
    cdef int answer
    memset(out, 0, sizeof(TableVerified))
    if none == NULL:
        return fault_memory(fault)
    out.bytes = self.file_size
    expected.file_size = self.file_size
    expected.number = self.properties.number
    expected.database_id = self.properties.database_id
    if table_open(self.env, self.name, &expected, none, &again, fault) != 0:
        answer = _note(out, fault)
        if answer == 0 and fault.kind == FAULT_CORRUPT:
            answer = _verify_unopened(self, out, fault)
    else:
        answer = _verify_opened(again, has_crc, crc, out, fault)
        table_close(again)
    cache_close(none)
    return answer
