#pragma once

#include <torch/torch.h>

namespace ulmus {

/// The cosine head: z[j] = <h / max(|h|, 1e-12), W[j] / max(|W[j]|, 1e-12)>, without bias and scale; the loss
/// multiplies by its scale. LDAM-DRW calls it the normalised linear layer.
///
/// Maps features [N, D] to cosines [N, C] in [-1, 1]. `weight` is [C, D], one row per class.
class CosineLinearImpl : public torch::nn::Module {
 public:
  CosineLinearImpl(std::int64_t features, std::int64_t classes);

  torch::Tensor forward(const torch::Tensor& features);
  void pretty_print(std::ostream& stream) const override;

  torch::Tensor weight;
};
TORCH_MODULE(CosineLinear);

}  // namespace ulmus
