#pragma once

#include <string>

namespace ulmus::cli {

/// After this call the first SIGINT or SIGTERM ends the program with exit code 130: immediately or, while a
/// GracefulStop exists, when that has ended, at most a few seconds later. Temporary files are removed. The second
/// signal ends it immediately.
void watch_signals();

/// Returns whether a signal requested a stop.
bool stop_requested() noexcept;

/// While an object exists, the running code polls stop_requested() and ends by itself.
class GracefulStop {
 public:
  /// `message` is printed if stopping takes too long.
  explicit GracefulStop(std::string message);
  ~GracefulStop();
  GracefulStop(const GracefulStop&) = delete;
  GracefulStop& operator=(const GracefulStop&) = delete;
};

}  // namespace ulmus::cli
