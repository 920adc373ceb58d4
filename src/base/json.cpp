#include "ulmus/base/json.hpp"

#include <fmt/format.h>

#include <set>
#include <string>
#include <vector>

namespace ulmus {

Json parse_json(std::string_view text, std::size_t longest) {
  constexpr int k_deepest = 64;
  const auto throw_out_of_range = [](const std::string& why) {
    throw nlohmann::json::out_of_range::create(408, why, nullptr);
  };
  if (text.size() > longest)
    throw_out_of_range(fmt::format("{} bytes of JSON came, at most {} are read", text.size(), longest));
  // The parser takes a zero byte for the end of the text and would ignore the rest.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos)
    throw nlohmann::json::parse_error::create(101, zero + 1, "it contains a zero byte", nullptr);
  std::vector<std::set<std::string>> open_objects;  // names seen so far in each open object
  return Json::parse(text.begin(), text.end(), [&](int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    if ((event == Event::object_start || event == Event::array_start) && depth >= k_deepest)
      throw_out_of_range(fmt::format("it is nested deeper than {} levels", k_deepest));
    if (event == Event::object_start) open_objects.emplace_back();
    if (event == Event::object_end) open_objects.pop_back();
    if (event == Event::key && !open_objects.back().insert(value.get<std::string>()).second)
      throw_out_of_range(fmt::format("the name {} comes twice in one object", value.dump()));
    return true;
  });
}

}  // namespace ulmus
