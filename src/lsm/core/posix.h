/* What differs between operating systems and kernels, one function each. All answer 0 or an errno. */
#ifndef LSM_POSIX_H
#define LSM_POSIX_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE             /* fallocate; Python.h has said so already when this is included */
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#ifndef ENODATA                 /* absent on some BSDs */
#define ENODATA EIO
#endif

/* openat is variadic; O_NONBLOCK so that a pipe put in the place of a file cannot hang us (regular files ignore it) */
static inline int lsm_openat(int directory, const char *name, int flags) {
    int fd;
    do
        fd = openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* the size of a regular file; EISDIR or ENXIO for anything else that bears its name */
static inline int lsm_file_size(int fd, uint64_t *size) {
    struct stat status;
    if (fstat(fd, &status) != 0)
        return errno;
    if (!S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? EISDIR : ENXIO;
    *size = (uint64_t)status.st_size;
    return 0;
}

/* bytes and size of a file to the medium. A failure is final (the kernel marks the pages clean): never repeated. */
static inline int lsm_sync_file(int fd) {
#if defined(F_FULLFSYNC)
    if (fcntl(fd, F_FULLFSYNC) == 0)
        return 0;
    if (errno != ENOTSUP && errno != EINVAL)
        return errno;
    return fsync(fd) == 0 ? 0 : errno;
#elif defined(__linux__)
    return fdatasync(fd) == 0 ? 0 : errno;
#else
    return fsync(fd) == 0 ? 0 : errno;
#endif
}

/* EINVAL: a file system that cannot sync directories keeps their order by itself, or cannot be helped */
static inline int lsm_sync_directory(int fd) {
    return fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
}

static inline int lsm_truncate(int fd, uint64_t size) {
    int result;
    do
        result = ftruncate(fd, (off_t)size);
    while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

/* Is `fd` on a file system whose preallocated pages can be written through a shared mapping without a SIGBUS? */
static inline int lsm_maps_safely(int fd) {
#ifdef __linux__
    struct statfs status;
    if (fstatfs(fd, &status) != 0)
        return 0;
    switch ((uint32_t)status.f_type) {
    case 0xEF53u:               /* ext2, ext3, ext4 */
    case 0x58465342u:           /* xfs */
    case 0x01021994u:           /* tmpfs */
        return 1;
    }
#endif
    (void)fd;
    return 0;
}

/* Blocks for bytes [offset, offset + size), extending the file. EOPNOTSUPP: no such thing here. */
static inline int lsm_preallocate(int fd, uint64_t offset, uint64_t size) {
#ifdef __linux__
    int result;
    do
        result = fallocate(fd, 0, (off_t)offset, (off_t)size);
    while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
#else
    (void)fd, (void)offset, (void)size;
    return EOPNOTSUPP;
#endif
}

/* Zeros over [offset, offset + size). The pages of a log come into the page cache this way before they are mapped:
   written, they come in pieces (large folios) that a mapping takes whole; faulted in, one by one at five times the
   price. Pieces of 64 KiB are the size a busy kernel still has at hand. */
static inline int lsm_write_zeros(int fd, uint64_t offset, uint64_t size) {
    static char zeros[1 << 16];         /* never written: costs no file space */
    while (size > 0) {
        ssize_t written = pwrite(fd, zeros, size < sizeof zeros ? size : sizeof zeros, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : EIO;
        offset += (uint64_t)written;
        size -= (uint64_t)written;
    }
    return 0;
}

/* Make every page of a mapping present and writable now, where a failure is still a return code. */
static inline int lsm_populate(uint8_t *map, size_t size, size_t page) {
#ifdef __linux__
    if (madvise(map, size, 23 /* MADV_POPULATE_WRITE, since 5.14 */) == 0)
        return 0;
    if (errno != EINVAL)
        return errno;
#endif
    for (size_t i = 0; i < size; i += page) {
        volatile uint8_t *byte = map + i;
        *byte = *byte;
    }
    return 0;
}

/* the next name of a directory other than . and .., or NULL with *error 0 at its end */
static inline const char *lsm_next_name(DIR *directory, int *error) {
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            *error = errno;
            return NULL;
        }
        const char *name = entry->d_name;
        if (!(name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0))))
            return name;
    }
}

static inline uint64_t lsm_now_microseconds(void) {
    struct timespec now;
#ifdef CLOCK_REALTIME_COARSE
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
#else
    clock_gettime(CLOCK_REALTIME, &now);
#endif
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

#endif
