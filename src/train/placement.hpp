#pragma once

#include <torch/torch.h>

#include "ulmus/data/dataset.hpp"
#include "ulmus/nn/model.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// The device and the number format in which a backbone computes.
struct Placement {
  torch::Device device = torch::kCPU;
  bool channels_last = false;
  bool bf16 = false;  ///< the backbone's convolutions and products in bfloat16
};

/// As the options `device`, `channels_last` and `autocast` say. Throws Error{usage} for an unknown word,
/// Error{environment} for a device that is not there. Says once where bfloat16 is slow.
Placement make_placement(const RunOptions& options);

/// Moves a model there, before its optimizer is made.
void place(Classifier& model, const Placement& placement);

/// The features of images or features on the CPU, as float on the placement's device, so that head and loss are
/// computed in float.
torch::Tensor compute_features(Classifier& model, const torch::Tensor& images, const Placement& placement);

}  // namespace ulmus::detail
