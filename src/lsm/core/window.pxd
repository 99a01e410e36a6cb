# cython: language_level=3
"""Window: the stretch of a log that is mapped into memory, and made ready in chunks, so that appending to it is a memcpy.

Bytes stored in a shared mapping belong to the kernel at once: they survive the death of the process just as a write
does, and reach the medium by the same fdatasync. A store into a mapping has no return code, so whatever could go
wrong is made to go wrong before: the blocks are allocated (ENOSPC), written with zeros (which also brings the pages
in at a fifth of the price of faulting them in), made present and writable, and only then is the window handed out.

Invariants: [base, base + span) of the file is mapped at `map`, further than the file reaches, and the part of it from
`kept` on is still there; `base` is a multiple of the page size. Of that, the bytes up to `ready` may be stored to; the file
is exactly `allocated` >= `ready` bytes long, all of them zero from the last committed byte on. A refused move leaves
everything as it was.

Chunks double from 64 KiB to 1 MiB, so that a small log is a small file and a busy one is rarely waited for; when the full
chunk does not fit on the disk any more, just the pages asked for are tried. A preparer makes the next chunk ready while
the writer fills the one before (`window_prepare`): at most one is ready ahead. Pages behind the last committed byte are let
go of chunk by chunk: a log is never read through its window.

Owner: the file it belongs to. Threads: one writer, who alone maps, beside one preparer, who makes the next chunk ready and
lets go of what is written; `guard` is held while either does that, and `ready` read without it. A sync of the same file
may run beside them.
"""
from libc.errno cimport errno, EFBIG
from libc.stdint cimport uint8_t, uint64_t
from posix.types cimport off_t


cdef extern from "posix.h" nogil:
    int lsm_truncate(int fd, uint64_t size)
    int lsm_preallocate(int fd, uint64_t offset, uint64_t size)
    int lsm_write_zeros(int fd, uint64_t offset, uint64_t size)
    int lsm_populate(uint8_t *map, size_t size, size_t page)
    void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
    int munmap(void *at, size_t size)
    long sysconf(int name)
    int PROT_READ, PROT_WRITE, MAP_SHARED, _SC_PAGESIZE
    void *MAP_FAILED

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)

cdef extern from "lsm_bits.h" nogil:
    uint64_t lsm_load_acquire(uint64_t *p)
    void lsm_store_release(uint64_t *p, uint64_t value)


cdef enum:
    WINDOW_FIRST = 1 << 16
    WINDOW_LARGEST = 1 << 20
    WINDOW_SPAN = 1 << 27           # addresses for a whole log of the default size, and more


cdef struct Window:
    pthread_mutex_t guard
    int fd
    uint8_t *map            # NULL: nothing is mapped
    uint64_t base
    size_t span
    uint64_t kept           # offset in the file, a multiple of the page size
    size_t chunk            # how much is made ready next
    uint64_t ready
    uint64_t allocated


cdef inline void window_start(Window *self, int fd) noexcept nogil:
    """The rest is zero, and stays so until the first move."""
    pthread_mutex_init(&self.guard, NULL)
    self.fd = fd
    self.map = NULL
    self.chunk = WINDOW_FIRST


cdef inline void _window_unmap(Window *self) noexcept nogil:
    if self.map != NULL:
        munmap(self.map + (self.kept - self.base), self.span - <size_t>(self.kept - self.base))
        self.map = NULL


cdef inline void window_close(Window *self, uint64_t size) noexcept nogil:
    """Unmap; what was stored stays in the file, which is about to be cut to `size` bytes."""
    pthread_mutex_lock(&self.guard)
    _window_unmap(self)
    self.allocated = size
    lsm_store_release(&self.ready, 0)
    pthread_mutex_unlock(&self.guard)


cdef inline void window_end(Window *self) noexcept nogil:
    """For good. Nobody else is here any more (or, in the child of a fork, ever was)."""
    _window_unmap(self)
    pthread_mutex_destroy(&self.guard)


cdef inline uint8_t *window_at(Window *self, uint64_t offset) noexcept nogil:
    return self.map + (offset - self.base)


cdef inline size_t window_room(Window *self, uint64_t committed) noexcept nogil:
    """How many bytes may be stored behind the first `committed`."""
    cdef uint64_t ready = lsm_load_acquire(&self.ready)
    return <size_t>(ready - committed) if ready > committed else 0


cdef inline int _window_allocate(Window *self, uint64_t end) noexcept nogil:
    cdef int error
    if end <= self.allocated:
        return 0
    error = lsm_preallocate(self.fd, self.allocated, end - self.allocated)
    if error == 0:
        error = lsm_write_zeros(self.fd, self.allocated, end - self.allocated)
    if error == 0:
        self.allocated = end
    else:
        lsm_truncate(self.fd, self.allocated)       # some systems keep the part that did fit
    return error


cdef inline int _window_map(Window *self, uint64_t base, size_t span, uint64_t end, size_t page) noexcept nogil:
    """Map [base, base + span) instead, ready up to `end`."""
    cdef void *map = mmap(NULL, span, PROT_READ | PROT_WRITE, MAP_SHARED, self.fd, <off_t>base)
    cdef int error
    if map == MAP_FAILED:
        return errno
    error = lsm_populate(<uint8_t *>map, <size_t>(end - base), page)
    if error != 0:
        munmap(map, span)
        return error
    _window_unmap(self)
    self.map = <uint8_t *>map
    self.base = self.kept = base
    self.span = span
    return 0


cdef inline int _window_extend(Window *self, uint64_t base, uint64_t end, size_t page) noexcept nogil:
    """Have everything up to `end` ready; what is before `base` is not needed any more."""
    cdef size_t least = <size_t>(end - base)
    cdef int error = _window_allocate(self, end)
    if error != 0:
        return error
    if self.map != NULL and end <= self.base + self.span:
        error = lsm_populate(window_at(self, self.ready), <size_t>(end - self.ready), page)
    else:
        error = _window_map(self, base, least if least > <size_t>WINDOW_SPAN else <size_t>WINDOW_SPAN, end, page)
        if error != 0:
            error = _window_map(self, base, least, end, page)       # where addresses are few
    if error == 0:
        lsm_store_release(&self.ready, end)
    return error


cdef inline void _window_let_go(Window *self, uint64_t committed, size_t page) noexcept nogil:
    """Of the pages that are written, once they are a chunk."""
    cdef uint64_t end = committed - committed % page
    if end >= self.kept + self.chunk and munmap(window_at(self, self.kept), <size_t>(end - self.kept)) == 0:
        self.kept = end


cdef inline int window_move(Window *self, uint64_t committed, size_t size) noexcept nogil:
    """Have room for `size` bytes after the first `committed` of the file. 0 or an errno."""
    cdef size_t page = <size_t>sysconf(_SC_PAGESIZE)
    cdef uint64_t base = committed - committed % page
    cdef uint64_t needed, end
    cdef int error = 0
    if size > <size_t>1 << 40:
        return EFBIG
    needed = (committed + size + page - 1) // page * page
    pthread_mutex_lock(&self.guard)
    if window_room(self, committed) < size:         # not made ready while we waited for the guard
        end = base + self.chunk if needed < base + self.chunk else needed
        error = _window_extend(self, base, end, page)
        if error != 0 and end > needed:
            error = _window_extend(self, base, needed, page)
        if error == 0:
            _window_let_go(self, committed, page)
            if self.chunk < WINDOW_LARGEST:
                self.chunk *= 2
    pthread_mutex_unlock(&self.guard)
    return error


cdef inline void window_prepare(Window *self, uint64_t committed) noexcept nogil:
    """Make the next chunk ready, unless one is, or the mapping ends. The preparer's half of `window_move`."""
    cdef size_t page = <size_t>sysconf(_SC_PAGESIZE)
    cdef uint64_t end
    pthread_mutex_lock(&self.guard)
    end = self.ready + self.chunk
    if self.map != NULL and end <= self.base + self.span and window_room(self, committed) < self.chunk + self.chunk // 2:
        if _window_extend(self, self.base, end, page) == 0:
            _window_let_go(self, committed, page)
            if self.chunk < WINDOW_LARGEST:
                self.chunk *= 2
    pthread_mutex_unlock(&self.guard)
