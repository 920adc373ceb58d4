#include "ulmus/base/option_name.hpp"

#include <atomic>

namespace ulmus {
namespace {

std::atomic<OptionSpelling> g_spelling{nullptr};

}  // namespace

std::string option_name(std::string_view name, std::string_view value) {
  if (const OptionSpelling spelling = g_spelling.load()) return spelling(name, value);
  return value.empty() ? std::string(name) : std::string(name).append("=").append(value);
}

void set_option_spelling(OptionSpelling spelling) noexcept { g_spelling.store(spelling); }

}  // namespace ulmus
