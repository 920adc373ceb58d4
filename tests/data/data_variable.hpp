#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace ulmus::test {

/// Sets $ULMUS_DATA for the duration of a test.
class DataVariable {
 public:
  explicit DataVariable(const char* value) {
    if (const char* old = std::getenv("ULMUS_DATA")) old_ = old;
    value != nullptr ? ::setenv("ULMUS_DATA", value, 1) : ::unsetenv("ULMUS_DATA");
  }
  ~DataVariable() { old_ ? ::setenv("ULMUS_DATA", old_->c_str(), 1) : ::unsetenv("ULMUS_DATA"); }
  DataVariable(const DataVariable&) = delete;
  DataVariable& operator=(const DataVariable&) = delete;

 private:
  std::optional<std::string> old_;
};

}  // namespace ulmus::test
