# cython: language_level=3
"""posix_file: one file of a PosixEnv (posix.pxd).

- A plain file is written by pwrite at its committed size: a refused or partial append is cut off again, and what
  cannot be cut off is overwritten by the next.
- A log (MODE_LOG) on a file system known to be safe for it is built in a memory-mapped Window (window.pxd);
  everywhere else, and wherever the mapping is refused, in a staging buffer that `commit` writes.
- A failed sync is final: the kernel has dropped what it could not write, so every later sync answers the same errno
  without asking again.
- Symbolic links are not followed; what is not a regular file is refused.

Owner and threads: as env.pxd says.
"""
from libc.errno cimport errno, EBADF, EFBIG, EINTR, EINVAL, EIO, ENAMETOOLONG, ENOMEM, ENOSPC, EROFS
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, strchr, strcmp, strlen
from posix.types cimport off_t

from lsm.core.env cimport ENV_NAME_BYTES, MODE_LOG, MODE_READ, Env, File
from lsm.core.preparer cimport TASK_LOG, preparer_ask
from lsm.core.window cimport (WINDOW_FIRST, Window, window_at, window_close, window_end, window_move, window_prepare,
                              window_room, window_start)


cdef extern from "lsm_bits.h" nogil:
    int lsm_load_relaxed(int *p)
    uint64_t _load_size "lsm_load_acquire"(uint64_t *p)
    void lsm_store_relaxed(int *p, int value)
    void _publish_size "lsm_store_release"(uint64_t *p, uint64_t value)
    void LSM_ASSERT(bint condition)


cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_rwlock_t:
        pass
    int pthread_rwlock_rdlock(pthread_rwlock_t *lock)
    int pthread_rwlock_unlock(pthread_rwlock_t *lock)


cdef extern from "posix.h" nogil:
    int lsm_openat(int directory, const char *name, int flags)
    int lsm_file_size(int fd, uint64_t *size)
    int lsm_sync_file(int fd)
    int lsm_truncate(int fd, uint64_t size)
    int lsm_maps_safely(int fd)
    int close(int fd)
    ssize_t pread(int fd, void *to, size_t size, off_t offset)
    ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
    int O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL
    int ENODATA, EDQUOT


cdef enum LogWay:
    WAY_PLAIN = 0
    WAY_MAPPED = 1


cdef struct PosixEnv:
    Env env                 # first: an Env * of this kind is a PosixEnv *
    pthread_rwlock_t guard  # held shared while `directory` is in use, exclusive while it is closed
    int directory           # -1 once shut
    int lock                # descriptor of the lock file, or -1
    int lock_owner          # pid that took it
    int sync_error          # of the directory; sticky
    bint read_only
    bint mapped             # logs may be memory-mapped


cdef struct PosixFile:
    File file               # first, as above
    uint8_t *at             # where the next bytes of a log are built, and how many may be without another thought
    size_t room
    int way
    int fd
    int mode
    int sync_error          # sticky
    uint8_t *staging
    Window window


cdef inline int posix_check_name(const char *name) noexcept nogil:
    if name[0] == 0 or strchr(name, c'/') != NULL or strcmp(name, ".") == 0 or strcmp(name, "..") == 0:
        return EINVAL
    if strlen(name) >= ENV_NAME_BYTES:
        return ENAMETOOLONG
    return 0


cdef inline int posix_hold(PosixEnv *self) noexcept nogil:
    """The directory's descriptor, which stays what it is until `posix_release`; -1 (EBADF to the system) once shut."""
    pthread_rwlock_rdlock(&self.guard)
    return self.directory


cdef inline int posix_release(PosixEnv *self, int result) noexcept nogil:
    """Answers the errno when `result`, what a system call said, is negative."""
    cdef int error = errno if result < 0 else 0
    pthread_rwlock_unlock(&self.guard)
    return error


cdef inline int posix_write_whole(int fd, const uint8_t *data, size_t size, uint64_t offset) noexcept nogil:
    cdef ssize_t written
    while size > 0:
        written = pwrite(fd, data, size, <off_t>offset)
        if written < 0:
            if errno == EINTR:
                continue
            return errno
        if written == 0:
            return EIO
        data += written
        size -= <size_t>written
        offset += <uint64_t>written
    return 0


cdef inline int _write_at_end(PosixFile *self, const void *data, size_t size) noexcept nogil:
    cdef int error = posix_write_whole(self.fd, <const uint8_t *>data, size, self.file.size)
    if error == 0:
        _publish_size(&self.file.size, self.file.size + size)
    else:
        lsm_truncate(self.fd, self.file.size)
    return error


cdef inline int _become_plain(PosixFile *self) noexcept nogil:
    window_close(&self.window, self.file.size)
    self.at = NULL
    self.room = 0
    self.way = WAY_PLAIN
    return lsm_truncate(self.fd, self.file.size)


cdef inline int _reserve_staging(PosixFile *self, size_t size) noexcept nogil:
    cdef uint8_t *grown = <uint8_t *>realloc(self.staging, size)
    if grown == NULL:
        return ENOMEM
    self.staging = self.at = grown
    self.room = size
    return 0


cdef inline int _reserve_window(PosixFile *self, size_t size) noexcept nogil:
    cdef int error = 0
    if window_room(&self.window, self.file.size) < size:
        error = window_move(&self.window, self.file.size, size)
    if error == 0:
        self.at = window_at(&self.window, self.file.size)
        self.room = window_room(&self.window, self.file.size)
        if self.file.preparer != NULL and self.file.size >= <uint64_t>WINDOW_FIRST:     # a small log needs no more
            preparer_ask(self.file.preparer, TASK_LOG)      # for the next chunk, while this one is filled
        return 0
    if error == ENOSPC or error == EDQUOT or error == EFBIG:
        return error
    error = _become_plain(self)         # no mapping to be had: pwrite may still do, or knows the better errno
    return error if error != 0 else _reserve_staging(self, size)


cdef inline bint posix_prepare(void *subject) noexcept nogil:
    cdef PosixFile *self = <PosixFile *>subject
    window_prepare(&self.window, _load_size(&self.file.size))
    return False


cdef inline int posix_reserve(File *file, size_t size, uint8_t **at) noexcept nogil:
    cdef PosixFile *self = <PosixFile *>file
    cdef int error
    if size > self.room:
        if self.mode == MODE_READ:
            return EBADF
        error = _reserve_window(self, size) if self.way == WAY_MAPPED else _reserve_staging(self, size)
        if error != 0:
            return error
    at[0] = self.at
    return 0


cdef inline int posix_commit(File *file, size_t size) noexcept nogil:
    cdef PosixFile *self = <PosixFile *>file
    LSM_ASSERT(size <= self.room)
    if self.way == WAY_MAPPED:
        self.at += size
        self.room -= size
        _publish_size(&file.size, file.size + size)     # who reads the size finds the bytes
        return 0
    return _write_at_end(self, self.at, size)


cdef inline int posix_append(File *file, const void *data, size_t size) noexcept nogil:
    cdef PosixFile *self = <PosixFile *>file
    cdef uint8_t *at = NULL
    cdef int error
    if self.mode == MODE_READ:
        return EBADF
    if size == 0:
        return 0
    if self.way == WAY_MAPPED:
        error = posix_reserve(file, size, &at)
        if error != 0:
            return error
        memcpy(at, data, size)
        return posix_commit(file, size)
    return _write_at_end(self, data, size)


cdef inline int posix_pread(File *file, uint64_t offset, void *to, size_t size) noexcept nogil:
    cdef PosixFile *self = <PosixFile *>file
    cdef ssize_t got
    while size > 0:
        if offset > <uint64_t>0x7FFFFFFFFFFFFFFF:
            return ENODATA
        got = pread(self.fd, to, size, <off_t>offset)
        if got < 0:
            if errno == EINTR:
                continue
            return errno
        if got == 0:
            return ENODATA
        to = <uint8_t *>to + got
        size -= <size_t>got
        offset += <uint64_t>got
    return 0


cdef inline int posix_sync(File *file) noexcept nogil:
    cdef PosixFile *self = <PosixFile *>file
    cdef int error = lsm_load_relaxed(&self.sync_error)
    if error == 0:
        error = lsm_sync_file(self.fd)
        if error != 0:
            lsm_store_relaxed(&self.sync_error, error)
    return error


cdef inline int _truncate_by_name(PosixFile *self, uint64_t size) noexcept nogil:
    cdef PosixEnv *home = <PosixEnv *>self.file.env
    cdef int fd = lsm_openat(posix_hold(home), self.file.name, O_WRONLY)
    cdef int error = posix_release(home, fd)
    if error != 0:
        return error
    error = lsm_truncate(fd, size)
    close(fd)
    return error


cdef inline int posix_truncate(File *file, uint64_t size) noexcept nogil:
    """Cut to `size` <= file.size, and with it the prepared tail of a log. Also for a file opened to be read."""
    cdef PosixFile *self = <PosixFile *>file
    cdef int error
    if (<PosixEnv *>file.env).read_only:
        return EROFS
    if size > file.size:
        return EINVAL
    if self.mode == MODE_READ:
        error = _truncate_by_name(self, size)
    else:
        window_close(&self.window, size)
        self.at = self.staging
        if self.way == WAY_MAPPED:
            self.room = 0
        error = lsm_truncate(self.fd, size)
    if error == 0:
        _publish_size(&file.size, size)
    return error


cdef inline int posix_close(File *file) noexcept nogil:
    cdef PosixFile *self = <PosixFile *>file
    cdef int error = 0
    window_end(&self.window)
    if close(self.fd) != 0 and errno != EINTR:
        error = errno
    free(self.staging)
    free(self)
    return error


cdef inline int posix_open(Env *env, const char *name, int mode, File **file) noexcept nogil:
    cdef PosixEnv *home = <PosixEnv *>env
    cdef PosixFile *self
    cdef int error = posix_check_name(name)
    if error != 0:
        return error
    if mode != MODE_READ and home.read_only:
        return EROFS
    self = <PosixFile *>calloc(1, sizeof(PosixFile))
    if self == NULL:
        return ENOMEM
    self.fd = lsm_openat(posix_hold(home), name, O_RDONLY if mode == MODE_READ else O_RDWR | O_CREAT | O_EXCL)
    error = posix_release(home, self.fd)
    if error == 0:
        error = lsm_file_size(self.fd, &self.file.size)
    if error != 0:
        if self.fd >= 0:
            close(self.fd)
        free(self)
        return error
    self.file.env = env
    self.file.state = self
    memcpy(self.file.name, name, strlen(name) + 1)
    self.mode = mode
    window_start(&self.window, self.fd)
    if mode == MODE_LOG and home.mapped and lsm_maps_safely(self.fd):
        self.way = WAY_MAPPED
    file[0] = &self.file
    return 0
