#include "ulmus/base/error.hpp"

#include <string_view>

#include "ulmus/base/text.hpp"

namespace ulmus {

Error::Error(ErrorKind kind, const std::string& message)
    : std::runtime_error(printable(message, std::string_view::npos)), kind_(kind) {}

void throw_usage(const std::string& message) { throw Error(ErrorKind::usage, message); }

}  // namespace ulmus
