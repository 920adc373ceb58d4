#include "ulmus/base/log.hpp"

#include <spdlog/spdlog.h>

#include <mutex>
#include <set>

namespace ulmus {

void announce_once(const std::string& topic, const std::string& message) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(topic).second) spdlog::warn("{}", message);
}

}  // namespace ulmus
