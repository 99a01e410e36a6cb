# cython: language_level=3
"""The order inside a memtable: a skip list whose nodes are fat (Pugh 1990; unrolled as in B-skiplists).

A textbook skip list has one key a node and misses the processor's cache at every hop. Here a node holds up to 32
entries in order, with the first eight key bytes of each kept in the node as a big-endian number, and every link keeps
the first eight bytes of the node it leads to: most comparisons touch neither a key nor the next node.

All versions of a key hang off its newest entry: `entry[i]` is the newest, `older` leads to the next older one, tags
strictly descending. An Entry is never changed or moved once it is linked, so a reader may keep a pointer to it for as
long as the memtable lives. The versions of one node may be read at any time; its arrays only under the lock.

Invariants (`skiplist_check`): entries ascending within a node and across `tower[0]`; the lowest key of a node other
than the head never changes; `before` is the inverse of `tower[0].next`; `tower[l].low` is the prefix of the lowest key
of `tower[l].next`; a node is never empty, but for the head; signposts ascend and say what their nodes begin with.

`changes` of a node counts what moved entries within it; a cursor that kept (node, index) compares it and looks again
when it differs.

Nodes lie in an arena of their own, close together, apart from the entries: they are what every search touches.

Owner: the memtable's arenas. Threads: the callers hold the memtable's lock, shared to read and alone to insert.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove, memset

from lsm.core.arena cimport Arena, arena_round, arena_take, arena_take_piece
from lsm.core.coding cimport Slice
from lsm.core.key cimport compare_keys, key_prefix
from lsm.core.signposts cimport Node, Signposts, signposts_before

cdef extern from "lsm_bits.h" nogil:
    void LSM_ASSERT(bint condition)
    void lsm_prefetch(const void *p)


cdef enum:
    NODE_ENTRIES = 32
    TOWER_MAX = 12
    POST_HOPS_MAX = 6


cdef struct Entry:
    Entry *older
    uint64_t tag
    uint32_t key_size
    uint32_t value_size             # the key's bytes follow, then the value's


cdef struct Link:
    Node *next
    uint64_t low

cdef struct Node:
    Node *before
    uint32_t changes
    uint16_t count
    uint16_t height
    uint64_t prefix[NODE_ENTRIES]
    Entry *entry[NODE_ENTRIES]
    Link tower[TOWER_MAX]           # only `height` of them are allocated


ctypedef struct Skiplist:
    Node *head
    Node *recent                    # where the last insertion went: ascending keys need no search
    uint32_t height
    uint32_t random
    uint64_t nodes
    Signposts posts                 # hints for searches; empty as long as nobody makes any (memtable_posts.pxd)
    uint64_t crowded                # entries over half a node, summed over all nodes


ctypedef struct Place:              # the first entry at or after a key; `found` when it is that key
    Node *node
    uint32_t index
    bint found


cdef inline const uint8_t *entry_key(const Entry *entry) noexcept nogil:
    return <const uint8_t *>(entry + 1)


cdef inline const uint8_t *entry_value(const Entry *entry) noexcept nogil:
    return <const uint8_t *>(entry + 1) + entry.key_size


cdef inline size_t entry_bytes(size_t key_size, size_t value_size) noexcept nogil:
    return arena_round(sizeof(Entry) + key_size + value_size)


cdef inline Entry *entry_new(Arena *arena, Slice key, uint64_t tag, Slice value) noexcept nogil:
    """Needs entry_bytes ensured in the arena; cannot fail."""
    cdef Entry *entry = <Entry *>arena_take(arena, entry_bytes(key.size, value.size))
    entry.older = NULL
    entry.tag = tag
    entry.key_size = <uint32_t>key.size
    entry.value_size = <uint32_t>value.size
    if key.size > 0:
        memcpy(<uint8_t *>(entry + 1), key.data, key.size)
    if value.size > 0:
        memcpy(<uint8_t *>(entry + 1) + key.size, value.data, value.size)
    return entry


cdef inline size_t node_bytes(uint32_t height) noexcept nogil:
    return sizeof(Node) - (TOWER_MAX - height) * sizeof(Link)


cdef inline uint64_t skiplist_needs(const Skiplist *self, uint64_t insertions) noexcept nogil:
    """The nodes that so many insertions may take at the most. What they need is no more afterwards than what is left of
    these after any part of them.

    Each takes one node or none. And a split takes 16 from `crowded`, to which an insertion adds one at the most; only the
    first node that ascending keys begin costs it nothing."""
    cdef uint64_t nodes = (self.crowded + insertions) // (NODE_ENTRIES // 2) + 2
    return nodes if nodes < insertions else insertions


cdef inline Node *_node_new(Arena *nodes, uint32_t height) noexcept nogil:
    cdef Node *node = <Node *>arena_take_piece(nodes, node_bytes(height), sizeof(Node))
    memset(node, 0, node_bytes(height))
    node.height = <uint16_t>height
    return node


cdef inline void _ask_node(const Node *node) noexcept nogil:
    """The search within it is going to jump between these lines."""
    lsm_prefetch(&node.prefix[8])
    lsm_prefetch(&node.prefix[24])
    lsm_prefetch(&node.entry[8])
    lsm_prefetch(&node.entry[24])


cdef inline void skiplist_init(Skiplist *self, Arena *nodes) noexcept nogil:
    """Needs sizeof(Node) bytes ensured in the arena."""
    self.head = _node_new(nodes, TOWER_MAX)
    self.crowded = 0
    self.nodes = 1
    memset(&self.posts, 0, sizeof(Signposts))
    self.recent = self.head
    self.height = 1
    self.random = 0x9E3779B9


cdef inline uint32_t _random_height(Skiplist *self) noexcept nogil:
    """1, and one more with probability a quarter each (xorshift, Marsaglia 2003)."""
    cdef uint32_t x = self.random
    cdef uint32_t height = 1
    x ^= x << 13
    x ^= x >> 17
    x ^= x << 5
    self.random = x
    while height < TOWER_MAX and (x & 3) == 0:
        height += 1
        x >>= 2
    return height


cdef inline int _compare_entry(const Entry *entry, const uint8_t *key, size_t size) noexcept nogil:
    return compare_keys(entry_key(entry), entry.key_size, key, size)


cdef inline bint _node_at_or_before(const Link *link, uint64_t prefix, const uint8_t *key, size_t size) noexcept nogil:
    """Does the node this link leads to begin at or before the key?"""
    if link.next == NULL or link.low > prefix:
        return False
    if link.low < prefix:
        return True
    return _compare_entry(link.next.entry[0], key, size) <= 0


cdef inline Node *_find_by_posts(const Skiplist *self, uint64_t prefix, const uint8_t *key, size_t size) noexcept nogil:
    """The same from a signpost on; NULL when that is too far off, or there is none."""
    cdef Node *node = signposts_before(&self.posts, prefix)
    cdef int hops = 0
    while node != NULL and hops < POST_HOPS_MAX:
        lsm_prefetch(&node.tower[0])
        lsm_prefetch(node)
        lsm_prefetch(&node.prefix[16])
        lsm_prefetch(&node.entry[16])
        _ask_node(node)
        if not _node_at_or_before(&node.tower[0], prefix, key, size):
            return node
        node = node.tower[0].next
        hops += 1
    return NULL


cdef inline Node *_find_node(const Skiplist *self, uint64_t prefix, const uint8_t *key, size_t size) noexcept nogil:
    """The node in whose range the key falls."""
    cdef Node *node = _find_by_posts(self, prefix, key, size) if self.posts.count > 0 else NULL
    cdef int level = <int>self.height - 1
    if node != NULL:
        return node
    node = self.head
    while level >= 0:
        while _node_at_or_before(&node.tower[level], prefix, key, size):
            node = node.tower[level].next
        level -= 1
    _ask_node(node)
    return node


cdef inline uint32_t _first_not_below(const Node *node, uint64_t prefix) noexcept nogil:
    """The first index whose prefix is not below `prefix`: a binary search without branches."""
    cdef const uint64_t *base = &node.prefix[0]
    cdef uint32_t left = node.count
    cdef uint32_t half
    cdef uint32_t low = 0
    while left > 1:
        half = left >> 1
        low += half * <uint32_t>(base[low + half - 1] < prefix)
        left -= half
    if left == 1 and base[low] < prefix:
        low += 1
    return low


cdef inline uint32_t _search_node(const Node *node, uint64_t prefix, const uint8_t *key, size_t size,
                                  bint *found) noexcept nogil:
    """The first index whose key is not below `key`."""
    cdef uint32_t low = _first_not_below(node, prefix)
    cdef uint32_t high = low
    cdef uint32_t middle
    cdef int order
    found[0] = False
    while high < node.count and node.prefix[high] == prefix:
        high += 1
    while low < high:               # only among equal prefixes are the keys themselves looked at
        middle = (low + high) >> 1
        order = _compare_entry(node.entry[middle], key, size)
        if order == 0:
            found[0] = True
            return middle
        if order < 0:
            low = middle + 1
        else:
            high = middle
    return low


cdef inline Place skiplist_find_in(Node *node, uint64_t prefix, Slice key) noexcept nogil:
    """The same in the node in whose range the key falls."""
    cdef Place place
    place.node = node
    place.index = _search_node(node, prefix, key.data, key.size, &place.found)
    if place.index == node.count:
        place.node = node.tower[0].next
        place.index = 0
    return place


cdef inline Place skiplist_find(const Skiplist *self, Slice key) noexcept nogil:
    """The first entry at or after `key`; `node` is NULL when there is none."""
    cdef uint64_t prefix = key_prefix(key.data, key.size)
    return skiplist_find_in(_find_node(self, prefix, key.data, key.size), prefix, key)


cdef inline Place skiplist_before(const Skiplist *self, Slice key) noexcept nogil:
    """The last entry strictly before `key`; `node` is NULL when there is none."""
    cdef Place place
    cdef uint64_t prefix = key_prefix(key.data, key.size)
    place.node = _find_node(self, prefix, key.data, key.size)
    place.index = _search_node(place.node, prefix, key.data, key.size, &place.found)
    place.found = False
    if place.index == 0:
        place.node = place.node.before
        if place.node == NULL or place.node.count == 0:
            place.node = NULL
            return place
        place.index = place.node.count
    place.index -= 1
    return place


cdef inline void _link_after(Skiplist *self, Node *node, Node *new) noexcept nogil:
    """Link `new`, filled and directly behind `node`, into every level of its tower."""
    cdef Node *at = self.head
    cdef uint64_t prefix = new.prefix[0]
    cdef const Entry *low = new.entry[0]
    cdef int level = <int>self.height - 1
    if new.height > self.height:
        level = <int>new.height - 1
        self.height = new.height
    while level >= 0:
        while _node_at_or_before(&at.tower[level], prefix, entry_key(low), low.key_size):
            at = at.tower[level].next
        if level < <int>new.height:
            new.tower[level] = at.tower[level]
            at.tower[level].next = new
            at.tower[level].low = prefix
        level -= 1
    LSM_ASSERT(at == node)
    self.nodes += 1
    new.before = node
    if new.tower[0].next != NULL:
        new.tower[0].next.before = new


cdef inline Node *_split(Skiplist *self, Arena *nodes, Node *node, uint32_t at) noexcept nogil:
    """Move the entries from index `at` on into a new node behind this one, and answer it."""
    cdef Node *new = _node_new(nodes, _random_height(self))
    cdef uint32_t moved = node.count - at
    memcpy(new.prefix, node.prefix + at, moved * sizeof(uint64_t))
    memcpy(new.entry, node.entry + at, moved * sizeof(Entry *))
    new.count = <uint16_t>moved
    node.count = <uint16_t>at
    node.changes += 1
    self.crowded -= NODE_ENTRIES // 2
    _link_after(self, node, new)
    return new


cdef inline void _insert_at(Skiplist *self, Node *node, uint32_t index, uint64_t prefix, Entry *entry) noexcept nogil:
    cdef uint32_t behind = node.count - index
    memmove(node.prefix + index + 1, node.prefix + index, behind * sizeof(uint64_t))
    memmove(node.entry + index + 1, node.entry + index, behind * sizeof(Entry *))
    node.prefix[index] = prefix
    node.entry[index] = entry
    node.count += 1
    node.changes += 1
    if node.count > NODE_ENTRIES // 2:
        self.crowded += 1


cdef inline bint _in_recent(const Skiplist *self, uint64_t prefix, const uint8_t *key, size_t size) noexcept nogil:
    cdef const Node *node = self.recent
    if node.count == 0 or node.prefix[0] > prefix:
        return False
    if node.prefix[0] == prefix and _compare_entry(node.entry[0], key, size) > 0:
        return False
    return not _node_at_or_before(&node.tower[0], prefix, key, size)


cdef inline void skiplist_link(Skiplist *self, Arena *nodes, Node *node, Entry *entry) noexcept nogil:
    """Put an entry in its place, at or behind `node`: in the place of its older version, or between its neighbours.
    Needs skiplist_ensure; cannot fail."""
    cdef const uint8_t *key = entry_key(entry)
    cdef uint64_t prefix = key_prefix(key, entry.key_size)
    cdef Node *new
    cdef uint32_t index
    cdef bint found
    while _node_at_or_before(&node.tower[0], prefix, key, entry.key_size):
        node = node.tower[0].next
    index = _search_node(node, prefix, key, entry.key_size, &found)
    LSM_ASSERT(found == (entry.older != NULL))
    if found:
        LSM_ASSERT(node.entry[index] == entry.older and entry.older.tag < entry.tag)
        node.entry[index] = entry
        return
    if node.count == NODE_ENTRIES:
        if index == NODE_ENTRIES and node.tower[0].next == NULL:
            new = _node_new(nodes, _random_height(self))    # ascending keys leave full nodes behind them
            _insert_at(self, new, 0, prefix, entry)
            _link_after(self, node, new)
            self.recent = new
            return
        new = _split(self, nodes, node, NODE_ENTRIES // 2)
        if index > node.count:      # at node.count it still belongs to the old node: the low key of `new` stays
            index -= node.count
            node = new
    _insert_at(self, node, index, prefix, entry)
    self.recent = node


cdef inline void skiplist_link_after_recent(Skiplist *self, Arena *nodes, Entry *entry) noexcept nogil:
    """The same for an entry that as a rule belongs where the one before went."""
    cdef const uint8_t *key = entry_key(entry)
    cdef uint64_t prefix = key_prefix(key, entry.key_size)
    cdef Node *node = self.recent
    if not _in_recent(self, prefix, key, entry.key_size):
        node = _find_node(self, prefix, key, entry.key_size)
    skiplist_link(self, nodes, node, entry)


cdef inline int skiplist_check(const Skiplist *self) noexcept nogil:
    """0 when every invariant holds, otherwise the number of the first one that does not."""
    cdef const Node *node = self.head
    cdef const Entry *last = NULL
    cdef const Entry *entry
    cdef uint32_t i
    cdef uint32_t level
    cdef uint64_t crowded = 0
    cdef size_t at
    while node != NULL:
        crowded += node.count - NODE_ENTRIES // 2 if node.count > NODE_ENTRIES // 2 else 0
        if node != self.head and node.count == 0:
            return 1
        if node.count > NODE_ENTRIES or node.height > TOWER_MAX:
            return 2
        for i in range(node.count):
            entry = node.entry[i]
            if node.prefix[i] != key_prefix(entry_key(entry), entry.key_size):
                return 3
            if last != NULL and _compare_entry(last, entry_key(entry), entry.key_size) >= 0:
                return 4
            last = entry
            while entry.older != NULL:
                if entry.older.tag >= entry.tag:
                    return 5
                entry = entry.older
        for level in range(node.height):
            if node.tower[level].next != NULL and node.tower[level].low != node.tower[level].next.prefix[0]:
                return 6
        if node.tower[0].next != NULL and node.tower[0].next.before != node:
            return 7
        node = node.tower[0].next
    if crowded != self.crowded:
        return 8
    for at in range(self.posts.count):
        if self.posts.node[at].prefix[0] != self.posts.low[at] or (at > 0 and self.posts.low[at] < self.posts.low[at - 1]):
            return 9
    return 0
