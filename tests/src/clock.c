/* A wall clock that is wrong by LABORA_TEST_CLOCK_S seconds, for one process: loaded before the C library. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *seconds = getenv("LABORA_TEST_CLOCK_S");
    if (result == 0 && clock == CLOCK_REALTIME && seconds)
        now->tv_sec += atol(seconds);
    return result;
}
