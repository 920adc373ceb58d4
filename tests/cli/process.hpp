#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "has.hpp"

namespace ulmus::cli_test {

using Arguments = std::vector<std::string>;

/// The result of a run of the program.
struct Outcome {
  int code = -1;  ///< exit code, or minus the signal that ended it
  std::string out;
  std::string err;

  std::vector<std::string> error_lines() const;
};

/// Makes failed expectations show the program's output.
std::ostream& operator<<(std::ostream& stream, const Outcome& outcome);

/// In the form of setrlimit().
struct Limit {
  int resource;
  std::uint64_t most;
};

struct Place {
  std::filesystem::path folder = ".";     ///< working folder
  std::filesystem::path standard_output;  ///< empty: captured
  std::filesystem::path standard_error;   ///< empty: captured
  std::vector<int> closed = {};           ///< standard streams that are closed
  bool terminal = false;                  ///< run on a pseudo-terminal; `err` then contains everything written to it
  std::vector<Limit> limits = {};
  std::vector<std::pair<std::string, std::string>> environment = {};  ///< in addition to that of the tests
};

/// A running process of the program `ulmus`, started without a shell.
class Process {
 public:
  Process(const Arguments& arguments, const Place& place = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void signal(int number) const;

  /// Waits until it has been stopped by SIGSTOP; false if it has ended.
  bool stops() const;

  /// Waits for its end; kills a program that does not end within a minute.
  Outcome wait();

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
};

/// Runs the program to its end. Where only the folder and the standard streams are special, the test loads the program
/// once and forks it for each run.
Outcome ulmus(const Arguments& arguments, const Place& place = {});

/// Waits until `path` exists; false after half a minute.
bool appears(const std::filesystem::path& path);

/// `first` followed by `rest`.
Arguments operator+(Arguments first, const Arguments& rest);

}  // namespace ulmus::cli_test
