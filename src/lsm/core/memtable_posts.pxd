# cython: language_level=3
"""Making a memtable's signposts (signposts.pxd), by those who seek in it, some nodes each time.

Who only writes, or reads single keys, needs none and makes none. They are made anew when there are a quarter more nodes
than signposts; until these are whole, searches go by the old ones.

Owner and threads: `at_work`, taken and given back atomically, is the right to what is being made; what is in use is
changed with the memtable's lock held alone, and read with it shared.
"""
from libc.stdint cimport uint64_t

from lsm.core.memtable cimport Memtable
from lsm.core.signposts cimport Node, Signposts, signposts_add, signposts_bytes, signposts_free, signposts_init

cdef extern from "lsm_bits.h" nogil:
    ctypedef struct lsm_rwlock:
        unsigned int word
    void lsm_read_lock(lsm_rwlock *lock)
    void lsm_read_unlock(lsm_rwlock *lock)
    void lsm_write_lock(lsm_rwlock *lock)
    void lsm_write_unlock(lsm_rwlock *lock)
    void lsm_store_relaxed(uint64_t *p, uint64_t value)
    bint lsm_try(unsigned int *word)
    void lsm_store_release(unsigned int *p, unsigned int value)


cdef enum:
    POSTS_NODES_MIN = 64                # fewer nodes are searched quickly enough
    POSTS_A_TIME = 16                   # nodes to go on by in one seek: each is a wait for memory


cdef inline bint posts_wanted(const Memtable *self) noexcept nogil:
    """With the memtable's lock held, shared."""
    cdef uint64_t nodes = self.list.nodes
    return nodes >= POSTS_NODES_MIN and nodes >= self.list.posts.count + self.list.posts.count // 4


cdef inline bint _go_on(Memtable *self) noexcept nogil:
    """Some nodes more. True when the last one has been reached."""
    cdef Signposts *made = &self.posts_made
    cdef Node *node
    cdef unsigned int i
    cdef bint done = False
    lsm_read_lock(&self.lock)
    node = self.posts_at if made.count > 0 else self.list.head
    for i in range(<unsigned int>POSTS_A_TIME):
        if node.tower[0].next == NULL or made.count == made.room:
            done = True
            break
        signposts_add(made, node.tower[0].low, node.tower[0].next)
        node = node.tower[0].next
    self.posts_at = node
    lsm_read_unlock(&self.lock)
    return done


cdef inline void posts_make(Memtable *self) noexcept nogil:
    """Make some of the next signposts, unless another thread is at it, or there is no memory."""
    cdef Signposts *made = &self.posts_made
    cdef Signposts old
    cdef uint64_t nodes
    if not lsm_try(&self.posts_at_work):
        return
    if made.room == 0:
        lsm_read_lock(&self.lock)
        nodes = self.list.nodes
        lsm_read_unlock(&self.lock)
        signposts_init(made, <size_t>(nodes + nodes // 8))
    if made.room > 0 and _go_on(self):
        lsm_write_lock(&self.lock)
        old = self.list.posts
        self.list.posts = made[0]
        lsm_write_unlock(&self.lock)
        made.low, made.node, made.count, made.room = NULL, NULL, 0, 0
        signposts_free(&old)
        lsm_store_relaxed(&self.posts_bytes, signposts_bytes(&self.list.posts))
    lsm_store_release(&self.posts_at_work, 0)
