# cython: language_level=3
"""Window: the stretch of a log that is preallocated and mapped into memory, so that appending to it is a memcpy.

Bytes stored in a shared mapping belong to the kernel at once: they survive the death of the process just as a write
does, and reach the medium by the same fdatasync. A store into a mapping has no return code, so whatever could go
wrong is made to go wrong before: the blocks are allocated (ENOSPC), written with zeros (which also brings the pages
in at a fifth of the price of faulting them in), made present and writable, and only then is the window handed out.

Invariants: [base, base + length) is mapped at `map`, `base` is a multiple of the page size, and the file is exactly
`allocated` >= base + length bytes long, all of them zero from the last committed byte on. A refused move leaves the
old window and the file as they were.

Chunks double from 64 KiB to 1 MiB, so that a small log is a small file and a busy one moves rarely; when the full
chunk does not fit on the disk any more, just the pages asked for are tried.

Owner: the file it belongs to. Threads: one; a sync of the same file may run beside it.
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


cdef enum:
    WINDOW_FIRST = 1 << 16
    WINDOW_LARGEST = 1 << 20


cdef struct Window:
    int fd
    uint8_t *map            # NULL: nothing is mapped
    size_t length
    size_t chunk            # size of the next window
    uint64_t base
    uint64_t allocated


cdef inline void window_start(Window *self, int fd) noexcept nogil:
    self.fd = fd
    self.map = NULL
    self.length = 0
    self.chunk = WINDOW_FIRST
    self.base = 0
    self.allocated = 0


cdef inline void window_close(Window *self) noexcept nogil:
    """Unmap; what was stored stays in the file."""
    if self.map != NULL:
        munmap(self.map, self.length)
        self.map = NULL
        self.length = 0


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


cdef inline int _window_map(Window *self, uint64_t base, size_t length, size_t page) noexcept nogil:
    cdef void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, self.fd, <off_t>base)
    cdef int error
    if map == MAP_FAILED:
        return errno
    error = lsm_populate(<uint8_t *>map, length, page)
    if error != 0:
        munmap(map, length)
        return error
    window_close(self)
    self.map = <uint8_t *>map
    self.length = length
    self.base = base
    return 0


cdef inline int window_move(Window *self, uint64_t committed, size_t size) noexcept nogil:
    """Have room for `size` bytes after the first `committed` of the file. 0 or an errno."""
    cdef size_t page = <size_t>sysconf(_SC_PAGESIZE)
    cdef uint64_t base = committed - committed % page
    cdef size_t needed, length
    cdef int error
    if size > <size_t>1 << 40:
        return EFBIG
    needed = <size_t>(committed - base) + size
    needed = (needed + page - 1) // page * page
    length = needed if needed > self.chunk else self.chunk
    error = _window_allocate(self, base + length)
    if error != 0 and length > needed:
        length = needed
        error = _window_allocate(self, base + length)
    if error == 0:
        error = _window_map(self, base, length, page)
    if error == 0 and self.chunk < WINDOW_LARGEST:
        self.chunk *= 2
    return error
