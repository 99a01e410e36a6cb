# SimulatedDirectory: the Python door to a simulated disk (core/simulated.pxd), for tests.
#
# A Directory in every respect, and beside it: what is on the disk, what was done to it in which order, what shall fail.
# tests/crash.py rebuilds from `journal()` every state a crash may leave.
#
# Threads: as Directory. The disk's mutex is taken with the GIL held here, so nothing may be done under it that makes
# or drops Python objects: the garbage collector could then close a file, which needs the mutex.
import collections as _collections

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from lsm.core.env cimport ENV_NAME_BYTES
from lsm.core.simulated cimport SimEnv, simulated_env
from lsm.core.simulated_disk cimport (
    SIM_ANY_KIND, SIM_KINDS, SIM_MARK, SIM_PLANS, SimDisk, SimFolder, SimOperation, sim_disk, sim_disk_free, sim_folder,
    sim_initial, sim_plan, sim_record,
)

cdef tuple _SIM_NAMES = (
    "open", "create", "close", "pread", "append", "reserve", "commit", "sync", "truncate", "rename", "unlink", "link",
    "sync_directory", "list", "lock", "", "allocate", "initial", "mark",
)

#: One entry of a journal. `result` is 0 or the errno; `folder` the number of the directory (0 the first of the disk);
#: `node` the inode; `offset` where an append begins, the new size of an allocate or truncate, the value of a mark;
#: `other` the new name of a rename.
Operation = _collections.namedtuple("Operation", "kind result folder name node offset data other", module="lsm._core")


cdef class SimulatedDirectory(Directory):
    """SimulatedDirectory(files={}, path="/simulated", mapped=True): a directory on a new disk in memory, holding `files`."""

    def __init__(self, files=None, path="/simulated", mapped=True):
        cdef SimDisk *disk = sim_disk()
        cdef SimFolder *folder = NULL
        cdef bint prepared = mapped
        if self.env != NULL:
            raise ValueError("a Directory is opened once: make another")
        if disk != NULL:
            folder = sim_folder(disk)
        if folder == NULL or simulated_env(disk, folder, False, prepared, &self.env) != 0:
            if disk != NULL:
                sim_disk_free(disk)
            raise MemoryError
        self.path = _os.fspath(path)
        for name, data in sorted((files or {}).items()):
            self.put_initial(name, bytes(data))

    cdef int put_initial(self, str name, bytes data) except -1:
        cdef bytes encoded = _file_name(name)
        cdef const char *contents = data
        cdef SimEnv *env = <SimEnv *>self.env
        cdef int error
        if not 0 < len(encoded) < ENV_NAME_BYTES:
            raise ValueError(f"file name {name!r}: give 1 to 63 bytes")
        error = sim_initial(env.disk, env.folder, encoded, contents, <size_t>len(data))
        return 0 if error == 0 else raise_system(error, self.path, name, "placing")

    cdef SimulatedDirectory on_folder(self, SimFolder *folder, str path, bint read_only):
        cdef SimulatedDirectory other = SimulatedDirectory.__new__(SimulatedDirectory)
        cdef SimEnv *env = <SimEnv *>self.env
        if simulated_env(env.disk, folder, read_only, env.mapped, &other.env) != 0:
            raise MemoryError
        other.path = path
        return other

    def reopen(self, read_only=False):
        """The same directory opened anew (also after close): same files, same journal, a lock and syncs of its own."""
        self.simulated()
        return self.on_folder((<SimEnv *>self.env).folder, self.path, read_only)

    def beside(self, path):
        """A new, empty directory on the same disk: links between the two work, and they share journal and plan."""
        cdef SimDisk *disk = self.simulated()
        cdef SimFolder *folder
        pthread_mutex_lock(&disk.mutex)
        folder = sim_folder(disk)
        pthread_mutex_unlock(&disk.mutex)
        if folder == NULL:
            raise MemoryError
        return self.on_folder(folder, _os.fspath(path), False)

    cdef SimDisk *simulated(self) except NULL:
        """The disk; it can be looked at after close too."""
        if self.env == NULL:
            raise ClosedError("this SimulatedDirectory was never opened")
        return (<SimEnv *>self.env).disk

    @property
    def folder(self):
        """The number journal entries call this directory by."""
        self.simulated()
        return (<SimEnv *>self.env).folder.number

    def files(self):
        """What a reader sees now: {name: bytes}, logs with their prepared tails of zeros."""
        cdef SimDisk *disk = self.simulated()
        cdef SimFolder *folder = (<SimEnv *>self.env).folder
        cdef char name[ENV_NAME_BYTES]
        cdef char *copy
        cdef size_t i = 0, size = 0
        cdef bint more
        cdef dict found = {}
        while True:
            pthread_mutex_lock(&disk.mutex)
            copy = NULL
            more = i < folder.count
            if more:
                memcpy(name, folder.entries[i].name, ENV_NAME_BYTES)
                size = <size_t>folder.entries[i].node.size
                copy = <char *>malloc(size + 1)
                if copy != NULL and size > 0:
                    memcpy(copy, folder.entries[i].node.data, size)
            pthread_mutex_unlock(&disk.mutex)
            if not more:
                return found
            if copy == NULL:
                raise MemoryError
            try:
                found[_os.fsdecode(<bytes>name)] = PyBytes_FromStringAndSize(copy, <Py_ssize_t>size)
            finally:
                free(copy)
            i += 1

    def crashed_process(self):
        """What kill -9 leaves: all that was appended or committed, synced or not. (A power cut: tests/crash.py.)"""
        return self.files()

    def journal(self, size_t start=0):
        """The operations from number `start` on, as a list of Operation."""
        cdef SimDisk *disk = self.simulated()
        cdef SimOperation operation
        cdef size_t count
        cdef list told = []
        while True:
            pthread_mutex_lock(&disk.mutex)
            count = disk.operations
            if start < count:
                operation = disk.journal[start]     # its data stays where it is as long as the disk
            pthread_mutex_unlock(&disk.mutex)
            if start >= count:
                return told
            told.append(_told(&operation))
            start += 1

    def mark(self, str kind, uint64_t value=0):
        """Enter ("mark", name=kind, offset=value) in the journal: what the test did or was told at this moment."""
        cdef SimDisk *disk = self.simulated()
        cdef bytes name = kind.encode()
        cdef const char *text = name
        cdef int error
        pthread_mutex_lock(&disk.mutex)
        error = sim_record(disk, SIM_MARK, 0, (<SimEnv *>self.env).folder.number, 0, text, b"", value, NULL, 0)
        pthread_mutex_unlock(&disk.mutex)
        if error != 0:
            raise MemoryError

    def fail(self, int error, uint64_t after=0, kind=None, sticky=False, str part=""):
        """Let `after` more operations through, then fail the next with `error` (from then on: `sticky`).

        `kind` counts one kind of operation only (a key of `steps_of()`), `part` only those on files whose name holds it.
        Up to eight plans may stand; `heal()` removes them.
        """
        cdef SimDisk *disk = self.simulated()
        cdef bytes name = part.encode()
        cdef const char *text = name
        cdef bint always = sticky
        cdef int number = SIM_ANY_KIND, refused
        if kind is not None:
            if kind not in _SIM_NAMES[:SIM_KINDS]:
                raise ValueError(f"operation kind {kind!r}: give one of {', '.join(_SIM_NAMES[:SIM_KINDS])}")
            number = _SIM_NAMES.index(kind)
        pthread_mutex_lock(&disk.mutex)
        refused = sim_plan(disk, number, error, after, always, text)
        pthread_mutex_unlock(&disk.mutex)
        if refused != 0:
            raise ValueError(f"there are {SIM_PLANS} plans already: heal() first")

    def heal(self):
        """Nothing fails any more (what failed before keeps its consequences)."""
        cdef SimDisk *disk = self.simulated()
        cdef int i
        pthread_mutex_lock(&disk.mutex)
        for i in range(SIM_PLANS):
            disk.plans[i].active = False
        pthread_mutex_unlock(&disk.mutex)

    @property
    def steps(self):
        """Operations of all kinds so far, reads included."""
        return self.simulated().steps

    def steps_of(self):
        """Operations so far, {kind: count}."""
        cdef SimDisk *disk = self.simulated()
        cdef int i
        cdef dict counts = {}
        for i in range(<int>SIM_KINDS):
            counts[_SIM_NAMES[i]] = disk.steps_of[i]
        return counts

    @property
    def capacity(self):
        """Bytes the disk holds; growing a file past it is ENOSPC. May be set at any time."""
        return self.simulated().capacity

    @capacity.setter
    def capacity(self, uint64_t size):
        cdef SimDisk *disk = self.simulated()
        pthread_mutex_lock(&disk.mutex)
        disk.capacity = size if size > disk.used else disk.used
        pthread_mutex_unlock(&disk.mutex)

    @property
    def used(self):
        """Bytes taken."""
        return self.simulated().used

    @property
    def clock(self):
        """The time `now()` tells next, less a millisecond; microseconds. May be set, backwards too."""
        return self.simulated().clock

    @clock.setter
    def clock(self, uint64_t microseconds):
        self.simulated().clock = microseconds


cdef object _told(SimOperation *operation):
    return Operation(
        _SIM_NAMES[operation.kind], operation.result, operation.folder, _os.fsdecode(<bytes>operation.name),
        operation.node, operation.offset, PyBytes_FromStringAndSize(<char *>operation.data, <Py_ssize_t>operation.size),
        _os.fsdecode(<bytes>operation.other))
