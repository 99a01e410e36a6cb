# cython: language_level=3
"""Preparer: one thread that makes ready ahead of a writer what the writer would otherwise have to wait for.

It stays inside C, without the GIL, and waits on a condition: asking it costs a writer a signal, and nothing is ever
handed over through the interpreter. There is a task for each kind of thing it prepares: a function and its subject. Who is
about to need more asks; what is not ready when it is needed the writer makes itself, just as without a preparer. So
nothing here can fail: a task that meets an error leaves everything as it was, and the writer meets it again, as a
return code. Where no thread is to be had there is none.

Invariants: a subject is worked on only between its `preparer_assign` and the next one of the same task, which waits while
the thread is at work on it; the thread is started by the first who asks.

After a fork the thread is the parent's alone: in the child every call here does nothing.

Owner: binding/preparer.pxi, one for each database that is written to. Threads: `preparer_ask` and `preparer_stop` any; the
rest one at a time.
"""
from libc.stdlib cimport calloc, free

cdef extern from "pthread.h" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_cond_init(pthread_cond_t *condition, const void *attributes)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    int pthread_cond_signal(pthread_cond_t *condition)
    int pthread_cond_destroy(pthread_cond_t *condition)
    int pthread_join(pthread_t thread, void **result)

cdef extern from "unistd.h" nogil:
    int getpid()

cdef extern from "thread_start.h" nogil:
    int lsm_thread_start(pthread_t *thread, void *(*run)(void *), void *argument)


cdef enum TaskKind:             # the most urgent first
    TASK_LOG = 0
    TASK_BLOCK = 1
    TASK_LINK = 2
    TASKS = 3


# one step of the work; True: there is more to do
ctypedef bint (*Work)(void *subject) noexcept nogil

cdef struct Task:
    Work work               # NULL: nothing is assigned
    void *subject
    bint asked

cdef struct Preparer:
    pthread_mutex_t mutex   # guards all that follows; never held while a task is at work
    pthread_cond_t bell     # something was asked for, or the end
    pthread_cond_t rest     # a task has been worked on
    pthread_t thread
    Task tasks[TASKS]
    int at_work             # the task's number, or -1
    bint running
    bint stopping
    int process             # that made it


cdef inline Preparer *preparer_new() noexcept nogil:
    """NULL when there is no memory."""
    cdef Preparer *self = <Preparer *>calloc(1, sizeof(Preparer))
    if self == NULL:
        return NULL
    pthread_mutex_init(&self.mutex, NULL)
    pthread_cond_init(&self.bell, NULL)
    pthread_cond_init(&self.rest, NULL)
    self.at_work = -1
    self.process = getpid()
    return self


cdef inline int _asked_for(const Preparer *self) noexcept nogil:
    cdef int i
    for i in range(<int>TASKS):
        if self.tasks[i].asked:
            return i
    return -1


cdef inline void *_prepare(void *argument) noexcept nogil:
    cdef Preparer *self = <Preparer *>argument
    cdef Work work
    cdef void *subject
    cdef bint more
    pthread_mutex_lock(&self.mutex)
    while not self.stopping:
        self.at_work = _asked_for(self)
        if self.at_work < 0:
            pthread_cond_wait(&self.bell, &self.mutex)
            continue
        self.tasks[self.at_work].asked = False
        work = self.tasks[self.at_work].work
        subject = self.tasks[self.at_work].subject
        pthread_mutex_unlock(&self.mutex)
        more = work(subject)
        pthread_mutex_lock(&self.mutex)
        if more:
            self.tasks[self.at_work].asked = True
        self.at_work = -1
        pthread_cond_signal(&self.rest)
    pthread_mutex_unlock(&self.mutex)
    return NULL


cdef inline void preparer_ask(Preparer *self, int task) noexcept nogil:
    """Have the task worked on soon. Without a thread to be had, nothing."""
    cdef bint ring = False
    if self.process != getpid():
        return
    pthread_mutex_lock(&self.mutex)
    if self.tasks[task].work != NULL and not self.tasks[task].asked and not self.stopping:
        if not self.running:
            self.running = lsm_thread_start(&self.thread, _prepare, self) == 0
        ring = self.tasks[task].asked = self.running
    pthread_mutex_unlock(&self.mutex)
    if ring:
        pthread_cond_signal(&self.bell)


cdef inline void preparer_assign(Preparer *self, int task, Work work, void *subject) noexcept nogil:
    """From now on the task is about this subject (NULL: about nothing), and no more about the one before."""
    if self.process != getpid():
        return
    pthread_mutex_lock(&self.mutex)
    while self.at_work == task:
        pthread_cond_wait(&self.rest, &self.mutex)
    self.tasks[task].work = work
    self.tasks[task].subject = subject
    self.tasks[task].asked = False
    pthread_mutex_unlock(&self.mutex)


cdef inline void preparer_stop(Preparer *self) noexcept nogil:
    """End the thread, which takes no longer than one step of a task. Nothing is prepared any more."""
    cdef bint running
    if self.process != getpid():
        return
    pthread_mutex_lock(&self.mutex)
    self.stopping = True
    running = self.running
    self.running = False
    pthread_mutex_unlock(&self.mutex)
    pthread_cond_signal(&self.bell)
    if running:
        pthread_join(self.thread, NULL)


cdef inline void preparer_free(Preparer *self) noexcept nogil:
    preparer_stop(self)
    if self.process == getpid():
        pthread_cond_destroy(&self.rest)
        pthread_cond_destroy(&self.bell)
        pthread_mutex_destroy(&self.mutex)
    free(self)
