# Doors to single parts of the core, for their tests: hash and filter, one data block, what a View shows. The engine does not
# use them.
from lsm.core.block cimport BlockEntry, BlockView, block_get, block_view
from lsm.core.block_builder cimport (BlockBuilder, block_builder_add, block_builder_finish, block_builder_free,
                                     block_builder_init)
from lsm.core.block_directory cimport directory_block, directory_get, directory_view
from lsm.core.block_cursor cimport BlockCursor, block_cursor_free, block_cursor_init, block_cursor_open
from lsm.core.cached_block cimport Block
from lsm.core.bloom cimport (BLOOM_LINE_BYTES, Bloom, BloomBuilder, bloom_builder_add, bloom_builder_fill,
                             bloom_builder_free, bloom_builder_init, bloom_line_count, bloom_may_contain,
                             bloom_probes)


def _hash64(bytes key not None):
    return hash64(<const uint8_t *><const char *>key, <size_t>len(key))


def _bloom_build(keys, int bits_per_key):
    """(lines, probes) of a filter over `keys`."""
    cdef BloomBuilder builder
    cdef uint64_t lines
    cdef bytes built
    bloom_builder_init(&builder)
    for key in keys:
        if bloom_builder_add(&builder, _hash64(key)) != 0:
            raise MemoryError
    lines = bloom_line_count(builder.count, bits_per_key, <uint64_t>1 << 28)
    built = bytes(lines * BLOOM_LINE_BYTES)
    bloom_builder_fill(&builder, <uint8_t *><char *>built, lines, bloom_probes(bits_per_key))
    bloom_builder_free(&builder)
    return built, bloom_probes(bits_per_key)


def _bloom_may_contain(bytes lines not None, int probes, bytes key not None):
    cdef Bloom filter
    filter.lines = <const uint8_t *><const char *>lines
    filter.line_count = <uint64_t>len(lines) // BLOOM_LINE_BYTES
    filter.probes = probes
    return bool(bloom_may_contain(&filter, _hash64(key)))


def _block_build(entries, int restart_interval=16):
    """The contents of a data block of (key, sequence, kind, value), in the order given, checked by nobody."""
    cdef BlockBuilder builder
    cdef Slice contents
    block_builder_init(&builder, restart_interval)
    try:
        for key, sequence, kind, value in entries:
            if block_builder_add(&builder, slice_of_bytes(key), tag_of(sequence, kind), slice_of_bytes(value)) != 0:
                raise MemoryError
        if block_builder_finish(&builder, &contents) != 0:
            raise MemoryError
        return bytes_of_slice(contents)
    finally:
        block_builder_free(&builder)


def _block_get(bytes contents not None, bytes key not None, sequence=None):
    """(sequence, kind, value) or None, and whether the answer is certain."""
    cdef BlockView view
    cdef BlockEntry entry
    cdef Fault fault
    cdef bint found = False, past = False
    if (block_view(&view, slice_of_bytes(contents), b"block", 0, &fault) != 0
            or block_get(&view, slice_of_bytes(key), seek_tag(sequence_of(sequence)), &found, &past, &entry,
                         &fault) != 0):
        raise_fault(&fault, "")
    if not found:
        return None, bool(past)
    return (tag_sequence(entry.tag), tag_kind(entry.tag), bytes_of_slice(entry.value)), bool(past)


def _directory_get(bytes contents not None, bytes key not None, sequence=None):
    """The same by the directory of the block."""
    cdef Block *block = NULL
    cdef BlockView view
    cdef BlockEntry entry
    cdef Fault fault
    cdef bint found = False, past = False
    cdef int status = directory_block(slice_of_bytes(contents), b"block", 0, &block, &fault)
    if status != 0:
        raise_fault(&fault, "")
    view = directory_view(block, b"block", 0)
    try:
        if directory_get(block, &view, slice_of_bytes(key), seek_tag(sequence_of(sequence)), &found, &past, &entry,
                         &fault) != 0:
            raise_fault(&fault, "")
        if not found:
            return None, bool(past)
        return (tag_sequence(entry.tag), tag_kind(entry.tag), bytes_of_slice(entry.value)), bool(past)
    finally:
        block_release(block)


cdef void _free_block_cursor(c_cursor *cursor) noexcept nogil:
    block_cursor_free(<BlockCursor *>cursor)
    free(cursor)


def _block_cursor(bytes contents not None):
    cdef BlockCursor *block = <BlockCursor *>calloc(1, sizeof(BlockCursor))
    cdef Fault fault
    cdef EntryCursor cursor
    if block == NULL:
        raise MemoryError
    block_cursor_init(block)
    block.cursor.close = _free_block_cursor
    cursor = EntryCursor.over(&block.cursor, contents, "")
    if block_cursor_open(block, slice_of_bytes(contents), b"block", 0, &fault) != 0:
        raise_fault(&fault, "")
    return cursor


@cython.final
@cython.no_gc_clear         # __dealloc__ needs the view
cdef class _MergeWalk:
    """The merge of all sources of a View: raw entries, one direction from each start on."""
    cdef View view
    cdef Merge merge

    def __init__(self, View view not None):
        self.view = view
        if view.cursors(&self.merge, &_without_gil) != 0:
            raise MemoryError

    def __dealloc__(self):
        merge_close(&self.merge)

    cdef entry(self, int answer, Fault *fault):
        cdef c_cursor *top = merge_top(&self.merge)
        if answer != 0:
            raise_fault(fault, self.view.directory.path)
        if top == NULL:
            return None
        return bytes_of_slice(top.key), tag_sequence(top.tag), tag_kind(top.tag), bytes_of_slice(top.value)

    def first(self):
        cdef Fault fault
        return self.entry(merge_first(&self.merge, &fault), &fault)

    def last(self):
        cdef Fault fault
        return self.entry(merge_last(&self.merge, &fault), &fault)

    def seek(self, bytes key not None, sequence=None):
        cdef Fault fault
        cdef uint64_t tag = seek_tag(sequence_of(sequence))
        return self.entry(merge_seek(&self.merge, slice_of_bytes(key), tag, &fault), &fault)

    def seek_before(self, bytes key not None, sequence=None):
        cdef Fault fault
        cdef uint64_t tag = seek_tag(sequence_of(sequence))
        return self.entry(merge_seek_before(&self.merge, slice_of_bytes(key), tag, &fault), &fault)

    def step(self):
        cdef Fault fault
        return self.entry(merge_step(&self.merge, &fault) if merge_top(&self.merge) != NULL else 0, &fault)


@cython.final
@cython.no_gc_clear
cdef class _VisibleWalk:
    """The rows of a View at one moment, within [lower, upper): (key, value) or None."""
    cdef View view
    cdef Visible rows

    def __init__(self, View view not None, sequence=None, bytes lower=None, bytes upper=None):
        self.view = view
        visible_init(&self.rows, sequence_of(sequence))
        if view.cursors(&self.rows.merge, &_without_gil) != 0:
            raise MemoryError
        if lower is not None:
            self.rows.has_lower = True
            buffer_set(&self.rows.lower, slice_of_bytes(lower))
        if upper is not None:
            self.rows.has_upper = True
            buffer_set(&self.rows.upper, slice_of_bytes(upper))

    def __dealloc__(self):
        visible_close(&self.rows)

    cdef row(self, int answer, Fault *fault):
        if answer != 0:
            raise_fault(fault, self.view.directory.path)
        return (bytes_of_slice(self.rows.key), bytes_of_slice(self.rows.value)) if self.rows.valid else None

    def first(self):
        cdef Fault fault
        return self.row(visible_first(&self.rows, &fault), &fault)

    def last(self):
        cdef Fault fault
        return self.row(visible_last(&self.rows, &fault), &fault)

    def seek(self, bytes key not None):
        cdef Fault fault
        return self.row(visible_seek(&self.rows, slice_of_bytes(key), &fault), &fault)

    def seek_before(self, bytes key not None):
        cdef Fault fault
        return self.row(visible_seek_before(&self.rows, slice_of_bytes(key), &fault), &fault)

    def next(self):
        cdef Fault fault
        return self.row(visible_next(&self.rows, &fault) if self.rows.valid else 0, &fault)

    def prev(self):
        cdef Fault fault
        return self.row(visible_prev(&self.rows, &fault) if self.rows.valid else 0, &fault)


def _view_get(View view not None, bytes key not None, sequence=None):
    """The value of `key` at this moment, or None."""
    cdef Lookup found
    view.lookup(slice_of_bytes(key), sequence_of(sequence), &found)
    value = bytes_of_slice(found.value) if found.kind == KIND_PUT else None
    lookup_release(&found)
    return value
