/* Records, and fails on demand, what a process does to the files of one directory. Preloaded (LD_PRELOAD) by rig/recorder.py.

   Every call that changes a file or a name there is written to a log in the order in which it happened: a mutex is held around
   each. What the process does elsewhere is passed on untouched, and all is until recorder_start() was called. Reads are not
   logged, but counted and failed like the rest. Only direct children of the directory are known; stdio streams are logged as
   opened (STREAM), their writes are not seen; a shared writable mapping is logged (MAPPED), what is stored there is not seen.

   An entry: struct entry, then the name, the other name, the caller's object file, the data. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { OPEN, CLOSE, WRITE, TRUNCATE, ALLOCATE, SYNC, RENAME, UNLINK, LINK, SYNC_DIRECTORY, MARK, READ, MAPPED, STREAM };
struct entry { uint32_t kind; int32_t result, fd; uint32_t flags; uint64_t offset, size; uint16_t name, other, caller, unused; };
enum { FDS = 65536, DESCRIPTOR = 1, DIRECTORY = 2, SYNCED = 4, APPENDING = 8 };

static unsigned char known[FDS];
static char root[PATH_MAX];
static size_t root_size;
static int out = -1, owner, fail_kind = -1, fail_errno, fail_sticky;
static long fail_after = -1;
static uint64_t steps;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }
static int recording(void) { return out >= 0 && owner == getpid(); }

/* The name within the directory ("" for itself), or NULL when the path leads elsewhere. */
static const char *inside(int at, const char *path, char *room) {
    if (!recording() || path == NULL) return NULL;
    if (path[0] != '/') {
        if (at == AT_FDCWD) {
            if (getcwd(room, PATH_MAX) == NULL || strlen(room) + strlen(path) + 2 > PATH_MAX) return NULL;
            strcat(strcat(room, "/"), path);
            path = room;
        } else {
            if (at < 0 || at >= FDS || !(known[at] & DIRECTORY)) return NULL;
            if (strcmp(path, ".") == 0) return "";
            return strchr(path, '/') ? NULL : path;
        }
    }
    if (strncmp(path, root, root_size) != 0) return NULL;
    path += root_size;
    if (*path != 0 && *path != '/') return NULL;
    while (*path == '/') path++;
    if (*path == '.' && path[1] == '/') path += 2;
    return strchr(path, '/') ? NULL : path;
}

static void put(const void *bytes, size_t size) {
    const char *at = bytes;
    while (size > 0) {
        ssize_t done = REAL(write)(out, at, size);
        if (done <= 0) abort();
        at += done, size -= (size_t)done;
    }
}

static void record(enum kind kind, int result, int fd, uint32_t flags, uint64_t offset, const char *name, const char *other,
                   const void *data, size_t size, void *from) {
    int before = errno;
    Dl_info info;
    const char *caller = from && dladdr(from, &info) && info.dli_fname ? info.dli_fname : "";
    caller = strrchr(caller, '/') ? strrchr(caller, '/') + 1 : caller;
    name = name ? name : "", other = other ? other : "";
    struct entry entry = {kind, result, fd, flags, offset, size, (uint16_t)strlen(name), (uint16_t)strlen(other),
                          (uint16_t)strlen(caller), 0};
    put(&entry, sizeof entry);
    put(name, entry.name), put(other, entry.other), put(caller, entry.caller);
    if (size) put(data, size);
    errno = before;
}

/* Is this the call that shall fail? Then errno is set. */
static int failing(enum kind kind) {
    steps++;
    if (fail_after < 0 || (fail_kind >= 0 && fail_kind != (int)kind && !(fail_kind == SYNC && kind == SYNC_DIRECTORY))) return 0;
    if (fail_after-- > 0) return 0;
    fail_after = fail_sticky ? 0 : -1;
    errno = fail_errno;
    return 1;
}

#define ENTER(kind, call) \
    pthread_mutex_lock(&mutex); \
    int failed = failing(kind); \
    __typeof__(call) result = failed ? (__typeof__(call))-1 : (call); \
    int error = result == (__typeof__(call))-1 ? errno : 0;
#define LEAVE pthread_mutex_unlock(&mutex); if (error) errno = error; return result;
#define FROM __builtin_return_address(0)

void recorder_start(const char *directory, const char *log, int kind, long after, int error, int sticky) {
    if (realpath(directory, root) == NULL) abort();
    root_size = strlen(root);
    out = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    fail_kind = kind, fail_after = after, fail_errno = error, fail_sticky = sticky, steps = 0;
    owner = getpid();
}
void recorder_heal(void) { fail_after = -1; }
uint64_t recorder_steps(void) { return steps; }
void recorder_mark(const char *name, uint64_t value) {
    if (!recording()) return;
    pthread_mutex_lock(&mutex);
    record(MARK, 0, -1, 0, value, name, NULL, NULL, 0, NULL);
    pthread_mutex_unlock(&mutex);
}

static int opening(int at, const char *path, int flags, mode_t mode, void *from) {
    char room[PATH_MAX];
    struct stat before, found;
    const char *name = inside(at, path, room);
    if (name == NULL) return REAL(openat)(at, path, flags, mode);
    int existed = fstatat(at, path, &before, 0) == 0;
    ENTER(OPEN, REAL(openat)(at, path, flags, mode))
    if (result >= 0 && result < FDS && fstat(result, &found) == 0) {
        known[result] = DESCRIPTOR | (S_ISDIR(found.st_mode) ? DIRECTORY : 0) | (flags & O_DSYNC ? SYNCED : 0)
                        | (flags & O_APPEND ? APPENDING : 0);
        if (!S_ISDIR(found.st_mode))
            record(OPEN, 0, result, (existed ? 0 : 1) | (existed && (flags & O_TRUNC) ? 2 : 0), 0, name, NULL, NULL, 0, from);
    }
    LEAVE
}

#define OPENING(type, function, at, path) \
    int function type { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); } \
        return opening(at, path, flags, mode, FROM); \
    }
OPENING((const char *path, int flags, ...), open, AT_FDCWD, path)
OPENING((const char *path, int flags, ...), open64, AT_FDCWD, path)
OPENING((int at, const char *path, int flags, ...), openat, at, path)
OPENING((int at, const char *path, int flags, ...), openat64, at, path)
int __open_2(const char *path, int flags) { return opening(AT_FDCWD, path, flags, 0, FROM); }
int __open64_2(const char *path, int flags) { return opening(AT_FDCWD, path, flags, 0, FROM); }
int __openat_2(int at, const char *path, int flags) { return opening(at, path, flags, 0, FROM); }
int __openat64_2(int at, const char *path, int flags) { return opening(at, path, flags, 0, FROM); }
int creat(const char *path, mode_t mode) { return opening(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, FROM); }

static FILE *stream(FILE *(*opens)(const char *, const char *), const char *path, const char *mode, void *from) {
    char room[PATH_MAX];
    const char *name = inside(AT_FDCWD, path, room);
    if (name != NULL && strpbrk(mode, "wa+")) {
        pthread_mutex_lock(&mutex);
        record(STREAM, 0, -1, 0, 0, name, NULL, NULL, 0, from);
        pthread_mutex_unlock(&mutex);
    }
    return opens(path, mode);
}
FILE *fopen(const char *path, const char *mode) { return stream(REAL(fopen), path, mode, FROM); }
FILE *fopen64(const char *path, const char *mode) { return stream(REAL(fopen64), path, mode, FROM); }

static int mine(int fd) { return recording() && fd >= 0 && fd < FDS && known[fd]; }

int close(int fd) {
    if (!mine(fd)) return REAL(close)(fd);
    ENTER(CLOSE, REAL(close)(fd))
    if (failed) REAL(close)(fd);            /* as Linux does it: the descriptor is gone whatever close answers */
    if (!(known[fd] & DIRECTORY)) record(CLOSE, error, fd, 0, 0, NULL, NULL, NULL, 0, FROM);
    known[fd] = 0;
    LEAVE
}

static void wrote(int fd, uint64_t offset, const void *data, ssize_t size, void *from) {
    record(WRITE, 0, fd, 0, offset, NULL, NULL, data, (size_t)size, from);
    if (known[fd] & SYNCED) record(SYNC, 0, fd, 0, 0, NULL, NULL, NULL, 0, from);
}

static ssize_t writing(int fd, const void *data, size_t size, off_t offset, int placed, void *from) {
    if (!mine(fd)) return placed ? REAL(pwrite)(fd, data, size, offset) : REAL(write)(fd, data, size);
    if (!placed) offset = known[fd] & APPENDING ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ENTER(WRITE, placed ? REAL(pwrite)(fd, data, size, offset) : REAL(write)(fd, data, size))
    if (result > 0) wrote(fd, (uint64_t)offset, data, result, from);
    LEAVE
}
ssize_t write(int fd, const void *data, size_t size) { return writing(fd, data, size, 0, 0, FROM); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return writing(fd, data, size, at, 1, FROM); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return writing(fd, data, size, at, 1, FROM); }

static ssize_t writing_many(int fd, const struct iovec *parts, int count, off_t offset, int placed, void *from) {
    if (!mine(fd)) return placed ? REAL(pwritev)(fd, parts, count, offset) : REAL(writev)(fd, parts, count);
    if (!placed) offset = known[fd] & APPENDING ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ENTER(WRITE, placed ? REAL(pwritev)(fd, parts, count, offset) : REAL(writev)(fd, parts, count))
    ssize_t left = result;
    for (int i = 0; i < count && left > 0; i++) {
        ssize_t size = (ssize_t)parts[i].iov_len < left ? (ssize_t)parts[i].iov_len : left;
        if (size > 0) wrote(fd, (uint64_t)offset, parts[i].iov_base, size, from);
        offset += size, left -= size;
    }
    LEAVE
}
ssize_t writev(int fd, const struct iovec *parts, int count) { return writing_many(fd, parts, count, 0, 0, FROM); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return writing_many(fd, parts, count, at, 1, FROM); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) { return writing_many(fd, parts, count, at, 1, FROM); }

#define READING(declaration, call) \
    ssize_t declaration { \
        if (!mine(fd)) return call; \
        ENTER(READ, call) \
        LEAVE \
    }
READING(read(int fd, void *into, size_t size), REAL(read)(fd, into, size))
READING(pread(int fd, void *into, size_t size, off_t at), REAL(pread)(fd, into, size, at))
READING(pread64(int fd, void *into, size_t size, off_t at), REAL(pread64)(fd, into, size, at))

static int syncing(int fd, int (*sync)(int), void *from) {
    if (!mine(fd)) return sync(fd);
    enum kind kind = known[fd] & DIRECTORY ? SYNC_DIRECTORY : SYNC;
    ENTER(kind, sync(fd))
    record(kind, error, fd, 0, 0, NULL, NULL, NULL, 0, from);
    LEAVE
}
int fsync(int fd) { return syncing(fd, REAL(fsync), FROM); }
int fdatasync(int fd) { return syncing(fd, REAL(fdatasync), FROM); }

static int sizing(enum kind kind, int fd, off_t size, int (*sizes)(int, off_t), void *from) {
    if (!mine(fd)) return sizes(fd, size);
    ENTER(kind, sizes(fd, size))
    if (!error) record(kind, 0, fd, 0, (uint64_t)size, NULL, NULL, NULL, 0, from);
    LEAVE
}
int ftruncate(int fd, off_t size) { return sizing(TRUNCATE, fd, size, REAL(ftruncate), FROM); }
int ftruncate64(int fd, off_t size) { return sizing(TRUNCATE, fd, size, REAL(ftruncate64), FROM); }

static int allocating(int fd, int mode, off_t at, off_t size, void *from) {
    struct stat found;
    if (!mine(fd)) return REAL(fallocate)(fd, mode, at, size);
    ENTER(ALLOCATE, REAL(fallocate)(fd, mode, at, size))
    if (!error && !(mode & FALLOC_FL_KEEP_SIZE) && fstat(fd, &found) == 0)
        record(ALLOCATE, 0, fd, 0, (uint64_t)found.st_size, NULL, NULL, NULL, 0, from);
    LEAVE
}
int fallocate(int fd, int mode, off_t at, off_t size) { return allocating(fd, mode, at, size, FROM); }
int fallocate64(int fd, int mode, off_t at, off_t size) { return allocating(fd, mode, at, size, FROM); }
int posix_fallocate(int fd, off_t at, off_t size) { return allocating(fd, 0, at, size, FROM) ? errno : 0; }
int posix_fallocate64(int fd, off_t at, off_t size) { return allocating(fd, 0, at, size, FROM) ? errno : 0; }

#define NAMING(kind, declaration, at, path, at2, path2, call) \
    int declaration { \
        char room[PATH_MAX], room2[PATH_MAX]; \
        const char *name = inside(at, path, room), *other = inside(at2, path2, room2); \
        if (name == NULL && other == NULL) return call; \
        ENTER(kind, call) \
        if (!error) record(kind, 0, -1, 0, 0, name, other, NULL, 0, FROM); \
        LEAVE \
    }
NAMING(RENAME, rename(const char *from, const char *to), AT_FDCWD, from, AT_FDCWD, to, REAL(rename)(from, to))
NAMING(RENAME, renameat(int a, const char *from, int b, const char *to), a, from, b, to, REAL(renameat)(a, from, b, to))
NAMING(RENAME, renameat2(int a, const char *from, int b, const char *to, unsigned f), a, from, b, to, REAL(renameat2)(a, from, b, to, f))
NAMING(UNLINK, unlink(const char *path), AT_FDCWD, path, AT_FDCWD, NULL, REAL(unlink)(path))
NAMING(UNLINK, unlinkat(int a, const char *path, int f), a, path, a, NULL, REAL(unlinkat)(a, path, f))
NAMING(LINK, link(const char *from, const char *to), AT_FDCWD, from, AT_FDCWD, to, REAL(link)(from, to))
NAMING(LINK, linkat(int a, const char *from, int b, const char *to, int f), a, from, b, to, REAL(linkat)(a, from, b, to, f))

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    if (mine(fd) && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
        pthread_mutex_lock(&mutex);
        record(MAPPED, 0, fd, 0, (uint64_t)offset, NULL, NULL, NULL, 0, FROM);
        pthread_mutex_unlock(&mutex);
    }
    return REAL(mmap)(at, size, protection, flags, fd, offset);
}
void *mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    return mmap(at, size, protection, flags, fd, offset);
}
