"""SyncedFile: a file that is appended to and made durable by group commit (sync.pxi): a log, or a data file of a hashlog.

It owns its File. It is made complete on disk, header and name, before anything refers to it. Threads: append under the
store's write lock; `sync` beside it.
"""
@cython.no_gc_clear         # __dealloc__ needs what it refers to
cdef class SyncedFile:
    cdef Directory directory            # keeps the Env alive
    cdef File *file
    cdef readonly uint64_t number
    cdef readonly str name
    cdef bint synced_whole              # rotated away from, and durable to its end

    cdef int make(self, Directory directory, uint64_t number, str name, const uint8_t *header, str what) except -1:
        """Create it, its header of LOG_HEADER_BYTES and its name; durable when this returns."""
        cdef Fault fault
        cdef bytes encoded = name.encode()
        cdef bytes detail
        cdef const char *c_name = encoded
        cdef bint lasting = False
        cdef int error
        self.directory = directory
        self.number = number
        self.name = name
        with nogil:
            error = self.directory.env.open(self.directory.env, c_name, MODE_LOG, &self.file)
            if error == 0:
                error = self.file.env.append(self.file, header, LOG_HEADER_BYTES)
            if error == 0:
                error = self.file.env.sync(self.file)
            if error == 0:
                error = self.directory.env.sync_directory(self.directory.env)
                lasting = error != 0
            if error != 0 and self.file != NULL:
                self.file.env.close(self.file)
                self.file = NULL
                self.directory.env.unlink(self.directory.env, c_name)
        if error != 0:
            detail = f"cannot create {what}".encode()
            fault_system(&fault, c_name, error, detail)
            if lasting:
                raise_lasting(&fault, self.directory.path)
            raise_fault(&fault, self.directory.path)
        return 0

    def __dealloc__(self):
        if self.file != NULL:
            with nogil:
                self.file.env.close(self.file)

    @property
    def size(self):
        """Bytes written so far."""
        return lsm_load_acquire(&self.file.size) if self.file != NULL else 0

    cdef int sync(self, Fault *fault) noexcept nogil:
        cdef int error = self.file.env.sync(self.file)
        if error != 0:
            return fault_system(fault, self.file.name, error, b"cannot make it durable")
        return 0
