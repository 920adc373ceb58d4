#pragma once

#include <torch/torch.h>

#include "ulmus/loss/loss.hpp"

namespace ulmus {

/// What goes into a linear or cosine head, and the head: for the losses that look at these (`needs` in the family
/// table). Undefined tensors where there is nothing.
struct HeadInputs {
  torch::Tensor features;  ///< [N, D], the logits' floating dtype
  torch::Tensor weight;    ///< [C, D] of a linear head
  torch::Tensor bias;      ///< [C]
};

/// A loss of the family on tensors, differentiable in the logits, and in the features and the head where the loss is.
///
/// @param logits  [N, C], what the head gives (before the loss's scale); any floating dtype and device
/// @param labels  [N] int64, each in [0, C)
/// @param correct  takes the number of rows whose argmax is the label; the kernel knows it, other devices and dtypes
///                 take an argmax and wait for it. Null: not wanted
/// @return scalar of the logits' dtype
///
/// float, double, bfloat16 and half on the CPU run in the fused kernel, which makes the gradient in the forward call;
/// everything else in `composed_loss`, or on copies in the CPU's memory for the losses that composed_loss refuses;
/// announced once. The rival is constant for the gradient. Throws Error{data} for shapes, dtypes and labels that do not
/// fit, Error{usage} when a second derivative is asked for or the loss needs features that did not come.
torch::Tensor margin_loss(const torch::Tensor& logits, const torch::Tensor& labels, const Loss& loss,
                          Reduction reduction = Reduction::weighted_mean, const HeadInputs& head = {},
                          std::int64_t* correct = nullptr);

/// The same function written with tensor operations, from the numbers of the loss (KernelParams): for any device or
/// dtype, for second derivatives, and a second opinion on the kernel. bfloat16 and half are computed in float. The
/// offsets that some losses make (Loss::offsets) come from the loss room. Throws as margin_loss does, and Error{usage}
/// for a loss whose hooks compute a loss or a term of their own; the Python package has those composed, too.
torch::Tensor composed_loss(const torch::Tensor& logits, const torch::Tensor& labels, const Loss& loss,
                            Reduction reduction = Reduction::weighted_mean, const HeadInputs& head = {});

/// The loss as a module. In training mode a call also moves the state that a loss carries (Loss::apply_update).
///
///     ulmus::LossModule criterion(ulmus::Loss(ulmus::LossSpec::parse("elm+drw"), counts));
///     criterion->set_epoch(epoch, epochs);
///     criterion(model(images), labels).backward();
class LossModuleImpl : public torch::nn::Module {
 public:
  explicit LossModuleImpl(Loss loss, Reduction reduction = Reduction::weighted_mean);

  /// `correct` as margin_loss takes it.
  torch::Tensor forward(const torch::Tensor& logits, const torch::Tensor& labels, const HeadInputs& head = {},
                        std::int64_t* correct = nullptr);

  /// Where training is, for deferred weights and losses that are plain at first.
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
