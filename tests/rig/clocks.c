/* A clock that cannot be relied on, preloaded: what asks for the time of day is told it backwards, frozen, or ten years off either
 * way at each look. LSM_CLOCK: back, frozen, jumps. Clocks that are promised to go forward are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

static atomic_ulong looks;

static time_t wrong(time_t now) {
    const char *how = getenv("LSM_CLOCK");
    unsigned long look = atomic_fetch_add(&looks, 1);
    if (how == NULL)
        return now;
    if (strcmp(how, "back") == 0)
        return now - (time_t)(60 * look);
    if (strcmp(how, "frozen") == 0)
        return 1000000000;
    return now + (time_t)((look * 2654435761UL >> 7) % 630720000UL) - 315360000;
}

int clock_gettime(clockid_t clock, struct timespec *to) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL)
        real = dlsym(RTLD_NEXT, "clock_gettime");
    int answer = real(clock, to);
    if (answer == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        time_t before = to->tv_sec;
        to->tv_sec = wrong(before);
        if (to->tv_sec == 1000000000)
            to->tv_nsec = 0;
    }
    return answer;
}

int gettimeofday(struct timeval *to, void *zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    to->tv_sec = now.tv_sec;
    to->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to != NULL)
        *to = now.tv_sec;
    return now.tv_sec;
}
