#pragma once

#include <torch/torch.h>

#include "ulmus/data/dataset.hpp"
#include "ulmus/nn/model.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// The device and number format for a backbone's computations.
struct Placement {
  torch::Device device = torch::kCPU;
  bool channels_last = false;
  bool bf16 = false;  ///< convolutions and products of the backbone in bfloat16
};

/// From the options `device`, `channels_last` and `autocast`. Throws Error{usage} for an unknown word, and
/// Error{environment} for an unavailable device. Warns once if bfloat16 is slow.
Placement make_placement(const RunOptions& options);

/// Moves a model to the device; call it before its optimizer is made.
void place(Classifier& model, const Placement& placement);

/// Computes the features of CPU inputs as float on the placement's device, so that head and loss are computed in float.
torch::Tensor compute_features(Classifier& model, const torch::Tensor& images, const Placement& placement);

}  // namespace ulmus::detail
