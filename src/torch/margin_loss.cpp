#include "ulmus/torch/margin_loss.hpp"

#include <fmt/format.h>

#include <limits>
#include <optional>

#include "ulmus/base/error.hpp"
#include "ulmus/base/log.hpp"

namespace ulmus {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

std::string describe(const Tensor& tensor) {
  return fmt::format("{} [{}] on {}", c10::toString(tensor.scalar_type()), fmt::join(tensor.sizes(), ", "),
                     tensor.device().str());
}

void check(const Tensor& logits, const Tensor& labels, const Loss& loss) {
  const auto refuse = [](const std::string& message) { throw Error(ErrorKind::data, message); };
  if (logits.dim() != 2 || !logits.is_floating_point())
    refuse(
        fmt::format("the logits are {}, expected floating point [N, {}]", describe(logits), loss.counts().classes()));
  if (labels.dim() != 1 || labels.scalar_type() != torch::kInt64 || labels.size(0) != logits.size(0))
    refuse(fmt::format("the labels are {}, expected Long [{}], one for each row of logits", describe(labels),
                       logits.size(0)));
  if (labels.device() != logits.device())
    refuse(fmt::format("the labels are on {} and the logits on {}, expected one device", labels.device().str(),
                       logits.device().str()));
  if (logits.size(1) != loss.counts().classes())
    refuse(fmt::format("the logits have {} columns, expected one for each of the {} class counts", logits.size(1),
                       loss.counts().classes()));
}

/// LibTorch's name of an element type of the kernel.
template <class T>
constexpr torch::ScalarType k_scalar_type = torch::CppTypeToScalarType<T>::value;
template <>
constexpr torch::ScalarType k_scalar_type<BFloat16> = torch::kBFloat16;
template <>
constexpr torch::ScalarType k_scalar_type<Half> = torch::kHalf;

template <class T>
double evaluate(const Tensor& logits, const LossBatch& batch, const Loss& loss, const Tensor& gradient) {
  const std::int64_t rows = logits.size(0), classes = logits.size(1);
  const MatrixView<const T> input(static_cast<const T*>(logits.data_ptr()), rows, classes, logits.stride(0));
  if (!gradient.defined()) return loss.evaluate(input, batch);
  return loss.evaluate(input, batch, MatrixView<T>(static_cast<T*>(gradient.data_ptr()), rows, classes));
}

/// Calls evaluate with the element type of the logits; nothing when the kernel has none for it.
template <class... T>
std::optional<double> evaluate_any(const Tensor& logits, const LossBatch& batch, const Loss& loss,
                                   const Tensor& gradient) {
  std::optional<double> value;
  ((logits.scalar_type() == k_scalar_type<T> && (value = evaluate<T>(logits, batch, loss, gradient), true)) || ...);
  return value;
}

bool has_kernel(const Tensor& logits) {
  const auto type = logits.scalar_type();
  return logits.device().is_cpu() &&
         (type == torch::kFloat || type == torch::kDouble || type == torch::kBFloat16 || type == torch::kHalf);
}

class FusedLoss : public torch::autograd::Function<FusedLoss> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& logits, const Tensor& labels, const Loss* loss,
                        Reduction reduction) {
    const Tensor rows = logits.size(1) > 0 && logits.stride(1) == 1 && logits.stride(0) >= logits.size(1)
                            ? logits
                            : logits.contiguous();
    const Tensor contiguous_labels = labels.contiguous();
    Tensor gradient;
    if (logits.requires_grad()) gradient = torch::empty(logits.sizes(), logits.options());
    const LossBatch batch{
        .labels = {contiguous_labels.data_ptr<std::int64_t>(), static_cast<std::size_t>(rows.size(0))},
        .reduction = reduction};
    const double value = evaluate_any<float, double, BFloat16, Half>(rows, batch, *loss, gradient).value();
    if (gradient.defined()) context->save_for_backward({gradient});
    return torch::scalar_tensor(value, logits.options().requires_grad(false));
  }

  static tensor_list backward(AutogradContext* context, tensor_list outer) {
    if (torch::GradMode::is_enabled())
      throw Error(ErrorKind::usage,
                  "the fused loss has no second derivative; use composed_loss where create_graph is needed");
    const Tensor gradient = context->get_saved_variables()[0];
    const bool unit = outer[0].item<double>() == 1;  // a plain backward(): spare a sweep over the gradient
    return {unit ? gradient : gradient * outer[0], Tensor(), Tensor(), Tensor()};
  }
};

Tensor class_vector(std::span<const double> values, const Tensor& like) {
  const auto size = static_cast<std::int64_t>(values.size());
  return torch::from_blob(const_cast<double*>(values.data()), {size}, torch::kDouble)
      .to(like.options().requires_grad(false), false, true);
}

}  // namespace

Tensor margin_loss(const Tensor& logits, const Tensor& labels, const Loss& loss, Reduction reduction) {
  check(logits, labels, loss);
  if (!has_kernel(logits)) {
    announce_once(fmt::format("no kernel {} {}", logits.device().str(), c10::toString(logits.scalar_type())),
                  fmt::format("no fused kernel for {} logits on {}: composed_loss takes over, slower",
                              c10::toString(logits.scalar_type()), logits.device().str()));
    return composed_loss(logits, labels, loss, reduction);
  }
  return FusedLoss::apply(logits, labels, &loss, reduction);
}

Tensor composed_loss(const Tensor& logits, const Tensor& labels, const Loss& loss, Reduction reduction) {
  check(logits, labels, loss);
  const RowTerms& terms = loss.terms();
  const bool narrow = logits.scalar_type() == torch::kHalf || logits.scalar_type() == torch::kBFloat16;
  const Tensor z = narrow ? logits.to(torch::kFloat) : logits;
  const Tensor column = labels.unsqueeze(1);

  Tensor v = z;
  if (!terms.slope.empty()) v = v * class_vector(terms.slope, z);
  if (!terms.offset.empty()) v = v + class_vector(terms.offset, z);
  Tensor true_logit = v.gather(1, column).squeeze(1);
  if (!terms.true_margin.empty()) true_logit = true_logit - class_vector(terms.true_margin, z).index_select(0, labels);
  if (!terms.rival_margin.empty()) {
    const Tensor rival = v.detach().scatter(1, column, -std::numeric_limits<double>::infinity()).argmax(1);
    true_logit = true_logit - class_vector(terms.rival_margin, z).index_select(0, rival);
  }
  const Tensor u = terms.scale * v.scatter(1, column, true_logit.unsqueeze(1));
  Tensor losses = u.logsumexp(1) - u.gather(1, column).squeeze(1);
  if (terms.focal_gamma != 0) losses = (-torch::expm1(-losses)).pow(terms.focal_gamma) * losses;

  const double count = reduction == Reduction::none ? 1 : static_cast<double>(logits.size(0));
  Tensor divisor = torch::scalar_tensor(count, z.options().requires_grad(false));
  if (const auto weights = loss.class_weights(); !weights.empty()) {
    const Tensor w = class_vector(weights, z).index_select(0, labels);
    losses = losses * w;
    if (reduction == Reduction::weighted_mean) divisor = w.sum();
  }
  const Tensor mean = losses.sum() / divisor.clamp_min(std::numeric_limits<float>::min());
  return narrow ? mean.to(logits.scalar_type()) : mean;
}

LossModuleImpl::LossModuleImpl(Loss loss, Reduction reduction) : loss_(std::move(loss)), reduction_(reduction) {}

Tensor LossModuleImpl::forward(const Tensor& logits, const Tensor& labels) {
  return margin_loss(logits, labels, loss_, reduction_);
}

void LossModuleImpl::pretty_print(std::ostream& stream) const {
  stream << "ulmus::LossModule(" << loss_.spec().text() << ", reduction=" << name_of(reduction_) << ")";
}

}  // namespace ulmus
