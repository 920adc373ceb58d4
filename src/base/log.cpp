#include "ulmus/base/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <set>
#include <string_view>

#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

/// Logs to standard error, so that results on standard output stay clean; a program may register its own logger
/// "ulmus".
std::shared_ptr<spdlog::logger> logger() {
  if (auto registered = spdlog::get("ulmus")) return registered;
  return spdlog::stderr_color_mt("ulmus");
}

}  // namespace

void warn_once(const std::string& topic, const std::string& message) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(topic).second) logger()->warn("{}", printable(message, std::string_view::npos));
}

}  // namespace ulmus
