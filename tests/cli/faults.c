/* A library to preload: makes the n-th call of one kind that a program makes inside a folder fail, or sends the program
 * a signal there. Environment variables:
 *
 *   ULMUS_FAULT_CALL    open, read, write, fsync, rename, close, mkdir, unlink or flock; or thread, which has no folder
 *   ULMUS_FAULT_AT      n, from 1; 0: only count
 *   ULMUS_FAULT_ERRNO   errno with which the call fails
 *   ULMUS_FAULT_SIGNAL  sent before the call, which is then made; SIGKILL ends the process there
 *   ULMUS_FAULT_UNDER   only files below this path count
 *   ULMUS_FAULT_COUNT   file to which the number of calls of every kind is written at the end */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char* const kinds[] = {"open",  "read",  "write",  "fsync", "rename",
                                    "close", "mkdir", "unlink", "flock", "thread"};
enum { k_kinds = sizeof kinds / sizeof *kinds };
static atomic_long calls[k_kinds];
static const char *wanted, *under;
static long at;
static int code, number;

__attribute__((constructor)) static void begin(void) {
  wanted = getenv("ULMUS_FAULT_CALL");
  under = getenv("ULMUS_FAULT_UNDER");
  at = getenv("ULMUS_FAULT_AT") ? atol(getenv("ULMUS_FAULT_AT")) : 0;
  code = getenv("ULMUS_FAULT_ERRNO") ? atoi(getenv("ULMUS_FAULT_ERRNO")) : EIO;
  number = getenv("ULMUS_FAULT_SIGNAL") ? atoi(getenv("ULMUS_FAULT_SIGNAL")) : 0;
}

__attribute__((destructor)) static void end(void) {
  const char* path = getenv("ULMUS_FAULT_COUNT");
  FILE* file = path ? fopen(path, "w") : NULL;
  if (!file) return;
  for (int kind = 0; kind < k_kinds; ++kind) fprintf(file, "%s %ld\n", kinds[kind], (long)calls[kind]);
  fclose(file);
}

/* How the program ends after a success, without destructors. */
void _Exit(int status) {
  end();
  _exit(status);
}

static int below(const char* path) {
  char whole[8192];
  if (!under || !path) return 0;
  if (path[0] != '/') {
    if (!getcwd(whole, 4096)) return 0;
    strcat(whole, "/");
    strncat(whole, path, 4000);
    path = whole;
  }
  return strncmp(path, under, strlen(under)) == 0;
}

/* Counts a call and returns whether it must fail; does not return if the process is killed. */
static int counted(const char* call) {
  int kind = 0;
  while (strcmp(kinds[kind], call) != 0) ++kind;
  const long n = atomic_fetch_add(&calls[kind], 1) + 1;
  if (n != at || !wanted || strcmp(call, wanted) != 0) return 0;
  if (number != 0) {
    kill(getpid(), number);
    return 0;
  }
  errno = code;
  return 1;
}

static int fails(const char* call, const char* path) { return below(path) && counted(call); }

static const char* path_of(int file, char path[4096]) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t size = readlink(link, path, 4095);
  if (size <= 0) return NULL;
  path[size] = 0;
  return path;
}

static int fails_on(const char* call, int file) {
  char path[4096];
  return under && fails(call, path_of(file, path));
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
ssize_t pread(int file, void* bytes, size_t size, off_t begin) {
  REAL(pread);
  return fails_on("read", file) ? -1 : real(file, bytes, size, begin);
}
ssize_t pread64(int file, void* bytes, size_t size, off_t begin) {
  REAL(pread64);
  return fails_on("read", file) ? -1 : real(file, bytes, size, begin);
}
/* The thread pool of LibTorch, in C, waits forever if it is denied a thread. */
static int is_of_std_thread(const void* caller) {
  Dl_info where;
  return dladdr(caller, &where) && where.dli_fname && strstr(where.dli_fname, "libstdc++");
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*work)(void*), void* argument) {
  REAL(pthread_create);
  if (is_of_std_thread(__builtin_return_address(0)) && counted("thread")) return code;
  return real(thread, attributes, work, argument);
}
/* If the process is killed, write the first half: a kill may happen in the middle. */
ssize_t write(int file, const void* bytes, size_t size) {
  REAL(write);
  char path[4096];
  if (number == SIGKILL && wanted && strcmp(wanted, "write") == 0 && below(path_of(file, path)) && calls[2] + 1 == at &&
      real(file, bytes, size / 2) < 0)
    return -1;
  return fails_on("write", file) ? -1 : real(file, bytes, size);
}
int fsync(int file) {
  REAL(fsync);
  return fails_on("fsync", file) ? -1 : real(file);
}
int close(int file) {
  REAL(close);
  const int failing = fails_on("close", file), saved = errno;
  const int result = real(file); /* the descriptor is released even if close fails */
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
