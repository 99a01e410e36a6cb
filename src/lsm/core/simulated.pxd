# cython: language_level=3
"""simulated: the Env of tests. A folder of a simulated disk (simulated_disk.pxd), journalled and failing on demand.

It behaves as posix.pxd does, down to what a reader meets: a log has zeros behind its committed bytes, prepared in
chunks of the same sizes; a failed sync is final for its file; a refused append leaves the file as it was.

What is counted where: `append` is SIM_APPEND, whatever the file; a log's `reserve` and `commit` are steps of their own,
so that both the mapped way (refusals at reserve) and the plain way (refusals at commit) can be played. In the journal
both kinds of writing are SIM_APPEND, preceded by SIM_ALLOCATE where a log's prepared room grew.

Owner: as env.pxd says; several Envs may stand on one folder (one after another, or to contend for its lock), and
several folders on one disk; linking between disks is EXDEV. Threads: the disk's mutex is held through every function
except between reserve and commit; `list` calls its callback with it held.
"""
from libc.errno cimport EBADF, EINVAL, ENAMETOOLONG, ENOENT, ENOMEM, ENOSPC, EROFS, EXDEV
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy

from lsm.core.env cimport MODE_LOG, MODE_READ, Env, File, env_name_function
from lsm.core.posix_file cimport posix_check_name
from lsm.core.simulated_disk cimport (
    SIM_ALLOCATE, SIM_APPEND, SIM_CLOSE, SIM_COMMIT, SIM_CREATE, SIM_LINK, SIM_LIST, SIM_LOCK, SIM_OPEN, SIM_PREAD,
    SIM_RENAME, SIM_RESERVE, SIM_SYNC, SIM_SYNC_DIRECTORY, SIM_TRUNCATE, SIM_UNLINK,
    SimDisk, SimEntry, SimFolder, SimNode, pthread_mutex_lock, pthread_mutex_unlock, sim_disk_free, sim_enter, sim_find,
    sim_leave, sim_name, sim_node, sim_record, sim_release, sim_resize, sim_step,
)
from lsm.core.window cimport WINDOW_FIRST, WINDOW_LARGEST


cdef extern from "lsm_bits.h" nogil:
    void _publish_size "lsm_store_release"(uint64_t *p, uint64_t value)

cdef extern from "posix.h" nogil:
    int ENODATA, EWOULDBLOCK
    int getpid()


cdef enum:
    SIM_PAGE = 4096


cdef struct SimEnv:
    Env env                 # first: an Env * of this kind is a SimEnv *
    SimDisk *disk
    SimFolder *folder
    int sync_error
    bint read_only
    bint mapped             # logs get prepared room, as mapped ones do


cdef struct SimFile:
    File file               # first, as above
    SimNode *node
    int mode
    int sync_error
    uint8_t *staging
    size_t room
    uint64_t chunk


cdef inline SimDisk *_enter_disk(Env *env) noexcept nogil:
    cdef SimDisk *disk = (<SimEnv *>env).disk
    pthread_mutex_lock(&disk.mutex)
    return disk


cdef inline int _leave_disk(SimDisk *disk, int result) noexcept nogil:
    pthread_mutex_unlock(&disk.mutex)
    return result


cdef inline int _note(File *file, int kind, int result, uint64_t offset, const void *data, size_t size) noexcept nogil:
    cdef SimEnv *env = <SimEnv *>file.env
    cdef SimFile *self = <SimFile *>file
    return sim_record(env.disk, kind, result, env.folder.number, self.node.number, file.name, "", offset, data, size)


# ---------------------------------------------------------------------------------------------- one file

cdef inline int _open_node(SimEnv *env, const char *name, int mode, SimNode **node) noexcept nogil:
    cdef SimEntry *entry
    cdef SimNode *made
    cdef int error
    if mode == MODE_READ:
        error = sim_step(env.disk, SIM_OPEN, name)
        entry = sim_find(env.folder, name)
        if error == 0 and entry == NULL:
            error = ENOENT
        if error == 0:
            node[0] = entry.node
        return error
    error = sim_step(env.disk, SIM_CREATE, name)
    if env.read_only:
        return EROFS
    made = sim_node(env.disk)
    if made == NULL:
        return ENOMEM
    made.references = 1                 # ours, until it has its name
    if error == 0:
        error = sim_enter(env.folder, name, made)
    if error == 0:
        node[0] = made
    sim_record(env.disk, SIM_CREATE, error, env.folder.number, made.number, name, "", 0, NULL, 0)
    sim_release(env.disk, made)
    return error


cdef inline int simulated_open(Env *env, const char *name, int mode, File **file) noexcept nogil:
    cdef SimFile *self
    cdef SimNode *node = NULL
    cdef SimDisk *disk
    cdef int error = posix_check_name(name)
    if error != 0:
        return error
    self = <SimFile *>calloc(1, sizeof(SimFile))
    if self == NULL:
        return ENOMEM
    disk = _enter_disk(env)
    error = _open_node(<SimEnv *>env, name, mode, &node)
    if error == 0:
        node.references += 1
        self.node = node
        self.mode = mode
        self.chunk = WINDOW_FIRST
        self.file.env = env
        self.file.state = self
        self.file.size = node.size
        sim_name(self.file.name, name)
        file[0] = &self.file
    else:
        free(self)
    return _leave_disk(disk, error)


cdef inline int simulated_close(File *file) noexcept nogil:
    cdef SimFile *self = <SimFile *>file
    cdef SimDisk *disk = _enter_disk(file.env)
    cdef int error = sim_step(disk, SIM_CLOSE, file.name)
    sim_release(disk, self.node)
    free(self.staging)
    free(self)
    return _leave_disk(disk, error)


cdef inline int simulated_pread(File *file, uint64_t offset, void *to, size_t size) noexcept nogil:
    cdef SimNode *node = (<SimFile *>file).node
    cdef SimDisk *disk = _enter_disk(file.env)
    cdef int error = sim_step(disk, SIM_PREAD, file.name)
    if error == 0 and size > 0:
        if offset > node.size or size > node.size - offset:
            error = ENODATA
        else:
            memcpy(to, node.data + offset, size)
    return _leave_disk(disk, error)


cdef inline int _prepare(SimFile *self, size_t size) noexcept nogil:
    """Have `size` bytes after the committed ones, as window_move does for a mapped log."""
    cdef SimDisk *disk = (<SimEnv *>self.file.env).disk
    cdef uint64_t base = self.file.size - self.file.size % SIM_PAGE
    cdef uint64_t needed = (self.file.size + size + SIM_PAGE - 1) // SIM_PAGE * SIM_PAGE
    cdef uint64_t end = base + self.chunk if base + self.chunk > needed else needed
    cdef int error
    if self.mode != MODE_LOG or not (<SimEnv *>self.file.env).mapped or self.file.size + size <= self.node.size:
        return 0
    error = sim_resize(disk, self.node, end)
    if error == ENOSPC and end > needed:
        end = needed
        error = sim_resize(disk, self.node, end)
    _note(&self.file, SIM_ALLOCATE, error, end, NULL, 0)
    if error == 0 and self.chunk < WINDOW_LARGEST:
        self.chunk *= 2
    return error


cdef inline int _write(SimFile *self, const void *data, size_t size) noexcept nogil:
    cdef SimDisk *disk = (<SimEnv *>self.file.env).disk
    cdef uint64_t end = self.file.size + size
    cdef uint64_t before = self.node.size
    cdef int error = 0
    if size == 0:
        return 0
    if end > before:
        error = sim_resize(disk, self.node, end)
    if error != 0:
        _note(&self.file, SIM_APPEND, error, self.file.size, NULL, 0)
        return error
    error = _note(&self.file, SIM_APPEND, 0, self.file.size, data, size)
    if error != 0:                              # what the journal does not tell has not been
        sim_resize(disk, self.node, before)
        return error
    memcpy(self.node.data + self.file.size, data, size)
    _publish_size(&self.file.size, end)
    return 0


cdef inline int simulated_append(File *file, const void *data, size_t size) noexcept nogil:
    cdef SimFile *self = <SimFile *>file
    cdef SimDisk *disk = _enter_disk(file.env)
    cdef int error = EBADF if self.mode == MODE_READ else sim_step(disk, SIM_APPEND, file.name)
    if error != 0:
        _note(file, SIM_APPEND, error, file.size, NULL, 0)
        return _leave_disk(disk, error)
    error = _prepare(self, size)
    if error == 0:
        error = _write(self, data, size)
    return _leave_disk(disk, error)


cdef inline int _staging(SimFile *self, size_t size) noexcept nogil:
    cdef uint8_t *grown
    if size <= self.room:
        return 0
    grown = <uint8_t *>realloc(self.staging, size)
    if grown == NULL:
        return ENOMEM
    self.staging = grown
    self.room = size
    return 0


cdef inline int simulated_reserve(File *file, size_t size, uint8_t **at) noexcept nogil:
    cdef SimFile *self = <SimFile *>file
    cdef SimDisk *disk = _enter_disk(file.env)
    cdef int error = EBADF if self.mode == MODE_READ else sim_step(disk, SIM_RESERVE, file.name)
    if error == 0:
        error = _staging(self, size)
    if error == 0:
        error = _prepare(self, size)
    if error == 0:
        at[0] = self.staging
    return _leave_disk(disk, error)


cdef inline int simulated_commit(File *file, size_t size) noexcept nogil:
    cdef SimFile *self = <SimFile *>file
    cdef SimDisk *disk = _enter_disk(file.env)
    cdef int error = sim_step(disk, SIM_COMMIT, file.name)
    if error != 0:
        _note(file, SIM_APPEND, error, file.size, NULL, 0)
    else:
        error = EINVAL if size > self.room else _write(self, self.staging, size)
    return _leave_disk(disk, error)


cdef inline int simulated_sync(File *file) noexcept nogil:
    cdef SimFile *self = <SimFile *>file
    cdef SimDisk *disk = _enter_disk(file.env)
    cdef int error = sim_step(disk, SIM_SYNC, file.name)
    if self.sync_error != 0:
        return _leave_disk(disk, self.sync_error)
    self.sync_error = error
    _note(file, SIM_SYNC, error, 0, NULL, 0)
    return _leave_disk(disk, error)


cdef inline int simulated_truncate(File *file, uint64_t size) noexcept nogil:
    cdef SimFile *self = <SimFile *>file
    cdef SimDisk *disk = _enter_disk(file.env)
    cdef int error = sim_step(disk, SIM_TRUNCATE, file.name)
    if (<SimEnv *>file.env).read_only or size > file.size:
        return _leave_disk(disk, EROFS if (<SimEnv *>file.env).read_only else EINVAL)
    if error == 0:
        error = sim_resize(disk, self.node, size)
    if error == 0:
        _publish_size(&file.size, size)
    _note(file, SIM_TRUNCATE, error, size, NULL, 0)
    return _leave_disk(disk, error)


# ---------------------------------------------------------------------------------------------- the directory

cdef inline int _rename(SimEnv *self, const char *old, const char *new) noexcept nogil:
    cdef SimEntry *entry = sim_find(self.folder, old)
    cdef SimEntry *target = sim_find(self.folder, new)
    cdef SimNode *node
    cdef int error = sim_step(self.disk, SIM_RENAME, old)
    if self.read_only:
        return EROFS
    if error == 0 and entry == NULL:
        error = ENOENT
    sim_record(self.disk, SIM_RENAME, error, self.folder.number, 0 if entry == NULL else entry.node.number, old, new, 0,
               NULL, 0)
    if error != 0 or entry == target:
        return error
    node = entry.node
    if target == NULL:
        sim_name(entry.name, new)
        return 0
    sim_release(self.disk, target.node)
    target.node = node
    node.references += 1
    return sim_leave(self.disk, self.folder, old)


cdef inline int simulated_rename(Env *env, const char *old, const char *new) noexcept nogil:
    cdef SimDisk *disk
    cdef int error = posix_check_name(old)
    if error == 0:
        error = posix_check_name(new)
    if error != 0:
        return error
    disk = _enter_disk(env)
    return _leave_disk(disk, _rename(<SimEnv *>env, old, new))


cdef inline int simulated_unlink(Env *env, const char *name) noexcept nogil:
    cdef SimEnv *self = <SimEnv *>env
    cdef SimDisk *disk
    cdef SimEntry *entry
    cdef int number = 0
    cdef int error = posix_check_name(name)
    if error != 0:
        return error
    disk = _enter_disk(env)
    error = sim_step(disk, SIM_UNLINK, name)
    if self.read_only:
        return _leave_disk(disk, EROFS)
    entry = sim_find(self.folder, name)
    if entry != NULL:
        number = entry.node.number
    if error == 0:
        error = sim_leave(disk, self.folder, name)
    sim_record(disk, SIM_UNLINK, error, self.folder.number, number, name, "", 0, NULL, 0)
    return _leave_disk(disk, error)


cdef inline int simulated_link(Env *env, const char *name, Env *target) noexcept nogil:
    cdef SimFolder *folder
    cdef SimDisk *disk
    cdef SimEntry *entry
    cdef int number = 0
    cdef int error = posix_check_name(name)
    if error != 0:
        return error
    if target.link != env.link or (<SimEnv *>target).disk != (<SimEnv *>env).disk:
        return EXDEV
    folder = (<SimEnv *>target).folder
    disk = _enter_disk(env)
    error = sim_step(disk, SIM_LINK, name)
    if (<SimEnv *>target).read_only:
        return _leave_disk(disk, EROFS)
    entry = sim_find((<SimEnv *>env).folder, name)
    if error == 0 and entry == NULL:
        error = ENOENT
    if entry != NULL:
        number = entry.node.number
    if error == 0:
        error = sim_enter(folder, name, entry.node)
    sim_record(disk, SIM_LINK, error, folder.number, number, name, "", 0, NULL, 0)
    return _leave_disk(disk, error)


cdef inline int simulated_sync_directory(Env *env) noexcept nogil:
    cdef SimEnv *self = <SimEnv *>env
    cdef SimDisk *disk = _enter_disk(env)
    cdef int error = sim_step(disk, SIM_SYNC_DIRECTORY, "")
    if self.sync_error != 0:
        return _leave_disk(disk, self.sync_error)
    self.sync_error = error
    sim_record(disk, SIM_SYNC_DIRECTORY, error, self.folder.number, 0, "", "", 0, NULL, 0)
    return _leave_disk(disk, error)


cdef inline int simulated_list(Env *env, env_name_function each, void *argument) noexcept nogil:
    cdef SimFolder *folder = (<SimEnv *>env).folder
    cdef SimDisk *disk = _enter_disk(env)
    cdef int error = sim_step(disk, SIM_LIST, "")
    cdef size_t i = 0
    while error == 0 and i < folder.count:
        error = each(argument, folder.entries[i].name)
        i += 1
    return _leave_disk(disk, error)


cdef inline int simulated_lock(Env *env, const char *name, int *holder) noexcept nogil:
    cdef SimEnv *self = <SimEnv *>env
    cdef SimNode *node = NULL
    cdef SimDisk *disk
    cdef int error = posix_check_name(name)
    if error != 0:
        return error
    disk = _enter_disk(env)
    holder[0] = 0
    error = sim_step(disk, SIM_LOCK, name)
    if self.read_only:
        return _leave_disk(disk, EROFS)
    if error == 0 and self.folder.locked_by != NULL:
        holder[0] = getpid()
        error = EWOULDBLOCK
    if error == 0 and sim_find(self.folder, name) == NULL:
        error = _open_node(self, name, MODE_LOG, &node)
    if error == 0:
        self.folder.locked_by = env
    return _leave_disk(disk, error)


cdef inline int simulated_unlock(Env *env) noexcept nogil:
    cdef SimFolder *folder = (<SimEnv *>env).folder
    cdef SimDisk *disk = _enter_disk(env)
    if folder.locked_by == env:
        folder.locked_by = NULL
    return _leave_disk(disk, 0)


cdef inline uint64_t simulated_now(Env *env) noexcept nogil:
    cdef SimDisk *disk = _enter_disk(env)
    cdef uint64_t now
    disk.clock += 1000
    now = disk.clock
    _leave_disk(disk, 0)
    return now


cdef inline void simulated_destroy(Env *env) noexcept nogil:
    cdef SimDisk *disk
    simulated_unlock(env)
    disk = _enter_disk(env)
    disk.references -= 1
    if _leave_disk(disk, disk.references) == 0:
        sim_disk_free(disk)
    free(env)


cdef inline int simulated_env(SimDisk *disk, SimFolder *folder, bint read_only, bint mapped, Env **out) noexcept nogil:
    """An Env on a folder of the disk; it counts as one reference to the disk."""
    cdef SimEnv *self = <SimEnv *>calloc(1, sizeof(SimEnv))
    cdef Env *env
    if self == NULL:
        return ENOMEM
    self.disk = disk
    self.folder = folder
    self.read_only = read_only
    self.mapped = mapped
    pthread_mutex_lock(&disk.mutex)
    disk.references += 1
    pthread_mutex_unlock(&disk.mutex)
    env = &self.env
    env.state = self
    env.open = simulated_open
    env.close = simulated_close
    env.pread = simulated_pread
    env.append = simulated_append
    env.reserve = simulated_reserve
    env.commit = simulated_commit
    env.sync = simulated_sync
    env.truncate = simulated_truncate
    env.rename = simulated_rename
    env.unlink = simulated_unlink
    env.link = simulated_link
    env.sync_directory = simulated_sync_directory
    env.list = simulated_list
    env.lock = simulated_lock
    env.unlock = simulated_unlock
    env.now = simulated_now
    env.destroy = simulated_destroy
    out[0] = env
    return 0
