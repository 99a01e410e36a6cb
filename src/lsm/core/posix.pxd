# cython: language_level=3
"""posix: the Env of the operating system. One directory, held open by its descriptor, so that nothing here can be
led out of it: names hold no slash, symbolic links are not followed.

- A new directory is private (0700); files in it are 0644 under the umask, so that one chmod of the directory shares
  it for reading.
- A failed sync of the directory is final, as that of a file is.
- The lock is flock on a file that stays: it belongs to the open descriptor, so opening the file elsewhere cannot
  drop it, and it dies with the process. A child of fork must call `close_lock_in_child`, which also makes its copy
  of the Env refuse to change anything.

Owner and threads: as env.pxd says. Files: posix_file.pxd.
"""
from libc.errno cimport errno, EACCES, EBADF, EEXIST, EINTR, ENOMEM, EROFS, EXDEV
from libc.stdint cimport uint8_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, strtol

from lsm.core.env cimport Env, env_name_function
from lsm.core.posix_file cimport (
    PosixEnv, posix_append, posix_check_name, posix_close, posix_commit, posix_hold, posix_open, posix_pread, posix_prepare,
    posix_release, posix_reserve, posix_sync, posix_truncate, posix_write_whole, pthread_rwlock_t, pthread_rwlock_unlock,
)


cdef extern from "lsm_bits.h" nogil:
    int lsm_load_relaxed(int *p)
    void lsm_store_relaxed(int *p, int value)


cdef extern from "pthread.h" nogil:
    int pthread_rwlock_init(pthread_rwlock_t *lock, const void *attributes)
    int pthread_rwlock_trywrlock(pthread_rwlock_t *lock)
    int pthread_rwlock_destroy(pthread_rwlock_t *lock)


cdef extern from "posix.h" nogil:
    ctypedef struct DIR:
        pass
    DIR *fdopendir(int fd)
    int closedir(DIR *directory)
    const char *lsm_next_name(DIR *directory, int *error)
    int lsm_openat(int directory, const char *name, int flags)
    int lsm_sync_directory(int fd)
    int lsm_truncate(int fd, uint64_t size)
    uint64_t lsm_now_microseconds()
    int open(const char *path, int flags)
    int close(int fd)
    int mkdir(const char *path, unsigned int mode)
    ssize_t pread(int fd, void *to, size_t size, long offset)
    int renameat(int old_directory, const char *old, int new_directory, const char *new)
    int unlinkat(int directory, const char *name, int flags)
    int linkat(int directory, const char *name, int target, const char *new, int flags)
    int flock(int fd, int operation)
    int getpid()
    int O_RDONLY, O_RDWR, O_CREAT, O_DIRECTORY, O_CLOEXEC, LOCK_EX, LOCK_NB, LOCK_UN
    int EWOULDBLOCK


cdef inline int posix_rename(Env *env, const char *old, const char *new) noexcept nogil:
    cdef PosixEnv *self = <PosixEnv *>env
    cdef int error = posix_check_name(old)
    if error == 0:
        error = posix_check_name(new)
    if error == 0 and self.read_only:
        error = EROFS
    if error != 0:
        return error
    error = posix_hold(self)
    return posix_release(self, renameat(error, old, error, new))


cdef inline int posix_unlink(Env *env, const char *name) noexcept nogil:
    cdef PosixEnv *self = <PosixEnv *>env
    cdef int error = posix_check_name(name)
    if error == 0 and self.read_only:
        error = EROFS
    if error != 0:
        return error
    return posix_release(self, unlinkat(posix_hold(self), name, 0))


cdef inline int posix_link(Env *env, const char *name, Env *target) noexcept nogil:
    cdef PosixEnv *self = <PosixEnv *>env
    cdef PosixEnv *other = <PosixEnv *>target
    cdef int error = posix_check_name(name)
    cdef int result
    if error != 0:
        return error
    if target.link != posix_link:
        return EXDEV
    if other.read_only:
        return EROFS
    result = linkat(posix_hold(self), name, posix_hold(other), name, 0)
    error = posix_release(self, result)
    posix_release(other, 0)
    return error


cdef inline int posix_sync_directory(Env *env) noexcept nogil:
    cdef PosixEnv *self = <PosixEnv *>env
    cdef int error = lsm_load_relaxed(&self.sync_error)
    if error == 0:
        error = lsm_sync_directory(posix_hold(self))
        posix_release(self, 0)
        if error != 0 and error != EBADF:
            lsm_store_relaxed(&self.sync_error, error)
    return error


cdef inline int posix_list(Env *env, env_name_function each, void *argument) noexcept nogil:
    # a descriptor of its own, so that listings of several threads do not share a position
    cdef PosixEnv *self = <PosixEnv *>env
    cdef int fd = lsm_openat(posix_hold(self), ".", O_RDONLY | O_DIRECTORY)
    cdef const char *name
    cdef DIR *directory
    cdef int error = posix_release(self, fd)
    if error != 0:
        return error
    directory = fdopendir(fd)
    if directory == NULL:
        error = errno
        close(fd)
        return error
    while error == 0:
        name = lsm_next_name(directory, &error)
        if name == NULL:
            break
        error = each(argument, name)
    closedir(directory)
    return error


cdef inline int _lock_holder(int fd) noexcept nogil:
    cdef char text[24]
    cdef ssize_t got = pread(fd, text, sizeof(text) - 1, 0)
    if got <= 0:
        return 0
    text[got] = 0
    return <int>strtol(text, NULL, 10)


cdef inline int posix_lock(Env *env, const char *name, int *holder) noexcept nogil:
    cdef PosixEnv *self = <PosixEnv *>env
    cdef char text[24]
    cdef int fd, size
    cdef int error = posix_check_name(name)
    if error == 0 and self.read_only:
        error = EROFS
    if error != 0:
        return error
    holder[0] = 0
    if self.lock >= 0:
        holder[0] = self.lock_owner
        return EWOULDBLOCK
    fd = lsm_openat(posix_hold(self), name, O_RDWR | O_CREAT)
    error = posix_release(self, fd)
    if error != 0:
        return error
    while flock(fd, LOCK_EX | LOCK_NB) != 0:
        error = errno
        if error == EINTR:
            continue
        if error == EWOULDBLOCK:
            holder[0] = _lock_holder(fd)
        close(fd)
        return error
    self.lock = fd
    self.lock_owner = getpid()
    size = snprintf(text, sizeof(text), "%d\n", self.lock_owner)
    lsm_truncate(fd, 0)
    posix_write_whole(fd, <uint8_t *>text, <size_t>size, 0)      # for people; a full disk must not prevent an open
    return 0


cdef inline int close_lock_in_child(Env *env) noexcept nogil:
    """After a fork, in the child: let go of the lock without releasing it (the parent holds it), and refuse from now
    on whatever would change the parent's directory."""
    cdef PosixEnv *self = <PosixEnv *>env
    if env.lock != posix_lock:
        return 0
    self.read_only = True
    if self.lock >= 0:
        close(self.lock)
        self.lock = -1
    return 0


cdef inline int posix_unlock(Env *env) noexcept nogil:
    cdef PosixEnv *self = <PosixEnv *>env
    cdef int fd = self.lock
    if fd < 0:
        return 0
    self.lock = -1
    if self.lock_owner == getpid():
        lsm_truncate(fd, 0)
        flock(fd, LOCK_UN)
    close(fd)
    return 0


cdef inline uint64_t posix_now(Env *env) noexcept nogil:
    return lsm_now_microseconds()


cdef inline void posix_destroy(Env *env) noexcept nogil:
    cdef PosixEnv *self = <PosixEnv *>env
    posix_unlock(env)
    if self.directory >= 0:
        close(self.directory)
    pthread_rwlock_destroy(&self.guard)
    free(self)


cdef inline void posix_shut(Env *env) noexcept nogil:
    """Give back the directory's descriptor; what needs it answers EBADF from now on, open files go on. While somebody
    uses it (or did when this process was forked) nothing is done: `destroy` will. Does nothing to another kind of Env."""
    cdef PosixEnv *self = <PosixEnv *>env
    if env.destroy != posix_destroy or pthread_rwlock_trywrlock(&self.guard) != 0:
        return
    if self.directory >= 0:
        close(self.directory)
        self.directory = -1
    pthread_rwlock_unlock(&self.guard)


cdef inline int _make_directory(const char *path) noexcept nogil:
    if mkdir(path, 0o700) != 0 and errno != EEXIST:
        return errno
    return 0


cdef inline int _sync_parent(int directory) noexcept nogil:
    """The new directory's own name. A parent that may not be read cannot be synced, and is not ours to refuse."""
    cdef int parent = lsm_openat(directory, "..", O_RDONLY | O_DIRECTORY)
    cdef int error
    if parent < 0:
        return 0 if errno == EACCES else errno
    error = lsm_sync_directory(parent)
    close(parent)
    return 0 if error == EROFS else error


cdef inline int posix_env(const char *path, bint create, bint read_only, Env **out) noexcept nogil:
    """The directory `path` as an Env; `create` makes it (one level) when it is missing, and makes its name durable."""
    cdef PosixEnv *self
    cdef int error = 0
    if create and not read_only:
        error = _make_directory(path)
        if error != 0:
            return error
    self = <PosixEnv *>calloc(1, sizeof(PosixEnv))
    if self == NULL:
        return ENOMEM
    self.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if self.directory < 0:
        error = errno
    elif create and not read_only:
        error = _sync_parent(self.directory)
    if error != 0:
        if self.directory >= 0:
            close(self.directory)
        free(self)
        return error
    pthread_rwlock_init(&self.guard, NULL)
    self.lock = -1
    self.read_only = read_only
    self.mapped = True
    _fill_functions(&self.env)
    out[0] = &self.env
    return 0


cdef inline void _fill_functions(Env *env) noexcept nogil:
    env.state = env
    env.open = posix_open
    env.close = posix_close
    env.pread = posix_pread
    env.append = posix_append
    env.reserve = posix_reserve
    env.commit = posix_commit
    env.prepare = posix_prepare
    env.sync = posix_sync
    env.truncate = posix_truncate
    env.rename = posix_rename
    env.unlink = posix_unlink
    env.link = posix_link
    env.sync_directory = posix_sync_directory
    env.list = posix_list
    env.lock = posix_lock
    env.unlock = posix_unlock
    env.now = posix_now
    env.destroy = posix_destroy


cdef inline void posix_use_plain_logs(Env *env) noexcept nogil:
    """Logs opened from now on are written by pwrite, as on systems where they cannot be mapped."""
    (<PosixEnv *>env).mapped = False
