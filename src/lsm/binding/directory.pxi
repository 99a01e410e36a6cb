# Directory and LogFile: the Python doors to an Env, for what happens once a file: recovery, manifest, checkpoint.
#
# Every method raises the typed errors of faults.pxi, and releases the GIL while it may block. A Directory owns its Env
# and frees it only when the last reference to it goes: whoever keeps a C File, or calls through `env`, keeps the
# Directory (a cdef class that does so in its __dealloc__ too is `@cython.no_gc_clear`). `close()` gives back the
# lock and the descriptor, and refuses further use; open files go on.
#
# Threads: a Directory may be shared; a LogFile has one writer and one syncer (locks of its own keep misuse from harm).
cimport cython
from libc.errno cimport EBADF, EINVAL, ENAMETOOLONG, ENOENT, ENOMEM
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, strlen

from cpython.bytes cimport PyBytes_FromStringAndSize

from lsm.core.env cimport MODE_CREATE, MODE_LOG, MODE_READ, Env, File
from lsm.core.posix cimport close_lock_in_child, posix_env, posix_shut, posix_use_plain_logs


cdef extern from "posix.h" nogil:
    int EWOULDBLOCK


cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)


ctypedef struct NameList:           # names end to end, each with its zero byte
    char *text
    size_t size
    size_t room


cdef int _collect_name(void *argument, const char *name) noexcept nogil:
    cdef NameList *names = <NameList *>argument
    cdef size_t size = strlen(name) + 1
    cdef size_t room
    cdef char *grown
    if size > names.room - names.size:
        room = names.room * 2 + size + 256
        grown = <char *>realloc(names.text, room)
        if grown == NULL:
            return ENOMEM
        names.text = grown
        names.room = room
    memcpy(names.text + names.size, name, size)
    names.size += size
    return 0


cdef bytes _file_name(str name):
    cdef bytes encoded = _os.fsencode(name)
    if b"\0" in encoded:
        raise ValueError(f"file name {name!r} holds a zero byte: give a plain name")
    return encoded


cdef class Directory:
    """Directory(path, create=False, read_only=False, mapped=True): one directory of files, through the storage layer.

    Names are plain file names, never paths. What is created, renamed, linked or removed is durable after `sync()`.
    `mapped=False` writes logs by write calls where they would be memory-mapped.
    """
    cdef Env *env
    cdef lsm_atomic_int closed
    cdef readonly str path
    cdef object __weakref__

    def __cinit__(self):
        self.env = NULL
        self.closed = 0
        self.path = ""

    def __init__(self, path, create=False, read_only=False, mapped=True):
        cdef bytes encoded = _os.fsencode(path)
        cdef const char *text = encoded
        cdef bint make = create, protect = read_only
        cdef int error
        if self.env != NULL:
            raise ValueError("a Directory is opened once: make another")
        if b"\0" in encoded:
            raise ValueError(f"path {path!r} holds a zero byte: give a path the system can have")
        self.path = _os.fsdecode(path)
        with nogil:
            error = posix_env(text, make, protect, &self.env)
        if error != 0:
            raise_system(error, self.path, "", "opening the directory")
        if not mapped:
            posix_use_plain_logs(self.env)

    def __dealloc__(self):
        if self.env != NULL:
            self.env.destroy(self.env)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __repr__(self):
        return f"{type(self).__name__}({self.path!r}{', closed' if self.closed else ''})"

    cdef Env *opened(self) except NULL:
        if self.closed or self.env == NULL:
            raise ClosedError(f"the directory {self.path!r} is closed: open it again")
        return self.env

    cdef int refuse(self, int error, str name, str doing) except -1:
        if error == EINVAL or error == ENAMETOOLONG:
            raise ValueError(f"{doing} {name!r} in {self.path!r}: give a plain name (1 to 63 bytes, no slash), and "
                             "a size within the file")
        if error == EBADF:
            self.opened()                       # closed meanwhile?
        return raise_system(error, self.path, name, doing)

    def create(self, str name, data):
        """Make the whole file `name` of `data` and make its bytes durable (its name: `sync()`). Nothing is left of it
        when this fails; a file of that name is an error."""
        cdef Env *env = self.opened()
        cdef bytes encoded = _file_name(name), contents = bytes(data)
        cdef const char *text = encoded
        cdef const char *bytes_ = contents
        cdef size_t size = <size_t>len(contents)
        cdef File *file = NULL
        cdef int error, closing
        with nogil:
            error = env.open(env, text, MODE_CREATE, &file)
            if error == 0:
                error = env.append(file, bytes_, size)
                if error == 0:
                    error = env.sync(file)
                closing = env.close(file)
                if error == 0:
                    error = closing
                if error != 0:
                    env.unlink(env, text)
        if error != 0:
            self.refuse(error, name, "creating")

    def read(self, str name, limit=1 << 28):
        """The whole file. One larger than `limit` bytes is a CorruptionError: nothing is allocated for it."""
        cdef Env *env = self.opened()
        cdef bytes encoded = _file_name(name), contents
        cdef const char *text = encoded
        cdef char *into
        cdef File *file = NULL
        cdef uint64_t size
        cdef int error
        with nogil:
            error = env.open(env, text, MODE_READ, &file)
        if error != 0:
            self.refuse(error, name, "reading")
        try:
            size = file.size
            if size > limit:
                raise CorruptionError(_os.path.join(self.path, name), 0, f"{size} bytes where at most {limit} belong")
            contents = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
            into = contents
            with nogil:
                error = env.pread(file, 0, into, <size_t>size)
        finally:
            with nogil:
                env.close(file)
        if error != 0:
            self.refuse(error, name, "reading")
        return contents

    def size(self, str name):
        """Bytes of the file `name`."""
        cdef uint64_t size = 0
        cdef int error = self.measure(name, &size)
        if error != 0:
            self.refuse(error, name, "opening")
        return size

    def exists(self, str name):
        """Is there a file of that name? Anything but a clear no (permission, I/O error) is raised."""
        cdef uint64_t size = 0
        cdef int error = self.measure(name, &size)
        if error != 0 and error != ENOENT:
            self.refuse(error, name, "opening")
        return error == 0

    cdef int measure(self, str name, uint64_t *size) except -1:
        cdef Env *env = self.opened()
        cdef bytes encoded = _file_name(name)
        cdef const char *text = encoded
        cdef File *file = NULL
        cdef int error
        with nogil:
            error = env.open(env, text, MODE_READ, &file)
            if error == 0:
                size[0] = file.size
                env.close(file)
        return error

    def rename(self, str old, str new):
        """Give `old` the name `new`, atomically replacing what bore it."""
        cdef Env *env = self.opened()
        cdef bytes old_encoded = _file_name(old), new_encoded = _file_name(new)
        cdef const char *old_text = old_encoded
        cdef const char *new_text = new_encoded
        cdef int error
        with nogil:
            error = env.rename(env, old_text, new_text)
        if error != 0:
            self.refuse(error, old, f"renaming to {new}")

    def unlink(self, str name):
        """Remove the file `name`; a missing one is a StorageError with ENOENT."""
        cdef Env *env = self.opened()
        cdef bytes encoded = _file_name(name)
        cdef const char *text = encoded
        cdef int error
        with nogil:
            error = env.unlink(env, text)
        if error != 0:
            self.refuse(error, name, "removing")

    def link(self, str name, Directory target not None):
        """Give the file `name` the same name in `target` too (a hard link: no bytes are copied)."""
        cdef Env *env = self.opened()
        cdef Env *other = target.opened()
        cdef bytes encoded = _file_name(name)
        cdef const char *text = encoded
        cdef int error
        with nogil:
            error = env.link(env, text, other)
        if error != 0:
            self.refuse(error, name, f"linking into {target.path}")

    def sync(self):
        """Make durable which names there are. A failure is final: later calls raise it again."""
        cdef Env *env = self.opened()
        cdef Fault fault
        cdef int error
        with nogil:
            error = env.sync_directory(env)
        if error != 0:
            if error == EBADF:
                self.opened()                   # closed meanwhile?
            fault_system(&fault, "", error, b"syncing the directory")
            raise_lasting(&fault, self.path)

    def list(self):
        """The names, sorted."""
        cdef Env *env = self.opened()
        cdef NameList names
        cdef int error
        names.text = NULL
        names.size = names.room = 0
        try:
            with nogil:
                error = env.list(env, _collect_name, &names)
            if error != 0:
                self.refuse(error, "", "listing the directory")
            if names.size == 0:
                return []
            return sorted(map(_os.fsdecode, names.text[:names.size - 1].split(b"\0")))
        finally:
            free(names.text)

    def truncate(self, str name, uint64_t size):
        """Cut the file `name` to its first `size` bytes and make that durable."""
        cdef Env *env = self.opened()
        cdef bytes encoded = _file_name(name)
        cdef const char *text = encoded
        cdef File *file = NULL
        cdef int error
        with nogil:
            error = env.open(env, text, MODE_READ, &file)
            if error == 0:
                error = env.truncate(file, size)
                if error == 0:
                    error = env.sync(file)
                env.close(file)
        if error != 0:
            self.refuse(error, name, "truncating")

    def lock(self, str name="LOCK"):
        """Hold the directory for this process until `unlock()` or its end; LockedError names who holds it."""
        cdef Env *env = self.opened()
        cdef bytes encoded = _file_name(name)
        cdef const char *text = encoded
        cdef int error, holder = 0
        with nogil:
            error = env.lock(env, text, &holder)
        if error == EWOULDBLOCK:
            raise LockedError(self.path, holder)
        if error != 0:
            self.refuse(error, name, "locking")

    def unlock(self):
        """Give the lock back; without one, nothing."""
        cdef Env *env = self.opened()
        with nogil:
            env.unlock(env)

    def after_fork_in_child(self):
        """In the child of a fork: let go of the parent's lock without releasing it, and refuse to change anything."""
        if self.env != NULL:
            close_lock_in_child(self.env)

    def now(self):
        """Microseconds since 1970 by this directory's clock."""
        cdef Env *env = self.opened()
        return env.now(env)

    def create_log(self, str name):
        """A new log file, to be appended to."""
        cdef LogFile log = LogFile.__new__(LogFile)
        cdef Env *env = self.opened()
        cdef bytes encoded = _file_name(name)
        cdef const char *text = encoded
        cdef int error
        log.directory = self
        with nogil:
            error = env.open(env, text, MODE_LOG, &log.file)
        if error != 0:
            self.refuse(error, name, "creating")
        log.name = name
        return log

    def close(self):
        """Give back the lock and the descriptor. Later use raises ClosedError; closing again does nothing."""
        cdef Env *env = self.env
        if env == NULL or lsm_swap(&self.closed, 1):
            return
        with nogil:
            env.unlock(env)
            posix_shut(env)


@cython.no_gc_clear         # the collector must not take the directory away before the file is closed
cdef class LogFile:
    """A log being written (made by `Directory.create_log`). The engine writes its logs in C; this door is for tests."""
    cdef Directory directory
    cdef File *file
    cdef pthread_mutex_t mutex          # one writer at a time
    cdef pthread_mutex_t sync_mutex     # one sync at a time, beside the writer; closing takes both
    cdef readonly str name

    def __cinit__(self):
        self.file = NULL
        pthread_mutex_init(&self.mutex, NULL)
        pthread_mutex_init(&self.sync_mutex, NULL)

    def __init__(self):
        if self.directory is None:
            raise TypeError("a LogFile is made by Directory.create_log")

    def __dealloc__(self):
        if self.file != NULL:
            self.file.env.close(self.file)
        pthread_mutex_destroy(&self.mutex)
        pthread_mutex_destroy(&self.sync_mutex)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    cdef int finish(self, int error, str doing) except -1:
        if error == -1:
            raise ClosedError(f"the log {self.name!r} is closed: create another")
        if error != 0:
            self.directory.refuse(error, self.name, doing)
        return 0

    @property
    def size(self):
        """Bytes committed."""
        cdef uint64_t size = 0
        cdef int error = -1
        with nogil:
            pthread_mutex_lock(&self.mutex)
            if self.file != NULL:
                size = self.file.size
                error = 0
            pthread_mutex_unlock(&self.mutex)
        self.finish(error, "measuring")
        return size

    def append(self, data):
        """Add `data` at the end; from then on it survives the death of the process."""
        cdef bytes contents = bytes(data)
        cdef const char *text = contents
        cdef size_t size = <size_t>len(contents)
        cdef int error = -1
        with nogil:
            pthread_mutex_lock(&self.mutex)
            if self.file != NULL:
                error = self.file.env.append(self.file, text, size)
            pthread_mutex_unlock(&self.mutex)
        self.finish(error, "appending to")

    def sync(self):
        """Make everything appended durable. A failure is final: later calls raise it again."""
        cdef int error = -1
        with nogil:
            pthread_mutex_lock(&self.sync_mutex)
            if self.file != NULL:
                error = self.file.env.sync(self.file)
            pthread_mutex_unlock(&self.sync_mutex)
        self.finish(error, "syncing")

    def truncate(self, uint64_t size):
        """Cut to `size` bytes, and with it the prepared tail."""
        cdef int error = -1
        with nogil:
            pthread_mutex_lock(&self.mutex)
            if self.file != NULL:
                error = self.file.env.truncate(self.file, size)
            pthread_mutex_unlock(&self.mutex)
        self.finish(error, "truncating")

    def close(self):
        """End writing; again does nothing. The prepared tail stays unless `truncate` went before."""
        cdef File *file
        cdef int error = 0
        with nogil:
            pthread_mutex_lock(&self.sync_mutex)
            pthread_mutex_lock(&self.mutex)
            file = self.file
            self.file = NULL
            pthread_mutex_unlock(&self.mutex)
            pthread_mutex_unlock(&self.sync_mutex)
            if file != NULL:
                error = file.env.close(file)
        self.finish(error, "closing")
