#pragma once

#include <string>

namespace ulmus::cli {

/// From now on the first SIGINT or SIGTERM ends the program with exit code 130: at once, or where an Orderly lives,
/// when that has come to its end, at most some seconds later. Temporary files are removed. The second ends it at once.
void watch_signals();

/// Whether a signal asked for the end.
bool stop_requested() noexcept;

/// While one lives, what runs asks stop_requested() and ends by itself.
class Orderly {
 public:
  /// `message` is said if it takes too long.
  explicit Orderly(std::string message);
  ~Orderly();
  Orderly(const Orderly&) = delete;
  Orderly& operator=(const Orderly&) = delete;
};

}  // namespace ulmus::cli
