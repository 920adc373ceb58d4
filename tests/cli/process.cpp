#include "cli/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
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
    std::array<int, 2> out, err;
    if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0)
      throw std::runtime_error("no pipe for the program");
    pid_ = ::fork();
    if (pid_ == 0) {
      const auto stream = [](const std::filesystem::path& path, int captured) {
        return path.empty() ? captured : ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
      };
      ::dup2(stream(place.standard_output, out[1]), STDOUT_FILENO);
      ::dup2(stream(place.standard_error, err[1]), STDERR_FILENO);
      ::dup2(::open("/dev/null", O_RDONLY), STDIN_FILENO);
      become_program(arguments, place);
    }
    ::close(out[1]);
    ::close(err[1]);
    out_ = out[0];
    err_ = err[0];
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
  Outcome outcome;
  const auto deadline = Clock::now() + std::chrono::minutes(1);
  while (out_ >= 0 || err_ >= 0) {
    std::array<pollfd, 2> files{pollfd{out_, POLLIN, 0}, pollfd{err_, POLLIN, 0}};
    ::poll(files.data(), files.size(), 1000);
    if (files[0].revents != 0) drain(out_, outcome.out);
    if (files[1].revents != 0) drain(err_, outcome.err);
    if (Clock::now() > deadline) signal(SIGKILL);
  }
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return outcome;
}

Outcome ulmus(const Arguments& arguments, const Place& place) { return Process(arguments, place).wait(); }

std::vector<Outcome> ulmus_each(const std::vector<Arguments>& commands, const Place& place) {
  std::vector<Outcome> outcomes;
  for (std::size_t i = 0; i < commands.size(); i += 2) {
    Process first(commands[i], place);
    if (i + 1 == commands.size()) {
      outcomes.push_back(first.wait());
    } else {
      Process second(commands[i + 1], place);
      outcomes.push_back(first.wait());
      outcomes.push_back(second.wait());
    }
  }
  return outcomes;
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
