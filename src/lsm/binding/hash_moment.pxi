"""HashMoment: a hashlog as it was at one moment. Taking one copies nothing (hash_undo.pxi).

Threads: any may look.
"""


@cython.final
@cython.no_gc_clear         # __dealloc__ needs the store
cdef class HashMoment:
    cdef HashStore store
    cdef Undo *undo
    cdef uint64_t count
    cdef HashSorted whole
    cdef bint asked
    cdef object __weakref__

    def __init__(self, HashStore store not None):
        cdef Undo *undo
        if store.gate & GATE_SHUT:
            store._refuse()
        undo = <Undo *>calloc(1, sizeof(Undo))
        if undo == NULL or hash_index_init(&undo.kept, UNDO_SEGMENT_BITS) != 0:
            free(undo)
            raise MemoryError
        undo.open = True
        try:
            store.lock_writes()
        except BaseException:
            hash_index_free(&undo.kept)
            free(undo)
            raise
        store.lock_index()
        undo.older = store.newest
        store.moments += 1
        undo.number = store.moments
        if undo.older != NULL:
            undo.older.newer = undo
        else:
            store.oldest = undo
        store.newest = undo
        self.count = store.index.present
        store.unlock_index()
        store.unlock_writes()
        self.undo = undo
        self.store = store

    def __dealloc__(self):
        self.let_go()

    cdef void let_go(self) noexcept:
        cdef Undo *undo = NULL
        if self.store is None or self.store.gate & GATE_FORKED:
            return                          # in the child of a fork a thread that is not there may hold the lock
        self.store.lock_index()
        if self.undo != NULL:
            undo = self.undo
            self.undo = NULL
            undo = _undo_leave(self.store, undo)
        self.store.unlock_index()
        _undo_free(undo)

    def close(self):
        """Let the moment go. May be called again."""
        self.let_go()
        self.whole = None
        self.store._moment_closed()

    def find(self, bytes key not None):
        """The value the key had, None when there was none."""
        cdef Slice wanted = slice_of_bytes(key)
        cdef HashStore store = self.store
        cdef const HashEntry *entry
        cdef DataPlace place
        cdef uint32_t number = 0
        cdef dict files
        if store.gate & GATE_SHUT:
            store._refuse()
        store.lock_index()
        if self.undo == NULL:
            store.unlock_index()
            raise ClosedError("this snapshot is closed: take another one with db.snapshot()")
        entry = undo_find(self.undo, &store.index, key_hash(wanted), wanted)
        if entry != NULL:
            number = entry.file
            _place_of(entry, &place)
        files = store.files
        store.unlock_index()
        if number == 0:
            return None
        return (<DataFile>files[number]).value_at(&place, wanted)

    def rows(self, span):
        """The rows between the bounds of a Span, in its direction. The first time what lies between is sorted, or what the span's
        limit allows of it, where that is few; from then on everything, once."""
        cdef HashSorted sorted_ = self.whole
        if sorted_ is None:
            if self.asked:
                sorted_ = self.whole = self.sort(b"", None, False, None)
            else:
                self.asked = True
                sorted_ = self.sort(span.lower, span.upper, span.reverse, span.limit)
        return HashRows(sorted_, span.lower, span.upper, span.reverse, span.values)

    cdef HashSorted sort(self, bytes lower, bytes upper, bint reverse, object limit):
        cdef HashSorted sorted_ = HashSorted.__new__(HashSorted)
        cdef HashStore store = self.store
        cdef Gathering into
        cdef int status
        into.low = slice_of_bytes(lower)
        into.bounded = upper is not None
        into.high = slice_of_bytes(upper) if upper is not None else slice_of(NULL, 0)
        into.reverse = reverse
        into.few = limit if limit is not None and limit <= GATHER_FEW else 0
        into.rows = &sorted_.rows
        into.keys = &sorted_.keys
        if store.gate & GATE_SHUT:
            store._refuse()
        sorted_.store = store
        with nogil:
            status = _gather(self, store, &into)
        if status == GATHER_NO_MEMORY:
            raise MemoryError
        if store.gate & GATE_SHUT:
            store._refuse()                 # closed meanwhile: there may be nothing in the index
        store.lock_index()
        if self.undo != NULL:
            sorted_.files = store.files     # among them all that its rows lead to: the moment holds them
        store.unlock_index()
        if sorted_.files is None:
            raise ClosedError("this snapshot is closed: take another one with db.snapshot()")
        with nogil:
            sorted_.sort()
        return sorted_

    @property
    def number(self):
        """Moments are counted."""
        return self.undo.number if self.undo != NULL else 0

    def __len__(self):
        return self.count
