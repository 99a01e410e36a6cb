# cython: language_level=3
"""MemtableCursor: a cursor over all versions of all keys of a memtable (cursor.pxd).

It keeps the node and index of the newest version of the key it stands on, and looks again by key when the node has
changed since. Entries lie in the order of their writing, not of their keys, so a walk asks for those to come some steps
ahead: otherwise each row would wait for memory.

Owner: freed by its `close`; the memtable outlives it. Threads: one at a time, beside the memtable's writer: each move
holds the memtable's lock, shared.
"""
from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from lsm.core.coding cimport Slice, slice_of
from lsm.core.cursor cimport Cursor
from lsm.core.fault cimport Fault, fault_memory
from lsm.core.key cimport KIND_PUT, key_prefix, tag_kind, tag_sequence
from lsm.core.memtable cimport Memtable, memtable_order, lsm_read_lock, lsm_read_unlock
from lsm.core.memtable_posts cimport posts_make, posts_wanted
from lsm.core.rows cimport (Rows, rows_add, rows_beyond, rows_build, rows_decide, rows_decided, rows_no_room, rows_offer)
from lsm.core.skiplist cimport (NODE_ENTRIES, TOWER_MAX, Entry, Link, Node, Place, _find_node, _first_not_below, entry_key,
                                entry_value, skiplist_before, skiplist_find, skiplist_find_in)

cdef extern from "lsm_bits.h" nogil:
    void lsm_prefetch(const void *p)
    void lsm_copy_exact(unsigned char *to, const unsigned char *from_, size_t size)


cdef enum:
    STEP_AHEAD = 6                  # entries: about as long as one takes to come from memory, at a call each
    PREFETCH_AHEAD = 12             # entries: as many as the processor waits for at once, and some


ctypedef struct MemtableCursor:
    Cursor base
    Memtable *memtable
    Node *node
    unsigned int index
    unsigned int changes
    const Entry *newest             # of the key it stands on
    const Entry *entry              # where it stands
    bint walking                    # the entries to come were asked for


cdef inline int _stand(MemtableCursor *self, const Entry *entry) noexcept nogil:
    self.entry = entry
    self.base.valid = True
    self.base.key = slice_of(entry_key(entry), entry.key_size)
    self.base.tag = entry.tag
    self.base.value = slice_of(entry_value(entry), entry.value_size)
    return 0


cdef inline bint _settle(MemtableCursor *self, Node *node, unsigned int index) noexcept nogil:
    """Stand on the newest version at (node, index); False when that is past the end."""
    self.base.valid = False
    if node != NULL and index == node.count:
        node = node.tower[0].next
        index = 0
    if node == NULL or index >= node.count:
        return False
    self.node = node
    self.index = index
    self.changes = node.changes
    self.base.prefix = node.prefix[index]
    self.newest = node.entry[index]
    _stand(self, self.newest)
    return True


cdef inline void _prefetch_entry(const Node *node, unsigned int index) noexcept nogil:
    cdef const unsigned char *entry = <const unsigned char *>node.entry[index]
    lsm_prefetch(entry)
    lsm_prefetch(entry + 64)
    lsm_prefetch(entry + 128)


cdef inline void _prefetch_forward(const MemtableCursor *self) noexcept nogil:
    """Entries lie in the order of their writing, not of their keys: ask for those to come before they are needed."""
    cdef const Node *node = self.node
    cdef unsigned int ahead = self.index + STEP_AHEAD
    if self.index == 0 and node.tower[0].next != NULL:
        lsm_prefetch(node.tower[0].next)
        lsm_prefetch(&node.tower[0].next.entry[0])
        lsm_prefetch(&node.tower[0].next.prefix[0])
    if ahead >= node.count:
        ahead -= node.count
        node = node.tower[0].next
    if node != NULL and ahead < node.count:
        _prefetch_entry(node, ahead)


cdef inline void _prefetch_backward(const MemtableCursor *self) noexcept nogil:
    if self.index >= STEP_AHEAD:
        _prefetch_entry(self.node, self.index - STEP_AHEAD)
    elif self.node.before != NULL and self.node.before.count > STEP_AHEAD:
        _prefetch_entry(self.node.before, self.node.before.count + self.index - STEP_AHEAD)


cdef inline void _ask_rows(const Node *node, uint64_t prefix) noexcept nogil:
    """Who seeks as a rule wants some rows: ask for the entry that the search within a node will come to and for those
    behind it that no step will ask for, all before the first is waited for."""
    cdef const Node *near = node.tower[0].next
    cdef unsigned int i = _first_not_below(node, prefix)
    cdef unsigned int end = i + <unsigned int>STEP_AHEAD
    if end > node.count:
        end = node.count
        if near != NULL:
            lsm_prefetch(near)
            lsm_prefetch(&near.entry[0])
            lsm_prefetch(&near.tower[0])
    while i < end:
        _prefetch_entry(node, i)
        i += 1


cdef inline Place _find(const MemtableCursor *self, Slice key) noexcept nogil:
    """skiplist_find, by who will go on from there."""
    cdef uint64_t prefix = key_prefix(key.data, key.size)
    cdef Node *node = _find_node(&self.memtable.list, prefix, key.data, key.size)
    _ask_rows(node, prefix)
    return skiplist_find_in(node, prefix, key)


cdef inline void _find_again(MemtableCursor *self) noexcept nogil:
    cdef Place place
    if self.node.changes != self.changes:
        place = skiplist_find(&self.memtable.list, slice_of(entry_key(self.entry), self.entry.key_size))
        self.node = place.node
        self.index = place.index
        self.changes = place.node.changes
    self.newest = self.node.entry[self.index]


cdef inline void _to_oldest(MemtableCursor *self) noexcept nogil:
    cdef const Entry *entry = self.newest
    while entry.older != NULL:
        entry = entry.older
    _stand(self, entry)


cdef inline void _next_key(MemtableCursor *self) noexcept nogil:
    if _settle(self, self.node, self.index + 1):
        _prefetch_forward(self)


cdef inline void _previous_key(MemtableCursor *self) noexcept nogil:
    if self.index > 0:
        _settle(self, self.node, self.index - 1)
    else:
        self.base.valid = False
        if self.node.before == NULL or self.node.before.count == 0:
            return
        _settle(self, self.node.before, self.node.before.count - 1)
    _prefetch_backward(self)
    _to_oldest(self)


cdef inline void _previous_entry(MemtableCursor *self) noexcept nogil:
    cdef const Entry *entry = self.newest
    if self.entry == entry:
        _previous_key(self)
        return
    while entry.older != self.entry:
        entry = entry.older
    _stand(self, entry)


cdef inline int _memtable_seek(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    cdef Place place
    cdef const Entry *entry
    cdef bint posts
    self.walking = False
    lsm_read_lock(&self.memtable.lock)
    posts = posts_wanted(self.memtable)
    place = _find(self, key)
    if _settle(self, place.node, place.index) and place.found:
        entry = self.newest
        while entry != NULL and entry.tag > tag:
            entry = entry.older
        if entry != NULL:
            _stand(self, entry)
        else:
            _next_key(self)
    lsm_read_unlock(&self.memtable.lock)
    if posts:
        posts_make(self.memtable)
    return 0


cdef inline int _memtable_seek_before(Cursor *cursor, Slice key, uint64_t tag, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    cdef Place place
    cdef const Entry *entry
    self.walking = False
    lsm_read_lock(&self.memtable.lock)
    place = skiplist_find(&self.memtable.list, key)
    if place.found and place.node.entry[place.index].tag > tag:
        _settle(self, place.node, place.index)
        entry = self.newest
        while entry.older != NULL and entry.older.tag > tag:
            entry = entry.older
        _stand(self, entry)
    else:
        place = skiplist_before(&self.memtable.list, key)
        if _settle(self, place.node, place.index):
            _to_oldest(self)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline int _memtable_first(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    self.walking = False
    lsm_read_lock(&self.memtable.lock)
    _settle(self, self.memtable.list.head, 0)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline int _memtable_last(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    cdef Node *node
    cdef int level
    self.walking = False
    lsm_read_lock(&self.memtable.lock)
    node = self.memtable.list.head
    level = <int>self.memtable.list.height - 1
    while level >= 0:
        while node.tower[level].next != NULL:
            node = node.tower[level].next
        level -= 1
    self.base.valid = False
    if node.count > 0 and _settle(self, node, node.count - 1):
        _to_oldest(self)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline int _memtable_next(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    if self.entry.older != NULL:                # the versions of a key can be walked without the lock
        return _stand(self, self.entry.older)
    lsm_read_lock(&self.memtable.lock)
    _find_again(self)
    _next_key(self)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline int _memtable_prev(Cursor *cursor, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    lsm_read_lock(&self.memtable.lock)
    _find_again(self)
    _previous_entry(self)
    lsm_read_unlock(&self.memtable.lock)
    return 0


cdef inline const Entry *_seen_by(const Entry *entry, uint64_t sequence) noexcept nogil:
    """The newest version from `entry` on that the moment sees, or NULL."""
    while entry != NULL and tag_sequence(entry.tag) > sequence:
        entry = entry.older
    return entry


cdef inline int _decide(Rows *rows, Slice key, const Entry *seen) noexcept nogil:
    """Forward, the key stood on, which is not decided: 0, or 1 when there is no room, or -1 for no memory."""
    cdef Slice value
    if seen == NULL:
        return 0
    if tag_kind(seen.tag) == KIND_PUT:
        if rows_no_room(rows, key.size, seen.value_size):
            return 1
        if rows_build(rows, key) != 0:
            return -1
        value = slice_of(entry_value(seen), seen.value_size)
        if rows_add(rows, key.size, value, value.data) != 0:
            return -1
        if rows.with_keys:
            return 0
    return rows_decide(rows, key.data, key.size)


ctypedef struct Met:                    # newest versions of keys, in the order in which they are met
    const Entry *entry[NODE_ENTRIES + PREFETCH_AHEAD]
    unsigned int count                  # those to be treated
    unsigned int all                    # and those behind them, which are only asked for


cdef inline void _meet_near(const Node *near, Met *met, unsigned int most, bint backward) noexcept nogil:
    """Those of the node that comes next; the one behind it is asked for, as far as this will touch it."""
    cdef const char *far = <const char *>(near.before if backward else near.tower[0].next)
    cdef unsigned int i = 0
    cdef size_t line
    if far != NULL:
        lsm_prefetch(far)
        for line in range(sizeof(uint64_t) * NODE_ENTRIES // 64, (sizeof(Node) - sizeof(Link) * TOWER_MAX) // 64 + 1):
            lsm_prefetch(far + 64 * line)
    while i < near.count and met.all < most:
        met.entry[met.all] = near.entry[near.count - 1 - i if backward else i]
        met.all += 1
        i += 1


cdef inline void _meet(MemtableCursor *self, const Rows *rows, Met *met) noexcept nogil:
    """The keys from the one stood on, as far as its node, the lead and the rows wanted go. Entries stay where they are, so
    what is done with them needs no lock."""
    cdef bint backward = rows.backward
    cdef size_t wanted = rows.most - rows.count
    cdef unsigned int left
    cdef unsigned int most
    cdef int at
    cdef const Node *node
    lsm_read_lock(&self.memtable.lock)
    _find_again(self)
    node = self.node
    at = <int>self.index
    left = self.index + 1 if backward else node.count - self.index
    most = left if wanted > left else <unsigned int>wanted
    met.count = 0
    while met.count < most or met.count == 0:
        met.entry[met.count] = node.entry[at]
        met.count += 1
        if rows.bounded and node.prefix[at] != rows.bound_prefix and (node.prefix[at] > rows.bound_prefix) != backward:
            break                               # the first that is beyond
        at += -1 if backward else 1
    met.all = met.count
    most = met.count + <unsigned int>PREFETCH_AHEAD
    if wanted < most:
        most = <unsigned int>wanted
    while met.all < most and met.all < left:
        met.entry[met.all] = node.entry[self.index - met.all if backward else self.index + met.all]
        met.all += 1
    node = node.before if backward else node.tower[0].next
    if met.all < most and node != NULL:
        _meet_near(node, met, most, backward)
    lsm_read_unlock(&self.memtable.lock)


cdef inline void _ask(const Met *met, unsigned int i) noexcept nogil:
    cdef const char *entry = <const char *>met.entry[i]
    lsm_prefetch(entry)
    lsm_prefetch(entry + 64)
    lsm_prefetch(entry + 128)


cdef inline unsigned int _plain_rows(Rows *rows, const Met *met, unsigned int i) noexcept nogil:
    """Forward, both columns: add the rows from the i-th on as long as there is nothing to decide, that is, as the newest
    version is a put that the moment sees, is surely not beyond, and has room there already. The first that is not added."""
    cdef unsigned int first = i
    cdef const Entry *newest
    cdef size_t keys_end = rows.keys.capacity
    cdef size_t values_end = rows.values.capacity
    cdef size_t most = rows.most if rows.most < rows.room else rows.room
    cdef uint64_t sequence = rows.sequence
    cdef size_t count = rows.count
    cdef size_t key_at = rows.keys.size
    cdef size_t value_at = rows.values.size
    cdef size_t key_end
    cdef size_t value_end
    while i < met.count and count + 1 < most:           # the row that makes it full is not for here
        newest = met.entry[i]
        if i + PREFETCH_AHEAD < met.all:
            _ask(met, i + <unsigned int>PREFETCH_AHEAD)
        key_end = key_at + newest.key_size
        value_end = value_at + newest.value_size
        if (tag_sequence(newest.tag) > sequence or tag_kind(newest.tag) != KIND_PUT or key_end > keys_end
                or value_end > values_end or key_end + value_end > rows.most_bytes):
            break
        if rows.bounded and key_prefix(entry_key(newest), newest.key_size) >= rows.bound_prefix:
            break
        lsm_copy_exact(rows.keys.data + key_at, entry_key(newest), newest.key_size)
        lsm_copy_exact(rows.values.data + value_at, entry_value(newest), newest.value_size)
        rows.decided_at = key_at
        key_at = key_end
        value_at = value_end
        count += 1
        rows.key_ends[count] = <int32_t>key_at
        rows.value_ends[count] = <int32_t>value_at
        i += 1
    if i > first:
        rows.decided = rows.decided_in_keys = True
        rows.decided_size = key_at - rows.decided_at
        rows.keys.size = key_at
        rows.values.size = value_at
        rows.count = count
        rows.steps -= i - first
    return i


cdef inline void _stand_at(MemtableCursor *self, const Entry *newest, unsigned int index, bint backward) noexcept nogil:
    self.index = index
    self.newest = newest
    self.base.prefix = key_prefix(entry_key(newest), newest.key_size)
    if backward:
        _to_oldest(self)
    else:
        _stand(self, newest)


cdef inline void _leave_node(MemtableCursor *self, bint backward) noexcept nogil:
    lsm_read_lock(&self.memtable.lock)
    _find_again(self)
    if backward:
        _previous_key(self)
    else:
        _next_key(self)
    lsm_read_unlock(&self.memtable.lock)


cdef inline int _memtable_fill(Cursor *cursor, Rows *rows, Fault *fault) noexcept nogil:
    cdef MemtableCursor *self = <MemtableCursor *>cursor
    cdef Met met
    cdef const Entry *newest
    cdef const Entry *seen
    cdef unsigned int index
    cdef unsigned int i
    cdef Slice key
    cdef int status = 0
    cdef bint plain = rows.with_keys and rows.with_values and not rows.backward
    _meet(self, rows, &met)
    index = self.index
    if not self.walking:
        for i in range(1, min(<unsigned int>PREFETCH_AHEAD, met.count)):
            _ask(&met, i)
    self.walking = True
    i = 0
    while i < met.count:
        newest = met.entry[i]
        if i + PREFETCH_AHEAD < met.all:
            _ask(&met, i + <unsigned int>PREFETCH_AHEAD)
        key = slice_of(entry_key(newest), newest.key_size)
        if i > 0 and rows.bounded and rows_beyond(rows, key_prefix(key.data, key.size), key):
            _stand_at(self, newest, index - i if rows.backward else index + i, rows.backward)
            return 0
        seen = _seen_by(newest, rows.sequence)
        if rows.backward:
            if seen != NULL:
                status = rows_offer(rows, key, seen.tag, slice_of(entry_value(seen), seen.value_size))
        elif i > 0 or not rows_decided(rows, key):          # only the first key may also have been met in another source
            status = _decide(rows, key, seen)
        rows.steps -= 1
        if status < 0:
            self.base.valid = False
            return fault_memory(fault)
        if status != 0 or rows.full:
            self.walking = False
            _stand_at(self, newest, index - i if rows.backward else index + i, rows.backward)
            return 0
        i += 1
        if plain:
            i = _plain_rows(rows, &met, i)
    i = met.count - 1
    _stand_at(self, met.entry[i], index - i if rows.backward else index + i, False)
    _leave_node(self, rows.backward)
    return 0


cdef inline void _memtable_rest(Cursor *cursor) noexcept nogil:
    cursor.valid = False


cdef inline void _memtable_close(Cursor *cursor) noexcept nogil:
    free(cursor)


cdef inline Cursor *memtable_cursor(Memtable *memtable) noexcept nogil:
    """A cursor over all that was added so far to the memtable, which must outlive it; NULL when there is no memory."""
    cdef MemtableCursor *self = <MemtableCursor *>malloc(sizeof(MemtableCursor))
    if self == NULL:
        return NULL
    memtable_order(memtable)
    memset(self, 0, sizeof(MemtableCursor))
    self.memtable = memtable
    self.base.source = memtable
    self.base.seek = _memtable_seek
    self.base.seek_before = _memtable_seek_before
    self.base.first = _memtable_first
    self.base.last = _memtable_last
    self.base.next = _memtable_next
    self.base.prev = _memtable_prev
    self.base.fill = _memtable_fill
    self.base.rest = _memtable_rest
    self.base.close = _memtable_close
    return &self.base
