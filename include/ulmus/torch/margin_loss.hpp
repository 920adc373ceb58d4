#pragma once

#include <torch/torch.h>

#include "ulmus/loss/loss.hpp"

namespace ulmus {

/// The input of a linear or cosine head, and the head, for losses that use them (`needs` in LossDefinition). Unused
/// tensors are undefined.
struct HeadInputs {
  torch::Tensor features;  ///< [N, D], same floating dtype as the logits
  torch::Tensor weight;    ///< [C, D] of a linear head
  torch::Tensor bias;      ///< [C]
};

/// A loss of the family on tensors, differentiable with respect to the logits and, if the loss uses them, the features
/// and the head.
///
/// @param logits  [N, C], the output of the head (before the loss's scale); any floating dtype and device
/// @param labels  [N] int64, each in [0, C)
/// @param correct  receives the number of rows whose argmax is the label. The kernel computes it anyway; other devices
///                 and dtypes compute an argmax and synchronise. Null: not computed
/// @return scalar of the logits' dtype
///
/// float, double, bfloat16 and half on the CPU run in the fused kernel, which computes the gradient in the forward
/// call. Everything else runs in `composed_loss` or, for losses that composed_loss does not support, on copies in CPU
/// memory; a message is logged once. The rival is constant for the gradient. Throws Error{data} for shapes, dtypes and
/// labels that do not match, and Error{usage} if a second derivative is requested or required features are missing.
torch::Tensor margin_loss(const torch::Tensor& logits, const torch::Tensor& labels, const Loss& loss,
                          Reduction reduction = Reduction::weighted_mean, const HeadInputs& head = {},
                          std::int64_t* correct = nullptr);

/// The same function composed of tensor operations, from the parameters of the loss (KernelParams): for any device or
/// dtype, for second derivatives, and as an independent check of the kernel. bfloat16 and half are computed in float.
/// The offsets of some losses (Loss::offsets) come from the loss module. Throws as margin_loss does, and Error{usage}
/// for a loss whose hooks compute their own loss or term; the Python package composes those, too.
torch::Tensor composed_loss(const torch::Tensor& logits, const torch::Tensor& labels, const Loss& loss,
                            Reduction reduction = Reduction::weighted_mean, const HeadInputs& head = {});

/// The loss as a module. In training mode a call also updates the state of the loss (Loss::apply_update).
///
///     ulmus::LossModule criterion(ulmus::Loss(ulmus::LossSpec::parse("elm+drw"), counts));
///     criterion->set_epoch(epoch, epochs);
///     criterion(model(images), labels).backward();
class LossModuleImpl : public torch::nn::Module {
 public:
  explicit LossModuleImpl(Loss loss, Reduction reduction = Reduction::weighted_mean);

  /// `correct` as for margin_loss.
  torch::Tensor forward(const torch::Tensor& logits, const torch::Tensor& labels, const HeadInputs& head = {},
                        std::int64_t* correct = nullptr);

  /// Sets the current epoch, for deferred weights and losses that start as plain cross entropy.
  void set_epoch(std::int64_t epoch, std::int64_t epochs) { loss_.set_epoch(epoch, epochs); }

  const Loss& loss() const { return loss_; }
  Reduction reduction() const { return reduction_; }
  void set_state(LossState state) { loss_.set_state(std::move(state)); }
  void pretty_print(std::ostream& stream) const override;

 private:
  Loss loss_;
  Reduction reduction_;
};
TORCH_MODULE(LossModule);

}  // namespace ulmus
