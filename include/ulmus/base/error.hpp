#pragma once

#include <stdexcept>
#include <string>

namespace ulmus {

/// The kind of mistake that an Error reports. The value is the exit code of the program `ulmus`.
enum class ErrorKind {
  usage = 2,          ///< an unknown name, a key out of range, an option that cannot apply
  data = 3,           ///< a file, image or label that is missing, damaged or inconsistent
  numerical = 4,      ///< a loss or gradient that is not finite
  environment = 5,    ///< disk full, no permission, no device
  interrupted = 130,  ///< stopped by the user
};

/// A mistake that the user can correct. `what()` is one line: what failed, what was given, what was expected, what to
/// do. The message may contain file names and external text unmodified: `what()` is printable(message).
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message);
  ErrorKind kind() const noexcept { return kind_; }
  int exit_code() const noexcept { return static_cast<int>(kind_); }

 private:
  ErrorKind kind_;
};

/// Throws Error{usage}.
[[noreturn]] void throw_usage(const std::string& message);

}  // namespace ulmus
