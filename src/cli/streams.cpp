#include "cli/streams.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "ulmus/base/error.hpp"

namespace ulmus::cli {
namespace {

int g_output_error = 0;  // errno of the first failure

}  // namespace

void prepare_streams() {
  for (const int file : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(file, F_GETFD) < 0 && errno == EBADF)
      ::open("/dev/null", file == STDERR_FILENO ? O_WRONLY : O_RDONLY);  // returns the lowest free number, this one
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() && g_output_error == 0) g_output_error = errno;
}

void flush_results() {
  if (std::fflush(stdout) != 0 && g_output_error == 0) g_output_error = errno;
  if (g_output_error == 0 && std::ferror(stdout) == 0) return;
  throw Error(ErrorKind::environment,
              fmt::format("cannot write the result to standard output: {}; free space or send it elsewhere",
                          std::strerror(g_output_error == 0 ? EIO : g_output_error)));
}

void print_stderr(std::string_view text) noexcept {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace ulmus::cli
