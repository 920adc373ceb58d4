/* A library to preload: the program stops before its main function, when its libraries are loaded, and runs main in a
 * child for each request. Loading takes most of a second, a child some milliseconds.
 *
 * ULMUS_FORK_SERVER is the number of a socket that keeps messages apart. A request is the working folder and the
 * arguments, each followed by a zero byte, with the files for standard output and standard error. The answers are the
 * process number of the child and, at its end, its status in the form of waitpid(). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int Main(int, char**, char**);
typedef int Start(Main*, int, char**, void (*)(void), void (*)(void), void (*)(void), void*);

enum { k_most_bytes = 1 << 17, k_most_arguments = 1000 };
static char request[k_most_bytes];
static char* arguments[k_most_arguments + 1];

/* Returns the length of the request, 0 at the end of the socket. */
static ssize_t receive(int socket, int files[2]) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
  } control;
  struct iovec text = {request, sizeof request};
  struct msghdr message = {
      .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  const ssize_t size = recvmsg(socket, &message, 0);
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) _exit(127);  // the test then says that the program has ended
  if (size > 0) memcpy(files, CMSG_DATA(&control.header), 2 * sizeof(int));
  return size;
}

int __libc_start_main(Main* program, int count, char** values, void (*init)(void), void (*fini)(void),
                      void (*end_of_loader)(void), void* stack) {
  Start* start = (Start*)dlsym(RTLD_NEXT, "__libc_start_main");
  const char* number = getenv("ULMUS_FORK_SERVER");
  if (!number) return start(program, count, values, init, fini, end_of_loader, stack);
  const int socket = atoi(number);
  unsetenv("ULMUS_FORK_SERVER");
  unsetenv("LD_PRELOAD");

  int files[2];
  for (ssize_t size; (size = receive(socket, files)) > 0;) {
    const pid_t child = fork();
    if (child == 0) {
      close(socket);
      for (int i = 0; i < 2; ++i) {
        dup2(files[i], STDOUT_FILENO + i);
        close(files[i]);
      }
      if (chdir(request) != 0) _exit(127);
      int given = 0;
      arguments[given++] = values[0];
      for (char* next = request + strlen(request) + 1; next < request + size; next += strlen(next) + 1) {
        if (given == k_most_arguments) _exit(127);
        arguments[given++] = next;
      }
      return start(program, given, arguments, init, fini, end_of_loader, stack);
    }
    close(files[0]);
    close(files[1]);
    int status = 0;
    send(socket, &child, sizeof child, MSG_NOSIGNAL);
    waitpid(child, &status, 0);
    send(socket, &status, sizeof status, MSG_NOSIGNAL);
  }
  _exit(0);
}
