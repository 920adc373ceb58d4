#include "train/derived_options.hpp"

#include "train/optimizer_spec.hpp"

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

bool trains_head_alone(const RunOptions& options) {
  if (options.model == "linear") return true;
  return options.model != "mlp" && options.freeze == "backbone" &&
         (options.augment == "none" || options.views || options.unfreeze);
}

HeadFitOptions head_fit_options(const RunOptions& options, std::uint64_t seed) {
  HeadFitOptions fit{.batch_size = options.batch_size, .reduction = requested_reduction(options), .seed = seed};
  if (!trains_head_alone(options)) return fit;
  fit.epochs = options.epochs.value();
  fit.schedule = LearningRateSchedule::parse_kind(options.schedule);
  fit.warmup = options.warmup;
  fit.defers = true;
  // Another optimizer has rates of its own.
  if (OptimizerSpec::parse(options.optimizer).base != "sgd") return fit;
  fit.lr = options.lr;
  fit.momentum = options.momentum;
  fit.weight_decay = options.weight_decay.value();
  return fit;
}

}  // namespace ulmus::detail
