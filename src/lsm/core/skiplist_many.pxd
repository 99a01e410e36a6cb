# cython: language_level=3
"""Looking for several keys in a skip list at once.

A search waits for memory at every hop to another node. Searches that do not depend on each other can wait together: each
goes on until it needs another node, asks for that, and lets the next one go on meanwhile (Kocberber, Falsafi, Grot:
Asynchronous Memory Access Chaining, VLDB 2015).

Owner and threads: as skiplist.pxd; the caller holds the memtable's lock, shared, for the whole of it.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from lsm.core.coding cimport Slice
from lsm.core.key cimport key_prefix, tag_sequence
from lsm.core.skiplist cimport Entry, Node, Skiplist, _first_not_below, _node_at_or_before, _search_node

cdef extern from "lsm_bits.h" nogil:
    void lsm_prefetch(const void *p)


cdef enum:
    SEARCHES_MAX = 64


ctypedef struct Search:
    Slice key
    uint64_t prefix
    const Node *node
    int level               # below 0: `node` is the one in whose range the key falls
    const Entry *found


cdef inline void search_begin(Search *self, const Skiplist *list, Slice key) noexcept nogil:
    self.key = key
    self.prefix = key_prefix(key.data, key.size)
    self.node = list.head
    self.level = <int>list.height - 1
    self.found = NULL


cdef inline bint _search_advance(Search *self) noexcept nogil:
    """Go on until another node is needed, and ask for it. False when the search among nodes is over."""
    while self.level >= 0:
        if _node_at_or_before(&self.node.tower[self.level], self.prefix, self.key.data, self.key.size):
            self.node = self.node.tower[self.level].next
            lsm_prefetch(&self.node.tower[self.level])
            lsm_prefetch(self.node)
            return True
        self.level -= 1
    lsm_prefetch(&self.node.prefix[0])
    lsm_prefetch(&self.node.prefix[8])
    lsm_prefetch(&self.node.prefix[16])
    lsm_prefetch(&self.node.prefix[24])
    return False


cdef inline void _search_ask_for_entry(const Search *self) noexcept nogil:
    cdef uint32_t index = _first_not_below(self.node, self.prefix)
    if index < self.node.count and self.node.prefix[index] == self.prefix:
        lsm_prefetch(self.node.entry[index])
        lsm_prefetch(<const char *>self.node.entry[index] + 64)
        lsm_prefetch(<const char *>self.node.entry[index] + 128)


cdef inline void _search_end(Search *self, uint64_t sequence) noexcept nogil:
    cdef bint found
    cdef uint32_t index = _search_node(self.node, self.prefix, self.key.data, self.key.size, &found)
    cdef const Entry *entry = self.node.entry[index] if found else NULL
    while entry != NULL and tag_sequence(entry.tag) > sequence:
        entry = entry.older
    self.found = entry


cdef inline void skiplist_get_many(Search *searches, size_t count, uint64_t sequence) noexcept nogil:
    """`skiplist_get` for `count` searches that have begun; each has its `found` afterwards."""
    cdef uint32_t under_way[SEARCHES_MAX]
    cdef size_t left = count
    cdef size_t kept, i
    for i in range(count):
        under_way[i] = <uint32_t>i
    while left > 0:
        kept = 0
        for i in range(left):
            under_way[kept] = under_way[i]
            kept += _search_advance(&searches[under_way[i]])
        left = kept
    for i in range(count):
        _search_ask_for_entry(&searches[i])
    for i in range(count):
        _search_end(&searches[i], sequence)
