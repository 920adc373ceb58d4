#include "ulmus/data/dataset.hpp"

#include <fmt/format.h>

#include <array>

#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

constexpr std::string_view k_folder = "folder:";

[[noreturn]] void unknown_address(std::string_view address) {
  std::error_code ignored;
  if (!address.empty() && std::filesystem::is_directory(address, ignored))
    throw Error(ErrorKind::usage,
                fmt::format("data address '{}' is a folder; write it as 'folder:{}'", address, address));

  const std::size_t colon = address.find(':');
  const std::string_view place = colon == std::string_view::npos ? "DIR" : address.substr(colon + 1);
  const std::array<std::string, 3> known{"fashion-mnist", "mnist", fmt::format("{}{}", k_folder, place)};
  throw Error(ErrorKind::usage, fmt::format("unknown data address '{}'; {}", address, suggest(address, known)));
}

}  // namespace

std::vector<std::int64_t> Dataset::counts() const {
  std::vector<std::int64_t> counts(class_names.size(), 0);
  for (const std::int64_t label : labels) ++counts[static_cast<std::size_t>(label)];
  return counts;
}

OpenedData open_data(std::string_view address, const OpenOptions& options) {
  if (options.threads < 0)
    throw Error(ErrorKind::usage,
                fmt::format("decoding threads are {}, expected 0 (all cores) or more", options.threads));
  if (options.image_size && (*options.image_size < 1 || *options.image_size > detail::k_max_image_side))
    throw Error(ErrorKind::usage,
                fmt::format("--image-size is {}, expected 1 to {}", *options.image_size, detail::k_max_image_side));

  if (address == "folder" || address == k_folder)
    throw Error(ErrorKind::usage, fmt::format("data address '{}' names no folder; write 'folder:DIR'", address));

  OpenedData data;
  if (address.starts_with(k_folder))
    data = detail::open_folder(address.substr(k_folder.size()), options);
  else if (address == "fashion-mnist" || address == "mnist")
    data = detail::open_idx(address, options);
  else
    unknown_address(address);

  data.train.name = address;
  if (data.test) data.test->name = address;
  return data;
}

}  // namespace ulmus
