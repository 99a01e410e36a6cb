# cython: language_level=3
"""simulated_disk: a disk in memory, for tests: inodes, folders of names, the journal, and the plan of what shall fail.

- The journal holds every operation that can change what a crash leaves, with its result, in the one order in which
  they happened: enough to rebuild every state of section "Crash states" of docs/storage.md. Tests add marks.
- Every call passes `sim_step` first, which counts it (over all kinds, and within its kind) and asks the plan whether
  it fails. Nothing depends on time, addresses or chance.
- `used` is the sum of the sizes of all inodes, prepared tails included, and never exceeds `capacity`: growing past it
  is ENOSPC and changes nothing.

Owner: a disk is counted by its Envs and freed with the last; an inode by its names and open files; folders live as
long as the disk. Threads: every function is called with `mutex` held, except those that make and free a disk.
"""
from libc.errno cimport EEXIST, ENOENT, ENOMEM, ENOSPC
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset, strcmp, strlen, strstr

from lsm.core.env cimport ENV_NAME_BYTES


cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)


cdef enum SimKind:
    SIM_OPEN = 0
    SIM_CREATE
    SIM_CLOSE
    SIM_PREAD
    SIM_APPEND
    SIM_RESERVE
    SIM_COMMIT
    SIM_SYNC
    SIM_TRUNCATE
    SIM_RENAME
    SIM_UNLINK
    SIM_LINK
    SIM_SYNC_DIRECTORY
    SIM_LIST
    SIM_LOCK
    SIM_KINDS               # the number of kinds an operation is counted under; the rest occur in the journal only
    SIM_ALLOCATE
    SIM_INITIAL
    SIM_MARK


cdef enum:
    SIM_PLANS = 8
    SIM_ANY_KIND = -1


cdef struct SimNode:
    int number
    int references
    uint8_t *data
    uint64_t size           # as a reader sees it, a log's prepared tail of zeros included
    uint64_t room


cdef struct SimEntry:
    char name[ENV_NAME_BYTES]
    SimNode *node


cdef struct SimFolder:
    int number
    SimEntry *entries       # in the order of their making
    size_t count
    size_t room
    void *locked_by         # the Env that holds the lock
    SimFolder *next


cdef struct SimOperation:
    int kind
    int result
    int folder
    int node
    uint64_t offset         # create, unlink, ...: 0; allocate, truncate: the new size; mark: its value
    uint8_t *data
    size_t size
    char name[ENV_NAME_BYTES]
    char other[ENV_NAME_BYTES]


cdef struct SimPlan:
    bint active
    int kind
    int error
    bint sticky
    uint64_t left           # matching operations still let through
    char part[ENV_NAME_BYTES]


cdef struct SimDisk:
    pthread_mutex_t mutex
    int references
    int nodes
    SimFolder *folders
    SimOperation *journal
    size_t operations
    size_t room
    uint64_t steps
    uint64_t steps_of[SIM_KINDS]
    SimPlan plans[SIM_PLANS]
    uint64_t capacity
    uint64_t used
    uint64_t clock          # microseconds; moves by a millisecond each time it is read


# ---------------------------------------------------------------------------------------------- steps and journal

cdef inline bint _sim_plan_matches(SimPlan *plan, int kind, const char *name) noexcept nogil:
    if not plan.active or (plan.kind != SIM_ANY_KIND and plan.kind != kind):
        return False
    return plan.part[0] == 0 or strstr(name, plan.part) != NULL


cdef inline int sim_step(SimDisk *self, int kind, const char *name) noexcept nogil:
    """Count an operation; the errno it must fail with, or 0."""
    cdef SimPlan *plan
    cdef int i
    cdef int error = 0
    self.steps += 1
    self.steps_of[kind] += 1
    for i in range(SIM_PLANS):
        plan = &self.plans[i]
        if not _sim_plan_matches(plan, kind, name):
            continue
        if plan.left > 0:
            plan.left -= 1
            continue
        plan.active = plan.sticky
        if error == 0:
            error = plan.error
    return error


cdef inline int sim_plan(SimDisk *self, int kind, int error, uint64_t left, bint sticky, const char *part) noexcept nogil:
    cdef SimPlan *plan
    cdef int i
    for i in range(SIM_PLANS):
        plan = &self.plans[i]
        if not plan.active:
            plan.active = True
            plan.kind = kind
            plan.error = error
            plan.left = left
            plan.sticky = sticky
            sim_name(plan.part, part)
            return 0
    return ENOSPC


cdef inline void sim_name(char *to, const char *name) noexcept nogil:
    cdef size_t size = strlen(name)
    if size > ENV_NAME_BYTES - 1:
        size = ENV_NAME_BYTES - 1
    memcpy(to, name, size)
    to[size] = 0


cdef inline int sim_record(SimDisk *self, int kind, int result, int folder, int node, const char *name, const char *other,
                           uint64_t offset, const void *data, size_t size) noexcept nogil:
    """Enter an operation in the journal; ENOMEM when there is no room for it."""
    cdef SimOperation *grown
    cdef SimOperation *operation
    cdef size_t room
    if self.operations == self.room:
        room = self.room * 2 + 64
        grown = <SimOperation *>realloc(self.journal, room * sizeof(SimOperation))
        if grown == NULL:
            return ENOMEM
        self.journal = grown
        self.room = room
    operation = &self.journal[self.operations]
    memset(operation, 0, sizeof(SimOperation))
    if size > 0:
        operation.data = <uint8_t *>malloc(size)
        if operation.data == NULL:
            return ENOMEM
        memcpy(operation.data, data, size)
        operation.size = size
    operation.kind = kind
    operation.result = result
    operation.folder = folder
    operation.node = node
    operation.offset = offset
    sim_name(operation.name, name)
    sim_name(operation.other, other)
    self.operations += 1
    return 0


# ---------------------------------------------------------------------------------------------- inodes and names

cdef inline SimNode *sim_node(SimDisk *self) noexcept nogil:
    cdef SimNode *node = <SimNode *>calloc(1, sizeof(SimNode))
    if node != NULL:
        self.nodes += 1
        node.number = self.nodes
    return node


cdef inline void sim_release(SimDisk *self, SimNode *node) noexcept nogil:
    node.references -= 1
    if node.references == 0:
        self.used -= node.size
        free(node.data)
        free(node)


cdef inline int sim_resize(SimDisk *self, SimNode *node, uint64_t size) noexcept nogil:
    """Make the inode `size` bytes long, new ones zero."""
    cdef uint8_t *grown
    cdef uint64_t room
    if size > node.size and size - node.size > self.capacity - self.used:
        return ENOSPC
    if size > node.room:
        room = size + size // 2
        grown = <uint8_t *>realloc(node.data, <size_t>room)
        if grown == NULL:
            return ENOMEM
        node.data = grown
        node.room = room
    if size > node.size:
        memset(node.data + node.size, 0, <size_t>(size - node.size))
    self.used = self.used - node.size + size
    node.size = size
    return 0


cdef inline SimEntry *sim_find(SimFolder *folder, const char *name) noexcept nogil:
    cdef size_t i
    for i in range(folder.count):
        if strcmp(folder.entries[i].name, name) == 0:
            return &folder.entries[i]
    return NULL


cdef inline int sim_enter(SimFolder *folder, const char *name, SimNode *node) noexcept nogil:
    """Give the inode a name more."""
    cdef SimEntry *grown
    cdef size_t room
    if sim_find(folder, name) != NULL:
        return EEXIST
    if folder.count == folder.room:
        room = folder.room * 2 + 8
        grown = <SimEntry *>realloc(folder.entries, room * sizeof(SimEntry))
        if grown == NULL:
            return ENOMEM
        folder.entries = grown
        folder.room = room
    sim_name(folder.entries[folder.count].name, name)
    folder.entries[folder.count].node = node
    folder.count += 1
    node.references += 1
    return 0


cdef inline int sim_leave(SimDisk *self, SimFolder *folder, const char *name) noexcept nogil:
    """Take a name away, and with the last one and the last open file the inode."""
    cdef SimEntry *entry = sim_find(folder, name)
    cdef SimNode *node
    cdef size_t at
    if entry == NULL:
        return ENOENT
    node = entry.node
    at = <size_t>(entry - folder.entries)
    memmove(entry, entry + 1, (folder.count - at - 1) * sizeof(SimEntry))
    folder.count -= 1
    sim_release(self, node)
    return 0


cdef inline int sim_initial(SimDisk *self, SimFolder *folder, const char *name, const void *data, size_t size) noexcept nogil:
    """A file that was there, and durable, before everything the journal tells."""
    cdef SimNode *node = sim_node(self)
    cdef int error
    if node == NULL:
        return ENOMEM
    node.references = 1                 # ours, until it has its name
    error = sim_resize(self, node, size)
    if error == 0 and size > 0:
        memcpy(node.data, data, size)
    if error == 0:
        error = sim_record(self, SIM_INITIAL, 0, folder.number, node.number, name, "", 0, data, size)
    if error == 0:
        error = sim_enter(folder, name, node)
    sim_release(self, node)
    return error


# ---------------------------------------------------------------------------------------------- the disk

cdef inline SimFolder *sim_folder(SimDisk *self) noexcept nogil:
    """A new, empty folder; the first has number 0."""
    cdef SimFolder *folder = <SimFolder *>calloc(1, sizeof(SimFolder))
    if folder != NULL:
        folder.number = 0 if self.folders == NULL else self.folders.number + 1
        folder.next = self.folders
        self.folders = folder
    return folder


cdef inline SimDisk *sim_disk() noexcept nogil:
    cdef SimDisk *self = <SimDisk *>calloc(1, sizeof(SimDisk))
    if self != NULL:
        pthread_mutex_init(&self.mutex, NULL)
        self.capacity = <uint64_t>1 << 62
        self.clock = <uint64_t>1700000000 * 1000000
    return self


cdef inline void sim_disk_free(SimDisk *self) noexcept nogil:
    cdef SimFolder *folder = self.folders
    cdef SimFolder *next
    cdef size_t i
    while folder != NULL:
        next = folder.next
        for i in range(folder.count):
            sim_release(self, folder.entries[i].node)
        free(folder.entries)
        free(folder)
        folder = next
    for i in range(self.operations):
        free(self.journal[i].data)
    free(self.journal)
    pthread_mutex_destroy(&self.mutex)
    free(self)
