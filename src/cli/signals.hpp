#pragma once

#include <string>

namespace ulmus::cli {

/// From now on the first SIGINT or SIGTERM ends the program with exit code 130: at once, or where a GracefulStop lives,
/// when that has come to its end, at most some seconds later. Temporary files are removed. The second ends it at once.
void watch_signals();

/// Whether a signal asked for the end.
bool stop_requested() noexcept;

/// While one lives, what runs asks stop_requested() and ends by itself.
class GracefulStop {
 public:
  /// `message` is said if it takes too long.
  explicit GracefulStop(std::string message);
  ~GracefulStop();
  GracefulStop(const GracefulStop&) = delete;
  GracefulStop& operator=(const GracefulStop&) = delete;
};

}  // namespace ulmus::cli
