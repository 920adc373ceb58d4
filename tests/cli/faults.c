/* A library to preload: it lets the n-th call of one kind that a program makes inside a folder fail, or kills the
 * program there. Set by the environment:
 *   ULMUS_FAULT_CALL    open, read, write, fsync, rename, close, mkdir, unlink or flock
 *   ULMUS_FAULT_AT      n, from 1; 0: only count
 *   ULMUS_FAULT_ERRNO   what the call fails with; 0: the process is killed before the call is made
 *   ULMUS_FAULT_UNDER   only files below this path count
 *   ULMUS_FAULT_COUNT   file that the number of calls is written to at the end
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long calls;
static const char *wanted, *under;
static long at;
static int code;

__attribute__((constructor)) static void begin(void) {
  wanted = getenv("ULMUS_FAULT_CALL");
  under = getenv("ULMUS_FAULT_UNDER");
  at = getenv("ULMUS_FAULT_AT") ? atol(getenv("ULMUS_FAULT_AT")) : 0;
  code = getenv("ULMUS_FAULT_ERRNO") ? atoi(getenv("ULMUS_FAULT_ERRNO")) : EIO;
}

__attribute__((destructor)) static void end(void) {
  const char* path = getenv("ULMUS_FAULT_COUNT");
  FILE* file = path ? fopen(path, "w") : NULL;
  if (!file) return;
  fprintf(file, "%ld\n", (long)calls);
  fclose(file);
}

static int below(const char* path) {
  char whole[8192];
  if (!wanted || !under || !path) return 0;
  if (path[0] != '/') {
    if (!getcwd(whole, 4096)) return 0;
    strcat(whole, "/");
    strncat(whole, path, 4000);
    path = whole;
  }
  return strncmp(path, under, strlen(under)) == 0;
}

/* Whether this call is to fail; does not return where the process is killed. */
static int fails(const char* call, const char* path) {
  if (!wanted || strcmp(call, wanted) != 0 || !below(path)) return 0;
  if (atomic_fetch_add(&calls, 1) + 1 != at) return 0;
  if (code == 0) kill(getpid(), SIGKILL);
  errno = code;
  return 1;
}

static int fails_on(const char* call, int file) {
  char link[64], path[4096];
  if (!wanted || strcmp(call, wanted) != 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return 0;
  path[size] = 0;
  return fails(call, path);
}

#define REAL(name) __typeof__(name)* const real = (__typeof__(name)*)dlsym(RTLD_NEXT, #name)

static int opened(const char* name, const char* path, int flags, mode_t mode) {
  int (*const real)(const char*, int, ...) = (int (*)(const char*, int, ...))dlsym(RTLD_NEXT, name);
  return fails("open", path) ? -1 : real(path, flags, mode);
}

#define OPEN(name)                             \
  int name(const char* path, int flags, ...) { \
    va_list more;                              \
    va_start(more, flags);                     \
    const mode_t mode = va_arg(more, mode_t);  \
    va_end(more);                              \
    return opened(#name, path, flags, mode);   \
  }
OPEN(open)
OPEN(open64)

ssize_t read(int file, void* bytes, size_t size) {
  REAL(read);
  return fails_on("read", file) ? -1 : real(file, bytes, size);
}
/* The first half is written: a disk may be full in the middle. */
ssize_t write(int file, const void* bytes, size_t size) {
  REAL(write);
  if (!wanted || strcmp(wanted, "write") != 0) return real(file, bytes, size);
  if (code == 0 && at == (long)calls + 1) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    const ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0 && (path[length] = 0, below(path)) && real(file, bytes, size / 2) < 0) return -1;
  }
  return fails_on("write", file) ? -1 : real(file, bytes, size);
}
int fsync(int file) {
  REAL(fsync);
  return fails_on("fsync", file) ? -1 : real(file);
}
int close(int file) {
  REAL(close);
  const int failing = fails_on("close", file), saved = errno;
  const int result = real(file); /* a number is given back even where close fails */
  if (failing) errno = saved;
  return failing ? -1 : result;
}
int flock(int file, int operation) {
  int (*const real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
  return fails_on("flock", file) ? -1 : real(file, operation);
}
int rename(const char* from, const char* to) {
  REAL(rename);
  return fails("rename", to) ? -1 : real(from, to);
}
int mkdir(const char* path, mode_t mode) {
  REAL(mkdir);
  return fails("mkdir", path) ? -1 : real(path, mode);
}
int unlink(const char* path) {
  REAL(unlink);
  return fails("unlink", path) ? -1 : real(path);
}
