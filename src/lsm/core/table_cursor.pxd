# cython: language_level=3
"""TableCursor: a Cursor over a whole table: the index chooses the block, a BlockCursor walks in it.

Two ways to come by blocks. A reader's cursor takes them through the cache and holds the one it stands in. A scan
cursor (compaction, verify) leaves the cache alone: it reads spans of TABLE_SPAN_BYTES with one pread, ahead of the
direction it walks in, and checks and opens blocks out of the span.

A reader's cursor that has gone on from block to block AHEAD_AFTER times reads ahead too: what is not cached comes in
spans, of AHEAD_BYTES_FIRST at first, twice as many each time, up to TABLE_SPAN_BYTES, which bounds its memory (and one block).
Such blocks go into the cache only where there is room, and taking a cached one does not count as a use; so however
much is scanned, what is read at random stays. A span that cannot be read is tried again as the one block that is
wanted, so an error names that one, and comes when it is reached.

The BlockCursor is the first member and its Cursor the public one, with the functions below; so a step within a block
costs no copy. Owner: made by `table_cursor_open`, freed by its `close`; the Table outlives it. One thread at a time.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free

from lsm.core.block_cursor cimport (SEEK_PREFETCH_LINES, BlockCursor, block_cursor_enter, block_cursor_first,
                                    block_cursor_free, block_cursor_init, block_cursor_last, block_cursor_next,
                                    block_cursor_open, block_cursor_prev, block_cursor_rest, block_cursor_seek)
from lsm.core.block_format cimport SealedBlock, sealed_block, sealed_open
from lsm.core.block_rows cimport block_rows
from lsm.core.buffer cimport Buffer, buffer_free, buffer_reserve, buffer_trim
from lsm.core.cache cimport cache_ask, cache_ask_rows, cache_fill, cache_has_room, cache_peek
from lsm.core.cache_shard cimport slot_empty
from lsm.core.cached_block cimport Block, block_release
from lsm.core.coding cimport Slice, slice_of
from lsm.core.compress cimport COMPRESSION_NONE
from lsm.core.cursor cimport Cursor, Waiting
from lsm.core.fault cimport Fault, fault_memory
from lsm.core.rows cimport Rows
from lsm.core.table cimport Table, count_more, table_block, table_cached, table_open_block, table_system
from lsm.core.table_index cimport table_index_block_size, table_index_find


cdef enum:
    TABLE_SPAN_BYTES = 262144
    AHEAD_BYTES_FIRST = 16384
    AHEAD_AFTER = 2


cdef struct TableCursor:
    BlockCursor block
    Table *table
    size_t index            # of the block stood in
    bint scan
    const Waiting *waiting  # reader: called around reads; it, or its `begin`, NULL: nothing to let go of
    bint backward           # which way the next span extends
    Block *held             # reader: the block stood in
    size_t following        # reader: blocks gone on to without a seek, in this direction
    Buffer span             # blocks as stored, span_first .. span_end
    size_t span_first
    size_t span_end
    size_t span_bytes       # at most, of the next span
    Buffer opened           # contents of the block stood in, if it came from a span and was compressed


cdef inline Cursor *table_cursor_open(Table *table, bint scan) noexcept nogil:
    """A cursor that stands nowhere; NULL when there is no memory."""
    cdef TableCursor *self = <TableCursor *>calloc(1, sizeof(TableCursor))
    if self == NULL:
        return NULL
    block_cursor_init(&self.block)
    self.table = table
    self.scan = scan
    self.span_bytes = TABLE_SPAN_BYTES if scan else AHEAD_BYTES_FIRST
    self.block.cursor.source = self
    self.block.cursor.seek = table_cursor_seek
    self.block.cursor.seek_before = table_cursor_seek_before
    self.block.cursor.first = table_cursor_first
    self.block.cursor.last = table_cursor_last
    self.block.cursor.next = table_cursor_next
    self.block.cursor.prev = table_cursor_prev
    self.block.cursor.fill = table_cursor_fill
    self.block.cursor.rest = table_cursor_rest
    self.block.cursor.close = table_cursor_close
    return &self.block.cursor


cdef inline void table_cursor_close(Cursor *cursor) noexcept nogil:
    cdef TableCursor *self = <TableCursor *>cursor
    block_release(self.held)
    buffer_free(&self.span)
    buffer_free(&self.opened)
    block_cursor_free(&self.block)
    free(self)


cdef inline void table_cursor_rest(Cursor *cursor) noexcept nogil:
    cdef TableCursor *self = <TableCursor *>cursor
    cursor.valid = False
    block_release(self.held)
    self.held = NULL
    buffer_trim(&self.span, 0)
    buffer_trim(&self.opened, 0)
    self.span_first = self.span_end = self.following = 0
    self.span_bytes = TABLE_SPAN_BYTES if self.scan else AHEAD_BYTES_FIRST
    block_cursor_rest(&self.block)


cdef inline void table_cursor_turn_to(Cursor *cursor, Table *table) noexcept nogil:
    """As if it had been opened on another table."""
    table_cursor_rest(cursor)
    (<TableCursor *>cursor).table = table


cdef inline bint _wanted(const TableCursor *self, size_t index) noexcept nogil:
    return self.scan or slot_empty(&self.table.slots[index])


cdef inline int _span_load(TableCursor *self, size_t first, size_t end, Fault *fault) noexcept nogil:
    cdef Table *table = self.table
    cdef uint64_t at = table.index.block_at[first]
    cdef size_t size = <size_t>(table.index.block_at[end] - at)
    cdef int error
    self.span_first = self.span_end = 0
    self.span.size = 0
    if buffer_reserve(&self.span, size) != 0:
        return fault_memory(fault)
    error = table.env.pread(table.file, at, self.span.data, size)
    count_more(&table.counters.block_reads, end - first)
    count_more(&table.counters.bytes_read, size)
    if error != 0:
        return table_system(table.name, at, error, "reading a table", fault)
    self.span_first = first
    self.span_end = end
    return 0


cdef inline int _span_read(TableCursor *self, size_t index, Fault *fault) noexcept nogil:
    """Read a span of whole blocks that begins, or ends when walking backward, with block `index`."""
    cdef const uint64_t *at = self.table.index.block_at
    cdef size_t first = index
    cdef size_t end = index + 1
    if self.backward:
        while first > 0 and at[end] - at[first - 1] <= self.span_bytes and _wanted(self, first - 1):
            first -= 1
    else:
        while end < self.table.index.count and at[end + 1] - at[first] <= self.span_bytes and _wanted(self, end):
            end += 1
    if _span_load(self, first, end, fault) == 0:
        return 0
    return -1 if end - first == 1 else _span_load(self, index, index + 1, fault)


cdef inline int _span_ahead(TableCursor *self, size_t index, Fault *fault) noexcept nogil:
    """A reader's span, waited for as `waiting` says; the next one will be larger."""
    cdef void *state = NULL
    cdef bint lets_go = self.waiting != NULL and self.waiting.begin != NULL
    cdef int status
    if lets_go:
        state = self.waiting.begin()
    status = _span_read(self, index, fault)
    if lets_go:
        self.waiting.end(state)
    if self.span_bytes < TABLE_SPAN_BYTES:
        self.span_bytes *= 2
    return status


cdef inline int _span_sealed(TableCursor *self, size_t index, SealedBlock *sealed, Fault *fault) noexcept nogil:
    """Block `index` as it lies in the span, its checksum checked."""
    cdef Table *table = self.table
    cdef uint64_t at = table.index.block_at[index]
    return sealed_block(sealed, self.span.data + <size_t>(at - table.index.block_at[self.span_first]),
                        table_index_block_size(&table.index, index), table.name, at, fault)


cdef inline int _span_contents(TableCursor *self, size_t index, const SealedBlock *sealed, Slice *contents,
                               Fault *fault) noexcept nogil:
    if sealed.compression == COMPRESSION_NONE:
        contents[0] = slice_of(sealed.stored, sealed.size)
        return 0
    self.opened.size = 0
    if buffer_reserve(&self.opened, sealed.size) != 0:
        return fault_memory(fault)
    if sealed_open(sealed, self.opened.data, self.table.name, self.table.index.block_at[index], fault) != 0:
        return -1
    contents[0] = slice_of(self.opened.data, sealed.size)
    return 0


cdef inline int _scan_block(TableCursor *self, size_t index, Slice *contents, Fault *fault) noexcept nogil:
    cdef SealedBlock sealed
    if not self.span_first <= index < self.span_end and _span_read(self, index, fault) != 0:
        return -1
    if _span_sealed(self, index, &sealed, fault) != 0:
        return -1
    return _span_contents(self, index, &sealed, contents, fault)


cdef inline void _hold(TableCursor *self, Block *block) noexcept nogil:
    block_release(self.held)
    self.held = block


cdef inline int _block_ahead(TableCursor *self, size_t index, Slice *contents, Fault *fault) noexcept nogil:
    """Block `index`, which is not cached, out of a span: into the cache if there is room, and held; else its `contents`, for
    this cursor alone."""
    cdef Table *table = self.table
    cdef Block **slot = &table.slots[index]
    cdef Block *block = NULL
    cdef SealedBlock sealed
    if not self.span_first <= index < self.span_end and _span_ahead(self, index, fault) != 0:
        return -1
    if _span_sealed(self, index, &sealed, fault) != 0:
        return -1
    if not cache_has_room(table.cache, slot, sealed.size):
        _hold(self, NULL)
        return _span_contents(self, index, &sealed, contents, fault)
    if table_open_block(table, &sealed, table.index.block_at[index], True, &block, fault) != 0:
        return -1
    cache_fill(table.cache, slot, block)
    _hold(self, block)
    return 0


cdef inline int _read_block(TableCursor *self, size_t index, Fault *fault) noexcept nogil:
    """Data block `index` from the cache, or from the file, waited for as `waiting` says."""
    cdef Block *block = NULL
    cdef void *state
    cdef int status
    if self.waiting == NULL or self.waiting.begin == NULL:
        if table_block(self.table, index, True, &block, fault) != 0:
            return -1
    else:
        block = table_cached(self.table, index)
        if block == NULL:
            state = self.waiting.begin()
            status = table_block(self.table, index, True, &block, fault)
            self.waiting.end(state)
            if status != 0:
                return -1
    _hold(self, block)
    return 0


cdef inline int _reader_block(TableCursor *self, size_t index, Slice *contents, Fault *fault) noexcept nogil:
    """Hold block `index`, or have its `contents` and hold none."""
    cdef Block *block
    if self.following < AHEAD_AFTER:
        return _read_block(self, index, fault)
    block = cache_peek(self.table.cache, &self.table.slots[index])
    if block == NULL:
        return _block_ahead(self, index, contents, fault)
    _hold(self, block)
    if index + 1 < self.table.index.count and not self.backward:
        cache_ask_rows(&self.table.slots[index + 1])
    elif index > 0 and self.backward:
        cache_ask(&self.table.slots[index - 1])
    return 0


cdef inline int _cursor_enter(TableCursor *self, size_t index, Fault *fault) noexcept nogil:
    """Stand before block `index`: the BlockCursor is open on it and not yet on an entry."""
    cdef Slice contents
    cdef int status
    self.block.cursor.valid = False
    if self.scan:
        status = _scan_block(self, index, &contents, fault)
    else:
        status = _reader_block(self, index, &contents, fault)
    if status != 0:
        return -1
    self.index = index
    if self.held != NULL:
        return block_cursor_enter(&self.block, self.held, self.table.name, self.table.index.block_at[index], fault)
    return block_cursor_open(&self.block, contents, self.table.name, self.table.index.block_at[index], fault)


cdef inline void _go_on(TableCursor *self, bint backward) noexcept nogil:
    """The next block lies beside this one."""
    if self.backward != backward:
        self.following = 0
        self.backward = backward
    self.following += 1


cdef inline void table_cursor_follow(Cursor *cursor, const Cursor *before) noexcept nogil:
    """This cursor goes on where another one has come to its table's end: as far ahead as that did."""
    cdef TableCursor *self = <TableCursor *>cursor
    self.following = (<const TableCursor *>before).following
    self.span_bytes = (<const TableCursor *>before).span_bytes
    self.backward = (<const TableCursor *>before).backward


cdef inline int table_cursor_first(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef TableCursor *self = <TableCursor *>cursor
    self.backward = False
    if _cursor_enter(self, 0, fault) != 0:
        return -1
    return block_cursor_first(cursor, fault)


cdef inline int table_cursor_last(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef TableCursor *self = <TableCursor *>cursor
    self.backward = True
    if _cursor_enter(self, self.table.index.count - 1, fault) != 0:
        return -1
    return block_cursor_last(cursor, fault)


cdef inline int _cursor_next_block(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef TableCursor *self = <TableCursor *>cursor
    if self.index + 1 >= self.table.index.count:
        return 0
    _go_on(self, False)
    if _cursor_enter(self, self.index + 1, fault) != 0:
        return -1
    return block_cursor_first(cursor, fault)


cdef inline int table_cursor_next(Cursor *cursor, Fault *fault) noexcept nogil:
    if block_cursor_next(cursor, fault) != 0:
        return -1
    return 0 if cursor.valid else _cursor_next_block(cursor, fault)


cdef inline int _cursor_previous_block(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef TableCursor *self = <TableCursor *>cursor
    if self.index == 0:
        return 0
    _go_on(self, True)
    if _cursor_enter(self, self.index - 1, fault) != 0:
        return -1
    return block_cursor_last(cursor, fault)


cdef inline int table_cursor_prev(Cursor *cursor, Fault *fault) noexcept nogil:
    if block_cursor_prev(cursor, fault) != 0:
        return -1
    return 0 if cursor.valid else _cursor_previous_block(cursor, fault)


cdef inline int table_cursor_fill(Cursor *cursor, Rows *rows, Fault *fault) noexcept nogil:
    """The rows of one block; at its end on to the next."""
    if block_rows(cursor, rows, fault) != 0:
        return -1
    if cursor.valid:
        return 0
    return _cursor_previous_block(cursor, fault) if rows.backward else _cursor_next_block(cursor, fault)


cdef inline void _ask_beyond(const TableCursor *self) noexcept nogil:
    """Who seeks as a rule wants some rows: where those may go on in the next block, ask for that if it is cached."""
    if (self.held != NULL and self.index + 1 < self.table.index.count
            and self.block.view.entries_end - self.block.at < SEEK_PREFETCH_LINES * 64):
        cache_ask_rows(&self.table.slots[self.index + 1])


cdef inline int table_cursor_seek(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    cdef TableCursor *self = <TableCursor *>cursor
    cdef size_t count = self.table.index.count
    cdef size_t index = table_index_find(&self.table.index, key)
    cursor.valid = False
    self.backward = False
    self.following = 0
    while index < count:                # more than one turn only when versions of `key` fill a block
        if _cursor_enter(self, index, fault) != 0:
            return -1
        if block_cursor_seek(cursor, key, tag, fault) != 0:
            return -1
        if cursor.valid:
            _ask_beyond(self)
            return 0
        index += 1
    return 0


cdef inline int table_cursor_seek_before(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    if table_cursor_seek(cursor, key, tag, fault) != 0:
        return -1
    return table_cursor_prev(cursor, fault) if cursor.valid else table_cursor_last(cursor, fault)
