/* Fails, interrupts or cuts short on demand what an object file asks of the operating system. Preloaded (LD_PRELOAD) by
   failed_calls.py.

   Counted are the calls that come from the object file told by calls_of() (the core), by the address they return to; all others
   are passed on. From the n-th since calls_arm() on `many` of them are answered -1 with `error` (FAILED), or answered so with EINTR
   before they are let through (INTERRUPTED: those that may be, one answer each), or move half of the bytes (SHORT: reads and
   writes). With `only` the rest is not counted. A close that fails has closed, as on Linux.

   Threads: any. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum way { FAILED, INTERRUPTED, SHORT };
static uintptr_t start, end;
static long count, first, many;
static int way, error, paused;
static char only[16];
static const char *last = "";                   /* the name of the last one that was not as it should be */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void calls_of(uintptr_t from, uintptr_t to) { start = from, end = to; }
void calls_pause(int on) { paused = on; }
long calls_counted(void) { return count; }
const char *calls_last(void) { return last; }

/* n 0: none. */
void calls_arm(long n, long number, int answer, int how, const char *name) {
    pthread_mutex_lock(&mutex);
    count = 0, first = n, many = number, error = answer, way = how, paused = 0;
    strncpy(only, name, sizeof only - 1);
    pthread_mutex_unlock(&mutex);
}

/* Is it this one's turn? `ways` are those that it knows. */
static int turn(const char *name, unsigned ways, uintptr_t caller) {
    if (caller < start || caller >= end || paused || !(ways & 1u << way) || (*only && strcmp(only, name) != 0)) return 0;
    pthread_mutex_lock(&mutex);
    count++;
    int now = first > 0 && count >= first && count < first + many && (way != INTERRUPTED || (count - first) % 2 == 0);
    if (now) last = name;
    pthread_mutex_unlock(&mutex);
    return now;
}

#define CALLER ((uintptr_t)__builtin_return_address(0))
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define SOME(way) (1u << (way))
#define MAY_BE (SOME(FAILED) | SOME(INTERRUPTED))
#define ANSWER (errno = way == INTERRUPTED ? EINTR : error)

#define CALL(type, name, ways, parameters, arguments, otherwise) NAMED(type, name, #name, ways, parameters, arguments, otherwise)
#define NAMED(type, symbol, name, ways, parameters, arguments, otherwise) \
    type symbol parameters { \
        if (!turn(name, ways, CALLER)) return REAL(symbol) arguments; \
        ANSWER; \
        return otherwise; \
    }

#define OPENS(symbol, name, ways, parameters, ...) \
    int symbol parameters { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
        if (!turn(name, ways, CALLER)) return REAL(symbol)(__VA_ARGS__, mode); \
        ANSWER; \
        return -1; \
    }
OPENS(open, "open", SOME(FAILED), (const char *path, int flags, ...), path, flags)
OPENS(open64, "open", SOME(FAILED), (const char *path, int flags, ...), path, flags)
OPENS(openat, "openat", MAY_BE, (int at, const char *path, int flags, ...), at, path, flags)
OPENS(openat64, "openat", MAY_BE, (int at, const char *path, int flags, ...), at, path, flags)
int close(int fd) {
    int now = turn("close", MAY_BE, CALLER), answer = REAL(close)(fd);
    if (!now) return answer;
    ANSWER;
    return -1;
}

#define MOVES(symbol, name, pointer, offset) \
    ssize_t symbol(int fd, pointer bytes, size_t size, offset at) { \
        if (!turn(name, MAY_BE | (size > 1 ? SOME(SHORT) : 0), CALLER)) return REAL(symbol)(fd, bytes, size, at); \
        if (way == SHORT) return REAL(symbol)(fd, bytes, size / 2, at); \
        ANSWER; \
        return error == 0 && way == FAILED ? 0 : -1; \
    }
MOVES(pread, "pread", void *, off_t)
MOVES(pread64, "pread", void *, off64_t)
MOVES(pwrite, "pwrite", const void *, off_t)
MOVES(pwrite64, "pwrite", const void *, off64_t)

/* with the names for large files, which the core asks for, and without */
#define EITHER(type, name, suffix, ways, parameters, arguments, otherwise) \
    NAMED(type, name##suffix, #name, ways, parameters, arguments, otherwise)
EITHER(int, fstat, , SOME(FAILED), (int fd, struct stat *to), (fd, to), -1)
EITHER(int, fstat, 64, SOME(FAILED), (int fd, struct stat64 *to), (fd, to), -1)
EITHER(int, fstatfs, , SOME(FAILED), (int fd, struct statfs *to), (fd, to), -1)
EITHER(int, fstatfs, 64, SOME(FAILED), (int fd, struct statfs64 *to), (fd, to), -1)
EITHER(int, ftruncate, , MAY_BE, (int fd, off_t size), (fd, size), -1)
EITHER(int, ftruncate, 64, MAY_BE, (int fd, off64_t size), (fd, size), -1)
EITHER(int, fallocate, , MAY_BE, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size), -1)
EITHER(int, fallocate, 64, MAY_BE, (int fd, int mode, off64_t at, off64_t size), (fd, mode, at, size), -1)
EITHER(struct dirent *, readdir, , SOME(FAILED), (DIR *directory), (directory), NULL)
EITHER(struct dirent64 *, readdir, 64, SOME(FAILED), (DIR *directory), (directory), NULL)
EITHER(void *, mmap, , SOME(FAILED), (void *at, size_t size, int protection, int flags, int fd, off_t offset),
       (at, size, protection, flags, fd, offset), MAP_FAILED)
EITHER(void *, mmap, 64, SOME(FAILED), (void *at, size_t size, int protection, int flags, int fd, off64_t offset),
       (at, size, protection, flags, fd, offset), MAP_FAILED)
CALL(int, fsync, SOME(FAILED), (int fd), (fd), -1)
CALL(int, fdatasync, SOME(FAILED), (int fd), (fd), -1)
CALL(int, flock, MAY_BE, (int fd, int operation), (fd, operation), -1)
CALL(int, madvise, SOME(FAILED), (void *at, size_t size, int advice), (at, size, advice), -1)
CALL(int, munmap, SOME(FAILED), (void *at, size_t size), (at, size), -1)
CALL(int, mkdir, SOME(FAILED), (const char *path, mode_t mode), (path, mode), -1)
CALL(int, renameat, SOME(FAILED), (int a, const char *from, int b, const char *to), (a, from, b, to), -1)
CALL(int, unlinkat, SOME(FAILED), (int at, const char *path, int flags), (at, path, flags), -1)
CALL(int, linkat, SOME(FAILED), (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), -1)
CALL(DIR *, fdopendir, SOME(FAILED), (int fd), (fd), NULL)

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
    if (!turn("pthread_create", SOME(FAILED), CALLER)) return REAL(pthread_create)(thread, attributes, run, argument);
    return EAGAIN;
}
