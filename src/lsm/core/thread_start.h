/* Starting a thread that runs C alone: it takes no signals, which are for the threads of the interpreter, and little stack. */
#ifndef LSM_THREAD_START_H
#define LSM_THREAD_START_H

#include <pthread.h>
#include <signal.h>

#define LSM_THREAD_STACK (256u << 10)

static inline int lsm_thread_start(pthread_t *thread, void *(*run)(void *), void *argument) {
    pthread_attr_t attributes;
    sigset_t all, before;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return error;
    (void)pthread_attr_setstacksize(&attributes, LSM_THREAD_STACK);     /* refused: the default will do */
    sigfillset(&all);
    error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error == 0) {
        error = pthread_create(thread, &attributes, run, argument);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    return error;
}

#endif
