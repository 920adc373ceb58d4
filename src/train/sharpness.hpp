#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <span>

namespace ulmus::detail {

/// Sharpness-aware minimisation (Foret et al., ICLR 2021, algorithm 1): replaces the gradient g of the optimizer's
/// parameters w by the gradient of the same batch at
///
///     w + rho g / |g|
///
/// with |g| the Euclidean norm over all parameters that have a gradient. The weights are then w again, bit for bit, and
/// the optimizer's own step follows. Weight decay belongs to that step, not to the ascent. Buffers, as the statistics
/// of batch norm, are those of the first pass. `backward` computes the loss at the present weights and its gradient,
/// and changes nothing else. Where g is 0 or not finite, it stays.
void sharpness_aware_gradient(torch::optim::Optimizer& optimizer, const torch::nn::Module& model, double rho,
                              const std::function<void()>& backward);

/// Focal-SAM (Li et al., ICML 2025, arXiv 2505.01660): with L the loss of the batch, whose gradient the parameters
/// have, and F the same sum with sample i times (1 - n[y_i] / N)^gamma, the gradient becomes that of
///
///     L(w) - sharpness F(w) + sharpness F(w + rho g / |g|),  g the gradient of F at w.
///
/// With gamma = 0 and sharpness = 1 it is sharpness_aware_gradient. `backward` computes F at the present weights and
/// its gradient, here twice. Else as above.
void focal_sharpness_aware_gradient(torch::optim::Optimizer& optimizer, const torch::nn::Module& model, double rho,
                                    double sharpness, const std::function<void()>& backward);

/// The class weights of F, (1 - n[j] / N)^gamma: float [C].
torch::Tensor focal_class_weights(std::span<const std::int64_t> counts, double gamma);

/// Logits [N, C] of the same values, through which the gradient of row i passes `weights[labels[i]]` times.
torch::Tensor with_row_gradients(const torch::Tensor& logits, const torch::Tensor& labels,
                                 const torch::Tensor& weights);

}  // namespace ulmus::detail
