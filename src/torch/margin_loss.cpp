#include "ulmus/torch/margin_loss.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "torch/check.hpp"
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

}  // namespace

void detail::check_tensors(const Tensor& logits, const Tensor& labels, const Loss& loss, const HeadInputs& head) {
  const auto reject = [](const std::string& message) { throw Error(ErrorKind::data, message); };
  if (logits.dim() != 2 || !logits.is_floating_point())
    reject(
        fmt::format("the logits are {}, expected floating point [N, {}]", describe(logits), loss.counts().classes()));
  if (labels.dim() != 1 || labels.scalar_type() != torch::kInt64 || labels.size(0) != logits.size(0))
    reject(fmt::format("the labels are {}, expected Long [{}], one for each row of logits", describe(labels),
                       logits.size(0)));
  if (labels.device() != logits.device())
    reject(fmt::format("the labels are on {} and the logits on {}, expected one device", labels.device().str(),
                       logits.device().str()));
  if (logits.size(1) != loss.counts().classes())
    reject(fmt::format("the logits have {} columns, expected one for each of the {} class counts", logits.size(1),
                       loss.counts().classes()));
  if (head.features.defined() && (head.features.dim() != 2 || head.features.size(0) != logits.size(0)))
    reject(fmt::format("the features are {}, expected [{}, D]", describe(head.features), logits.size(0)));
}

namespace {

/// LibTorch's dtype for an element type of the kernel.
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

/// Calls evaluate with the element type of the logits; returns nothing if the kernel does not support it.
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

/// A matrix of the head in double, as required by losses that read it, and a buffer for its gradient.
struct InDouble {
  Tensor values, gradient;

  InDouble(const Tensor& tensor, bool used) {
    if (!used || !tensor.defined() || tensor.numel() == 0) return;
    values = tensor.detach().to(torch::kDouble).contiguous();
    if (tensor.requires_grad()) gradient = torch::zeros_like(values);
  }
  template <class T = const double>
  static MatrixView<T> matrix(const Tensor& of) {
    return of.defined() ? MatrixView<T>(of.data_ptr<double>(), of.size(0), of.size(1)) : MatrixView<T>();
  }
  template <class T = const double>
  static std::span<T> vector(const Tensor& of) {
    return of.defined() ? std::span<T>(of.data_ptr<double>(), static_cast<std::size_t>(of.numel())) : std::span<T>();
  }
};

/// All head inputs in double.
struct HeadInDouble {
  InDouble features, weight, bias;

  HeadInDouble(const Loss& loss, const HeadInputs& head)
      : features(head.features, loss.spec().definition().needs.features),
        weight(head.weight, loss.spec().definition().needs.head),
        bias(head.bias, loss.spec().definition().needs.head) {}

  FeatureBatch view() const {
    return {.features = InDouble::matrix(features.values),
            .gradient = InDouble::matrix<double>(features.gradient),
            .head_weight = InDouble::matrix(weight.values),
            .head_weight_gradient = InDouble::matrix<double>(weight.gradient),
            .head_bias = InDouble::vector(bias.values),
            .head_bias_gradient = InDouble::vector<double>(bias.gradient)};
  }
};

std::span<const std::int64_t> span_of(const Tensor& labels) {
  return {labels.data_ptr<std::int64_t>(), static_cast<std::size_t>(labels.size(0))};
}

class FusedLoss : public torch::autograd::Function<FusedLoss> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& logits, const Tensor& labels, const Tensor& features,
                        const Tensor& weight, const Tensor& bias, const Loss* loss, Reduction reduction,
                        std::int64_t* correct) {
    const Tensor rows = logits.size(1) > 0 && logits.stride(1) == 1 && logits.stride(0) >= logits.size(1)
                            ? logits
                            : logits.contiguous();
    const Tensor contiguous_labels = labels.contiguous();
    Tensor gradient;
    if (logits.requires_grad()) gradient = torch::empty(logits.sizes(), logits.options());
    const HeadInDouble head(*loss, {features, weight, bias});
    std::vector<std::uint8_t> is_correct(correct == nullptr ? 0 : static_cast<std::size_t>(rows.size(0)));
    const LossBatch batch{
        .labels = span_of(contiguous_labels), .reduction = reduction, .correct = is_correct, .features = head.view()};
    const double value = evaluate_any<float, double, BFloat16, Half>(rows, batch, *loss, gradient).value();
    if (correct != nullptr) *correct = std::count(is_correct.begin(), is_correct.end(), 1);
    tensor_list saved;
    for (const auto& [of, input] : {std::pair(gradient, logits), std::pair(head.features.gradient, features),
                                    std::pair(head.weight.gradient, weight), std::pair(head.bias.gradient, bias)})
      saved.push_back(of.defined() ? of.to(input.scalar_type()) : Tensor());
    context->save_for_backward(saved);
    return torch::scalar_tensor(value, logits.options().requires_grad(false));
  }

  static tensor_list backward(AutogradContext* context, tensor_list outer) {
    if (torch::GradMode::is_enabled())
      throw Error(ErrorKind::usage,
                  "the fused loss has no second derivative; use composed_loss where create_graph is needed");
    const bool unit = outer[0].item<double>() == 1;  // a plain backward(): saves a pass over the gradient
    tensor_list gradients = context->get_saved_variables();
    for (Tensor& gradient : gradients)
      if (gradient.defined() && !unit) gradient = gradient * outer[0];
    return {gradients[0], Tensor(), gradients[1], gradients[2], gradients[3], Tensor(), Tensor(), Tensor()};
  }
};

template <class T>
std::vector<double> collect_update_as(const Loss& loss, const Tensor& rows, const LossBatch& batch) {
  return loss.collect_update(MatrixView<const T>(static_cast<const T*>(rows.data_ptr()), rows.size(0), rows.size(1)),
                             batch);
}

}  // namespace

std::vector<double> detail::collect_update(const Loss& loss, const Tensor& logits, const Tensor& labels,
                                           const HeadInputs& head) {
  const auto on_cpu = [](const Tensor& tensor) { return tensor.defined() ? tensor.to(torch::kCPU) : Tensor(); };
  const Tensor rows = logits.detach().to(torch::kCPU).contiguous(), targets = labels.to(torch::kCPU).contiguous();
  const HeadInDouble inputs(loss, {on_cpu(head.features), on_cpu(head.weight), on_cpu(head.bias)});
  const LossBatch batch{.labels = span_of(targets), .features = inputs.view()};
  switch (rows.scalar_type()) {
    case torch::kFloat:
      return collect_update_as<float>(loss, rows, batch);
    case torch::kBFloat16:
      return collect_update_as<BFloat16>(loss, rows, batch);
    case torch::kHalf:
      return collect_update_as<Half>(loss, rows, batch);
    default:
      return collect_update_as<double>(loss, rows.to(torch::kDouble), batch);
  }
}

namespace {

/// Runs the kernel on double copies in CPU memory; autograd transfers the gradients back.
Tensor on_host(const Tensor& logits, const Tensor& labels, const Loss& loss, Reduction reduction,
               const HeadInputs& head) {
  const auto copy = [](const Tensor& tensor) {
    return tensor.defined() ? tensor.to(torch::kCPU, torch::kDouble) : tensor;
  };
  const Tensor value = margin_loss(copy(logits), labels.to(torch::kCPU), loss, reduction,
                                   {copy(head.features), copy(head.weight), copy(head.bias)});
  return value.to(logits.device(), logits.scalar_type());
}

}  // namespace

Tensor margin_loss(const Tensor& logits, const Tensor& labels, const Loss& loss, Reduction reduction,
                   const HeadInputs& head, std::int64_t* correct) {
  detail::check_tensors(logits, labels, loss, head);
  if (!has_kernel(logits)) {
    if (correct != nullptr) *correct = (logits.argmax(1) == labels).sum().item<std::int64_t>();
    const bool composable = detail::is_composable(loss);
    warn_once(fmt::format("no kernel {} {} {}", logits.device().str(), c10::toString(logits.scalar_type()), composable),
              fmt::format("no fused kernel for {} logits on {}: {}, slower", c10::toString(logits.scalar_type()),
                          logits.device().str(),
                          composable ? "composed_loss takes over" : "they go to the CPU and their gradient back"));
    return composable ? composed_loss(logits, labels, loss, reduction, head)
                      : on_host(logits, labels, loss, reduction, head);
  }
  // An input of an autograd function must be a tensor: pass an empty one if it is missing or not read.
  const Needs& needs = loss.spec().definition().needs;
  const auto input = [nothing = torch::empty({0}, logits.options().requires_grad(false))](
                         const Tensor& tensor, bool used) { return used && tensor.defined() ? tensor : nothing; };
  return FusedLoss::apply(logits, labels, input(head.features, needs.features), input(head.weight, needs.head),
                          input(head.bias, needs.head), &loss, reduction, correct);
}

LossModuleImpl::LossModuleImpl(Loss loss, Reduction reduction) : loss_(std::move(loss)), reduction_(reduction) {}

Tensor LossModuleImpl::forward(const Tensor& logits, const Tensor& labels, const HeadInputs& head,
                               std::int64_t* correct) {
  if (is_training() && loss_.is_stateful()) {
    detail::check_tensors(logits, labels, loss_, head);
    loss_.apply_update(detail::collect_update(loss_, logits, labels, head));
  }
  return margin_loss(logits, labels, loss_, reduction_, head, correct);
}

void LossModuleImpl::pretty_print(std::ostream& stream) const {
  stream << "ulmus::LossModule(" << loss_.spec().text() << ", reduction=" << name_of(reduction_) << ")";
}

}  // namespace ulmus
