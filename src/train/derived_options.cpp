#include "train/derived_options.hpp"

namespace ulmus::detail {

OpenOptions open_options(const RunOptions& options) {
  return {.data_root = options.data_root.value_or(""),
          .skip_bad = options.skip_bad,
          .image_size = options.image_size,
          .max_pixels = options.max_pixels,
          .image_bits = static_cast<int>(options.image_bits.value_or(0))};
}

ModelOptions model_options(const RunOptions& options, const Dataset& data, Head head) {
  return {.name = options.model,
          .channels = data.shape().channels,
          .height = data.shape().height,
          .width = data.shape().width,
          .classes = data.classes(),
          .head = head,
          .script = options.model_file.value_or("")};
}

std::optional<Reduction> requested_reduction(const RunOptions& options) {
  if (options.reduction == "auto") return std::nullopt;
  return parse_reduction(options.reduction);
}

HeadFitOptions head_fit_options(const RunOptions& options, std::uint64_t seed) {
  return {.batch_size = options.batch_size, .reduction = requested_reduction(options), .seed = seed};
}

}  // namespace ulmus::detail
