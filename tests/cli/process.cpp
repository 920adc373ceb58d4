#include "cli/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include "ulmus/base/text.hpp"

namespace ulmus::cli_test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Runs in the child; never returns.
[[noreturn]] void become_program(const Arguments& arguments, const Place& place) {
  std::vector<char*> values{const_cast<char*>(ULMUS_PROGRAM)};
  for (const std::string& argument : arguments) values.push_back(const_cast<char*>(argument.c_str()));
  values.push_back(nullptr);
  for (const auto& [name, value] : place.environment) ::setenv(name.c_str(), value.c_str(), 1);
  for (const int stream : place.closed) ::close(stream);
  for (const Limit& limit : place.limits) {
    const rlimit both{limit.most, limit.most};
    ::setrlimit(static_cast<__rlimit_resource>(limit.resource), &both);
  }
  if (::chdir(place.folder.c_str()) == 0) ::execv(ULMUS_PROGRAM, values.data());
  ::_exit(127);
}

struct Pipe {
  Pipe() {
    std::array<int, 2> files;
    if (::pipe2(files.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe for the program");
    begin = files[0];
    end = files[1];
  }
  int begin, end;
};

/// The file for a stream of the program.
int stream(const std::filesystem::path& path, const Pipe& captured) {
  return path.empty() ? captured.end : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
}

/// Reads the available text; closes the file at its end. A pseudo-terminal ends with EIO.
void drain(int& file, std::string& text) {
  std::array<char, 65536> buffer;
  const ssize_t came = ::read(file, buffer.data(), buffer.size());
  if (came > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(came));
  } else {
    ::close(file);
    file = -1;
  }
}

/// Reads both streams to their ends, for a minute at most.
Outcome read_all(int& out, int& err, const std::function<void()>& kill) {
  Outcome outcome;
  const auto deadline = Clock::now() + std::chrono::minutes(1);
  while (out >= 0 || err >= 0) {
    std::array<pollfd, 2> files{pollfd{out, POLLIN, 0}, pollfd{err, POLLIN, 0}};
    ::poll(files.data(), files.size(), 1000);
    if (files[0].revents != 0) drain(out, outcome.out);
    if (files[1].revents != 0) drain(err, outcome.err);
    if (Clock::now() > deadline) kill();
  }
  return outcome;
}

int exit_code(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }

/// The program, loaded once, and forked for each run (fork_server.c).
class LoadedProgram {
 public:
  LoadedProgram() {
    std::array<int, 2> sockets;
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) != 0)
      throw std::runtime_error("no socket for the program");
    const pid_t server = ::fork();
    if (server == 0) {
      // The socket stays open when the program begins; a file of the test does not.
      const int socket = STDERR_FILENO + 1;
      if (::dup2(sockets[1], socket) == sockets[1]) ::fcntl(socket, F_SETFD, 0);
      ::close_range(socket + 1, ~0U, 0);
      ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
      become_program(
          {}, {.environment = {{"LD_PRELOAD", ULMUS_FORK_SERVER}, {"ULMUS_FORK_SERVER", std::to_string(socket)}}});
    }
    ::close(sockets[1]);
    socket_ = sockets[0];
  }

  Outcome run(const Arguments& arguments, const Place& place) const {
    Pipe out, err;
    std::string request = std::filesystem::absolute(place.folder).string() + '\0';
    for (const std::string& argument : arguments) request += argument + '\0';
    const std::array files{stream(place.standard_output, out), stream(place.standard_error, err)};
    send_request(request, files);
    for (const int file : std::set{out.end, err.end, files[0], files[1]}) ::close(file);
    const pid_t child = receive();
    Outcome outcome = read_all(out.begin, err.begin, [child] { ::kill(child, SIGKILL); });
    outcome.code = exit_code(receive());
    return outcome;
  }

 private:
  void send_request(std::string& text, std::array<int, 2> files) const {
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof files)> control{};
    iovec bytes{text.data(), text.size()};
    msghdr message{.msg_name = nullptr,
                   .msg_namelen = 0,
                   .msg_iov = &bytes,
                   .msg_iovlen = 1,
                   .msg_control = control.data(),
                   .msg_controllen = control.size(),
                   .msg_flags = 0};
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof files);
    std::memcpy(CMSG_DATA(header), files.data(), sizeof files);
    if (::sendmsg(socket_, &message, MSG_NOSIGNAL) < 0) throw std::runtime_error("the program takes no request");
  }

  int receive() const {
    int number = 0;
    if (::recv(socket_, &number, sizeof number, 0) != sizeof number) throw std::runtime_error("the program has ended");
    return number;
  }

  int socket_;
};

}  // namespace

std::vector<std::string> Outcome::error_lines() const {
  std::vector<std::string> lines = split(err, '\n');
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome) {
  return stream << "exit code " << outcome.code << "\n--- stdout\n" << outcome.out << "--- stderr\n" << outcome.err;
}

Process::Process(const Arguments& arguments, const Place& place) {
  if (place.terminal) {
    const winsize size{.ws_row = 30, .ws_col = 120, .ws_xpixel = 0, .ws_ypixel = 0};
    pid_ = ::forkpty(&err_, nullptr, nullptr, &size);
    if (pid_ == 0) become_program(arguments, place);
  } else {
    const Pipe out, err;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(stream(place.standard_output, out), STDOUT_FILENO);
      ::dup2(stream(place.standard_error, err), STDERR_FILENO);
      ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
      become_program(arguments, place);
    }
    ::close(out.end);
    ::close(err.end);
    out_ = out.begin;
    err_ = err.begin;
  }
  if (pid_ < 0) throw std::runtime_error("the program cannot be started");
}

Process::~Process() {
  if (pid_ > 0) {
    signal(SIGKILL);
    wait();
  }
}

void Process::signal(int number) const { ::kill(pid_, number); }

bool Process::stops() const {
  siginfo_t news{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &news, WSTOPPED | WEXITED | WNOWAIT) == 0 &&
         news.si_code == CLD_STOPPED;
}

Outcome Process::wait() {
  Outcome outcome = read_all(out_, err_, [this] { signal(SIGKILL); });
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  outcome.code = exit_code(status);
  return outcome;
}

Outcome ulmus(const Arguments& arguments, const Place& place) {
  if (place.terminal || !place.closed.empty() || !place.limits.empty() || !place.environment.empty())
    return Process(arguments, place).wait();
  static const LoadedProgram program;
  return program.run(arguments, place);
}

bool appears(const std::filesystem::path& path) {
  const auto deadline = Clock::now() + std::chrono::seconds(30);
  while (!std::filesystem::exists(path)) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(milliseconds(2));
  }
  return true;
}

Arguments operator+(Arguments first, const Arguments& rest) {
  first.insert(first.end(), rest.begin(), rest.end());
  return first;
}

}  // namespace ulmus::cli_test
