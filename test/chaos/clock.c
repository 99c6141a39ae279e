/*
 * A wall clock that can be moved, for one process: loaded with LD_PRELOAD. Seconds to add stand as
 * text in the file of GV_CLOCK and are looked up at every call, so a jump needs no restart. The
 * monotonic clock is left alone, as it is when somebody sets a machine's time.
 *
 * (libfaketime does the same and more, and stands still in a Redis built with jemalloc.)
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *text;

static long offset(void) {
  if (text == NULL) {
    const char *path = getenv("GV_CLOCK");
    int file = path == NULL ? -1 : open(path, O_RDONLY);
    void *map = file < 0 ? MAP_FAILED : mmap(NULL, 16, PROT_READ, MAP_SHARED, file, 0);
    text = map == MAP_FAILED ? "0" : map;
  }
  return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int result = (int)syscall(SYS_clock_gettime, clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    at->tv_sec += offset();
  }
  return result;
}

int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at != NULL) {
    *at = now.tv_sec;
  }
  return now.tv_sec;
}
