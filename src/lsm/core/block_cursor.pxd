# cython: language_level=3
"""BlockCursor: a Cursor over the contents of one data block.

A block in memory is searched by its directory (block_directory.pxd), one just read by its restart points.

Forward, a key is rebuilt in the cursor's own buffer from the key before it, or lies in the block itself when the entry
holds it whole. Backward, the run between two restart points is decoded once into `run`, and each step in it is one
subtraction. Order is checked at every step: entries that do not ascend are damage.

The Cursor struct is the first member, so that a BlockCursor is one. Owner: it owns its buffers until `block_cursor_free`
and borrows the contents given to `block_cursor_open`, which may be called again for another block. One thread.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from lsm.core.block cimport (BlockEntry, BlockView, block_fault, block_restart, block_seek_restart, block_view,
                             entry_decode)
from lsm.core.block_builder cimport RESTART_INTERVAL_MAX
from lsm.core.block_directory cimport (DIRECTORY_START_BYTES, directory_offsets, directory_seek, directory_start,
                                       directory_view)
from lsm.core.buffer cimport Buffer, buffer_append, buffer_free, buffer_init, buffer_reserve, buffer_trim
from lsm.core.cached_block cimport Block, block_data
from lsm.core.coding cimport Slice, get_fixed32, slice_of
from lsm.core.cursor cimport Cursor
from lsm.core.fault cimport Fault, fault_memory
from lsm.core.key cimport compare_internal, compare_slices, key_prefix


cdef extern from "lsm_bits.h" nogil:
    bint lsm_unlikely(bint x)
    void lsm_prefetch(const void *p)


cdef enum:
    SEEK_PREFETCH_LINES = 12
    REST_BYTES = 2048


ctypedef struct RunEntry:
    size_t key_at           # in run_keys
    size_t key_size
    uint64_t tag
    Slice value
    const uint8_t *at
    const uint8_t *after


cdef struct BlockCursor:
    Cursor cursor
    BlockView view
    Block *directory        # the block, when it has a directory to seek by; else NULL
    const uint8_t *at       # the entry stood on
    const uint8_t *after    # the byte after it
    Buffer key              # the key stood on, unless it lies in the block or in run_keys
    Buffer run              # RunEntry each; empty when not walking backward
    Buffer run_keys
    size_t run_index        # the one stood on


cdef inline void block_cursor_init(BlockCursor *self) noexcept nogil:
    memset(self, 0, sizeof(BlockCursor))
    self.cursor.source = self
    self.cursor.seek = block_cursor_seek
    self.cursor.seek_before = block_cursor_seek_before
    self.cursor.first = block_cursor_first
    self.cursor.last = block_cursor_last
    self.cursor.next = block_cursor_next
    self.cursor.prev = block_cursor_prev
    self.cursor.close = block_cursor_close


cdef inline void block_cursor_free(BlockCursor *self) noexcept nogil:
    buffer_free(&self.key)
    buffer_free(&self.run)
    buffer_free(&self.run_keys)
    self.cursor.valid = False


cdef inline void block_cursor_rest(BlockCursor *self) noexcept nogil:
    """Keep little memory until the next `block_cursor_open`."""
    self.cursor.valid = False
    self.directory = NULL
    buffer_trim(&self.key, REST_BYTES)
    buffer_trim(&self.run, REST_BYTES)
    buffer_trim(&self.run_keys, REST_BYTES)


cdef inline void block_cursor_close(Cursor *cursor) noexcept nogil:
    block_cursor_free(<BlockCursor *>cursor)


cdef inline int block_cursor_open(BlockCursor *self, Slice contents, const char *file, uint64_t offset,
                                  Fault *fault) noexcept nogil:
    """Stand before the contents of another block; no entry is valid yet."""
    self.cursor.valid = False
    self.run.size = 0
    self.directory = NULL
    return block_view(&self.view, contents, file, offset, fault)


cdef inline int block_cursor_enter(BlockCursor *self, Block *block, const char *file, uint64_t offset,
                                   Fault *fault) noexcept nogil:
    """The same for a block in memory, which the caller holds as long."""
    if block.count == 0:
        return block_cursor_open(self, slice_of(block_data(block), block.size), file, offset, fault)
    self.cursor.valid = False
    self.run.size = 0
    self.directory = block
    self.view = directory_view(block, file, offset)
    return 0


cdef inline int block_broken(BlockCursor *self, Fault *fault, const char *detail) noexcept nogil:
    self.cursor.valid = False
    self.run.size = 0
    return block_fault(&self.view, fault, detail)


cdef inline int block_memory(BlockCursor *self, Fault *fault) noexcept nogil:
    self.cursor.valid = False
    self.run.size = 0
    return fault_memory(fault)


cdef inline int _block_step(BlockCursor *self, const uint8_t *at, bint ordered, Fault *fault) noexcept nogil:
    """Stand on the entry at `at`, which follows the one stood on (`ordered`) or is a restart point."""
    cdef Cursor *cursor = &self.cursor
    cdef BlockEntry entry
    cdef const uint8_t *after = entry_decode(at, self.view.entries_end, &entry)
    cdef Slice key
    cdef int order
    if lsm_unlikely(after == NULL or entry.shared > (cursor.key.size if ordered else 0)):
        return block_broken(self, fault, "data block: bad entry")
    if entry.shared == 0:
        key.data = entry.delta
        key.size = entry.unshared
        if ordered and compare_internal(cursor.key, cursor.tag, key, entry.tag) >= 0:
            return block_broken(self, fault, "data block: keys are not in order")
    else:
        # what follows the shared bytes decides the order, before they are overwritten
        order = compare_slices(slice_of(cursor.key.data + entry.shared, cursor.key.size - entry.shared),
                               slice_of(entry.delta, entry.unshared))
        if lsm_unlikely(order > 0 or (order == 0 and cursor.tag <= entry.tag)):
            return block_broken(self, fault, "data block: keys are not in order")
        key.size = entry.shared + entry.unshared
        if cursor.key.data != self.key.data:
            self.key.size = 0
            if buffer_reserve(&self.key, key.size) != 0:
                return block_memory(self, fault)
            memcpy(self.key.data, cursor.key.data, entry.shared)
        elif key.size > self.key.capacity:
            self.key.size = entry.shared
            if buffer_reserve(&self.key, entry.unshared) != 0:
                return block_memory(self, fault)
        memcpy(self.key.data + entry.shared, entry.delta, entry.unshared)
        key.data = self.key.data
    cursor.prefix = key_prefix(key.data, key.size)
    cursor.key = key
    cursor.tag = entry.tag
    cursor.value = entry.value
    cursor.valid = True
    self.at = at
    self.after = after
    return 0


cdef inline int _block_go_restart(BlockCursor *self, uint32_t index, Fault *fault) noexcept nogil:
    cdef BlockEntry entry
    cdef const uint8_t *after = NULL
    cdef const uint8_t *at = block_restart(&self.view, index, &entry, &after)
    self.run.size = 0
    if at == NULL:
        return block_broken(self, fault, "data block: bad restart point")
    return _block_step(self, at, False, fault)


cdef inline int block_cursor_next(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef BlockCursor *self = <BlockCursor *>cursor
    self.run.size = 0
    if self.after == self.view.entries_end:
        cursor.valid = False
        return 0
    return _block_step(self, self.after, True, fault)


cdef inline int block_cursor_first(Cursor *cursor, Fault *fault) noexcept nogil:
    return _block_go_restart(<BlockCursor *>cursor, 0, fault)


cdef inline int block_cursor_last(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef BlockCursor *self = <BlockCursor *>cursor
    if _block_go_restart(self, self.view.restart_count - 1, fault) != 0:
        return -1
    while self.after != self.view.entries_end:
        if _block_step(self, self.after, True, fault) != 0:
            return -1
    return 0


cdef inline int _build_key(BlockCursor *self, uint32_t index, const BlockEntry *entry, Fault *fault) noexcept nogil:
    """Have the key of entry `index` in `key`: what it shares is taken from the directory, where that holds so many bytes,
    else from the entries before that hold it."""
    cdef BlockEntry before
    cdef uint32_t missing = entry.shared
    self.key.size = 0
    if buffer_reserve(&self.key, <size_t>entry.shared + entry.unshared + DIRECTORY_START_BYTES) != 0:
        return block_memory(self, fault)
    if directory_start(self.directory, index, self.key.data) >= missing:
        missing = 0
    memcpy(self.key.data + entry.shared, entry.delta, entry.unshared)
    while missing > 0:
        index -= 1              # the first entry shares nothing
        if entry_decode(self.view.data + directory_offsets(self.directory)[index], self.view.entries_end,
                        &before) == NULL:
            return block_broken(self, fault, "data block: bad entry")
        if before.shared < missing:
            memcpy(self.key.data + before.shared, before.delta, missing - before.shared)
            missing = before.shared
    self.cursor.key = slice_of(self.key.data, <size_t>entry.shared + entry.unshared)
    return 0


cdef inline int _stand_on(BlockCursor *self, uint32_t index, Fault *fault) noexcept nogil:
    """Stand on entry `index` of a block with a directory, in which all entries have been checked. Who seeks as a rule wants
    some rows, and they lie side by side: their memory is asked for."""
    cdef BlockEntry entry
    cdef int line
    self.at = self.view.data + directory_offsets(self.directory)[index]
    for line in range(SEEK_PREFETCH_LINES):
        if self.at + 64 * line >= self.view.entries_end:
            break
        lsm_prefetch(self.at + 64 * line)
    self.after = entry_decode(self.at, self.view.entries_end, &entry)
    if self.after == NULL:
        return block_broken(self, fault, "data block: bad entry")
    if entry.shared == 0:
        self.cursor.key = slice_of(entry.delta, entry.unshared)
    elif _build_key(self, index, &entry, fault) != 0:
        return -1
    self.cursor.prefix = key_prefix(self.cursor.key.data, self.cursor.key.size)
    self.cursor.tag = entry.tag
    self.cursor.value = entry.value
    self.cursor.valid = True
    return 0


cdef inline int block_cursor_seek(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    cdef BlockCursor *self = <BlockCursor *>cursor
    cdef uint32_t index = 0
    if self.directory != NULL and directory_seek(self.directory, key, &index):
        self.run.size = 0
        cursor.valid = False
        if index == self.directory.count:
            return 0
        if _stand_on(self, index, fault) != 0:
            return -1
        while cursor.valid and compare_internal(cursor.key, cursor.tag, key, tag) < 0:
            if block_cursor_next(cursor, fault) != 0:
                return -1
        return 0
    if block_seek_restart(&self.view, key, tag, &index, fault) != 0:
        cursor.valid = False
        return -1
    if _block_go_restart(self, index, fault) != 0:
        return -1
    while cursor.valid and compare_internal(cursor.key, cursor.tag, key, tag) < 0:
        if block_cursor_next(cursor, fault) != 0:
            return -1
    return 0


cdef inline int block_cursor_seek_before(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    if block_cursor_seek(cursor, key, tag, fault) != 0:
        return -1
    if not cursor.valid:
        return block_cursor_last(cursor, fault)
    return block_cursor_prev(cursor, fault)


cdef inline int _run_add(BlockCursor *self) noexcept nogil:
    """Remember the entry stood on as the next of the run."""
    cdef Cursor *cursor = &self.cursor
    cdef RunEntry entry
    entry.key_at = self.run_keys.size
    entry.key_size = cursor.key.size
    entry.tag = cursor.tag
    entry.value = cursor.value
    entry.at = self.at
    entry.after = self.after
    if buffer_append(&self.run_keys, cursor.key.data, cursor.key.size) != 0:
        return -1
    return buffer_append(&self.run, &entry, sizeof(RunEntry))


cdef inline int _run_fill(BlockCursor *self, Fault *fault) noexcept nogil:
    """Decode the run of entries that ends just before the one stood on, and stand on its last."""
    cdef const uint8_t *until = self.at
    cdef size_t target = <size_t>(until - self.view.data)
    cdef uint32_t low = 0
    cdef uint32_t high = self.view.restart_count - 1
    cdef uint32_t middle
    while low < high:
        middle = low + (high - low + 1) // 2
        if get_fixed32(self.view.entries_end + 4 * <size_t>middle) < target:
            low = middle
        else:
            high = middle - 1
    if _block_go_restart(self, low, fault) != 0:
        return -1
    self.run_keys.size = 0
    while True:
        if _run_add(self) != 0:
            return block_memory(self, fault)
        if self.after >= until:
            break
        if self.run.size >= RESTART_INTERVAL_MAX * sizeof(RunEntry):
            return block_broken(self, fault, "data block: restart points too far apart")
        if _block_step(self, self.after, True, fault) != 0:
            return -1
    if self.after != until:
        return block_broken(self, fault, "data block: restart point is not at an entry")
    self.run_index = self.run.size // sizeof(RunEntry) - 1
    return 0


cdef inline int block_cursor_prev(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef BlockCursor *self = <BlockCursor *>cursor
    cdef RunEntry entry
    if self.at == self.view.data:
        cursor.valid = False
        self.run.size = 0
        return 0
    if self.run.size == 0 or self.run_index == 0:
        return _run_fill(self, fault)
    self.run_index -= 1
    memcpy(&entry, self.run.data + self.run_index * sizeof(RunEntry), sizeof(RunEntry))
    cursor.key = slice_of(self.run_keys.data + entry.key_at, entry.key_size)
    cursor.prefix = key_prefix(cursor.key.data, cursor.key.size)
    cursor.tag = entry.tag
    cursor.value = entry.value
    self.at = entry.at
    self.after = entry.after
    return 0
