#pragma once

#include <nlohmann/json_fwd.hpp>

namespace ulmus {

template <class T, class = void>
struct ExactSerializer;

/// nlohmann::json that reads integers exactly or throws; defined in ulmus/base/json.hpp.
using Json = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t, double,
                                  std::allocator, ExactSerializer>;

}  // namespace ulmus
