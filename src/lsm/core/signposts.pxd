# cython: language_level=3
"""Signposts: where the nodes of a skip list begin, as an array, so that a search begins beside its end.

A search through the levels of a skip list waits for memory at nearly every hop. The nodes' first prefixes, side by side,
are few enough to stay in the processor's cache, and are searched without waiting. They are a hint: a node is split
later on, but never removed and never begins lower, so the one a signpost leads to is the right one or before it.

Owner: owns its arrays until `signposts_free`. Threads: the callers'.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset


cdef struct Node


ctypedef struct Signposts:
    uint64_t *low               # ascending
    Node **node                 # the nodes whose first entries have these prefixes
    size_t count
    size_t room


cdef inline void signposts_free(Signposts *self) noexcept nogil:
    free(self.low)
    free(self.node)
    memset(self, 0, sizeof(Signposts))


cdef inline int signposts_init(Signposts *self, size_t room) noexcept nogil:
    """None yet, and room for so many. -1 when there is no memory."""
    memset(self, 0, sizeof(Signposts))
    self.low = <uint64_t *>malloc(room * sizeof(uint64_t))
    self.node = <Node **>malloc(room * sizeof(Node *))
    if self.low == NULL or self.node == NULL:
        signposts_free(self)
        return -1
    self.room = room
    return 0


cdef inline uint64_t signposts_bytes(const Signposts *self) noexcept nogil:
    return self.room * (sizeof(uint64_t) + sizeof(Node *))


cdef inline void signposts_add(Signposts *self, uint64_t low, Node *node) noexcept nogil:
    """Behind the others. There is room."""
    self.low[self.count] = low
    self.node[self.count] = node
    self.count += 1


cdef inline Node *signposts_before(const Signposts *self, uint64_t prefix) noexcept nogil:
    """The last node known to begin below `prefix`, or NULL."""
    cdef size_t left = self.count
    cdef size_t half
    cdef size_t below = 0               # so many begin below it
    while left > 1:
        half = left >> 1
        below += half * <size_t>(self.low[below + half - 1] < prefix)
        left -= half
    if left == 1 and self.low[below] < prefix:
        below += 1
    return self.node[below - 1] if below > 0 else NULL
