# cython: language_level=3
"""Linking many entries into a skip list at once.

A search waits for memory at every hop to another node. Searches that do not depend on each other can wait together: each
goes on until it needs another node, asks for that, and lets the next one go on meanwhile (Kocberber, Falsafi, Grot:
Asynchronous Memory Access Chaining, VLDB 2015). Then the entries are linked one after the other, each from the node its
search came to: nodes are split meanwhile, but never removed and never begin lower, so its place is there or behind.

Owner and threads: as skiplist.pxd; the caller holds the memtable's lock alone for the whole of it.
"""
from libc.stdint cimport uint64_t

from lsm.core.arena cimport Arena
from lsm.core.key cimport key_prefix
from lsm.core.skiplist cimport (Entry, Node, Skiplist, _node_at_or_before, entry_key, skiplist_link,
                                skiplist_link_after_recent)

cdef extern from "lsm_bits.h" nogil:
    void lsm_prefetch(const void *p)


cdef enum:
    BATCH_MAX = 64


ctypedef struct Search:
    const Entry *entry
    uint64_t prefix
    Node *node
    int level               # below 0: `node` is the one in whose range the key falls


cdef inline bint _search_advance(Search *self) noexcept nogil:
    """Go on until another node is needed, and ask for it. False when the search is over."""
    while self.level >= 0:
        if _node_at_or_before(&self.node.tower[self.level], self.prefix, entry_key(self.entry), self.entry.key_size):
            self.node = self.node.tower[self.level].next
            lsm_prefetch(&self.node.tower[self.level])
            lsm_prefetch(&self.node.tower[0])
            return True
        self.level -= 1
    lsm_prefetch(self.node)
    lsm_prefetch(&self.node.prefix[8])
    lsm_prefetch(&self.node.prefix[16])
    lsm_prefetch(&self.node.prefix[24])
    lsm_prefetch(&self.node.entry[8])
    lsm_prefetch(&self.node.entry[24])
    return False


cdef inline void _search_all(const Skiplist *list, Search *searches, unsigned int count) noexcept nogil:
    cdef unsigned int under_way[BATCH_MAX]
    cdef unsigned int left = count
    cdef unsigned int kept, i
    for i in range(count):
        under_way[i] = i
        searches[i].prefix = key_prefix(entry_key(searches[i].entry), searches[i].entry.key_size)
        searches[i].node = list.head
        searches[i].level = <int>list.height - 1
    while left > 0:
        kept = 0
        for i in range(left):
            under_way[kept] = under_way[i]
            kept += _search_advance(&searches[under_way[i]])
        left = kept


cdef inline void skiplist_link_all(Skiplist *self, Arena *nodes, Entry **entries, unsigned int count,
                                   bint ascending) noexcept nogil:
    """Link up to BATCH_MAX entries in the order in which they were written. `ascending`: that of their keys, too."""
    cdef Search searches[BATCH_MAX]
    cdef unsigned int i
    if ascending:
        for i in range(count):
            skiplist_link_after_recent(self, nodes, entries[i])
        return
    for i in range(count):
        searches[i].entry = entries[i]
    _search_all(self, searches, count)
    for i in range(count):
        skiplist_link(self, nodes, searches[i].node, entries[i])
