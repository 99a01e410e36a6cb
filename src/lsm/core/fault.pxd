# cython: language_level=3
"""Fault: what went wrong in the C parts, said once, by the first who noticed.

Every function of core/ that can fail returns 0, or -1 after filling the caller's `Fault`; it is `noexcept nogil`
and raises nothing itself. `binding/faults.pxi` is the one place where a Fault becomes a Python exception, so no
error path of the core needs the GIL, and none is swallowed: a -1 is passed up until it gets there.

Owner: the caller, usually on its stack. Threads: a Fault is never shared.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, strlen


cdef enum FaultKind:
    FAULT_NONE = 0
    FAULT_SYSTEM = 1        # the operating system refused: `error` is its errno
    FAULT_CORRUPT = 2       # bytes on disk are not what was written
    FAULT_MEMORY = 3        # an allocation failed
    FAULT_UNSUPPORTED = 4   # newer format version, or a compression this build lacks
    FAULT_INVALID = 5       # the caller asked for something outside the stated limits


cdef enum:
    FAULT_FILE_BYTES = 64
    FAULT_DETAIL_BYTES = 192


ctypedef struct Fault:
    int kind
    int error
    uint64_t offset                     # where in the file, bytes from its start
    char file[FAULT_FILE_BYTES]         # name within the database directory
    char detail[FAULT_DETAIL_BYTES]


cdef inline void _fault_text(char *to, size_t room, const char *text) noexcept nogil:
    cdef size_t size = 0
    if text != NULL:
        size = strlen(text)
        if size > room - 1:
            size = room - 1
        memcpy(to, text, size)
    to[size] = 0


cdef inline int fault(Fault *self, int kind, const char *file, uint64_t offset, const char *detail) noexcept nogil:
    """Fill `self` and answer -1, so that a caller can `return fault(...)`."""
    self.kind = kind
    self.error = 0
    self.offset = offset
    _fault_text(self.file, FAULT_FILE_BYTES, file)
    _fault_text(self.detail, FAULT_DETAIL_BYTES, detail)
    return -1


cdef inline int fault_system(Fault *self, const char *file, int error, const char *detail) noexcept nogil:
    fault(self, FAULT_SYSTEM, file, 0, detail)
    self.error = error
    return -1


cdef inline int fault_corrupt(Fault *self, const char *file, uint64_t offset, const char *detail) noexcept nogil:
    return fault(self, FAULT_CORRUPT, file, offset, detail)


cdef inline int fault_memory(Fault *self) noexcept nogil:
    return fault(self, FAULT_MEMORY, NULL, 0, "out of memory")
