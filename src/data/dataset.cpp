#include "ulmus/data/dataset.hpp"

#include <fmt/format.h>

#include "data/sources.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {

namespace detail {

void refuse_image_options(const OpenOptions& options, std::string_view source) {
  if (options.image_size)
    throw Error(ErrorKind::usage,
                fmt::format("--image-size resizes image files, not what {} holds; leave it out", source));
  if (options.skip_bad)
    throw Error(ErrorKind::usage, fmt::format("--skip-bad passes over image files, {} has none; leave it out", source));
}

}  // namespace detail

OpenedData open_data(std::string_view address, const OpenOptions& options) {
  if (options.threads < 0)
    throw Error(ErrorKind::usage,
                fmt::format("decoding threads are {}, expected 0 (all cores) or more", options.threads));
  if (options.image_size && (*options.image_size < 1 || *options.image_size > detail::k_max_image_side))
    throw Error(ErrorKind::usage,
                fmt::format("--image-size is {}, expected 1 to {}", *options.image_size, detail::k_max_image_side));

  if (options.max_pixels < 1 || options.max_pixels > k_largest_max_pixels)
    throw Error(ErrorKind::usage,
                fmt::format("--max-pixels is {}, expected 1 to {}", options.max_pixels, k_largest_max_pixels));
  if (options.image_bits != 0 && (options.image_bits < 8 || options.image_bits > 16))
    throw Error(ErrorKind::usage, fmt::format("--image-bits is {}, expected 8 to 16, or 0 for as many as the data use",
                                              options.image_bits));

  const detail::Address parsed = detail::parse_address(address);
  OpenedData data;
  if (parsed.source == "folder")
    data = detail::open_folder(parsed.rest, options);
  else if (parsed.source == "list")
    data = detail::open_list(parsed, options);
  else if (parsed.source == "csv")
    data = detail::open_csv(parsed, options);
  else if (parsed.source == "npy")
    data = detail::open_npy(parsed, options);
  else if (parsed.source == "cifar10" || parsed.source == "cifar100")
    data = detail::open_cifar(parsed.source, options);
  else
    data = detail::open_idx(parsed.source, options);

  data.train.name = address;
  if (data.test) data.test->name = address;
  return data;
}

Dataset open_unlabelled(const std::filesystem::path& file, std::string_view address, const TableEncoding* encoding) {
  Dataset data = encoding ? detail::open_unlabelled_csv(file, detail::parse_address(address), *encoding)
                          : detail::open_unlabelled_npy(file);
  data.name = file.string();
  return data;
}

}  // namespace ulmus
