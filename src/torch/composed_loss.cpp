// The family implemented with tensor operations, from the same parameters as the kernel.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "torch/check.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

using torch::Tensor;

/// Evaluates a batch with tensor operations.
struct Composer {
  const Loss& loss;
  const Tensor& z;  ///< [N, C]
  const Tensor& labels;
  const HeadInputs& head;

  const KernelParams& params = loss.params();
  Tensor column = labels.unsqueeze(1);
  Tensor is_label = torch::zeros_like(z, torch::kBool).scatter(1, column, true);

  Tensor constant(std::span<const double> values) const {
    const auto size = static_cast<std::int64_t>(values.size());
    return torch::from_blob(const_cast<double*>(values.data()), {size}, torch::kDouble)
        .to(z.options().requires_grad(false), false, true);
  }
  Tensor of_label(const Tensor& rows) const { return rows.gather(1, column).squeeze(1); }
  Tensor of_label(std::span<const double> of_class) const { return constant(of_class).index_select(0, labels); }
  Tensor without_label(const Tensor& rows) const {
    return rows.masked_fill(is_label, -std::numeric_limits<double>::infinity());
  }

  /// The true logit after the rule, which must not be Kind::margins.
  Tensor moved_true_logit() const {
    using Kind = TrueLogitRule::Kind;
    const TrueLogitRule& rule = params.true_logit;
    const Tensor t = of_label(z), rival = without_label(z.detach()).amax(1);
    const Tensor A = rule.of_class.empty() ? Tensor() : of_label(rule.of_class);
    const auto turned = [&t](const Tensor& angle) {
      return t * angle.cos() - (1 - t * t).clamp_min(1e-12).sqrt() * angle.sin();
    };
    const auto shifted_to = [&t](const Tensor& value) { return t + value - t.detach(); };
    const auto angle_of = [](const Tensor& cosine) { return cosine.detach().clamp(-1, 1).acos(); };
    switch (rule.kind) {
      case Kind::margins:
        break;
      case Kind::gap_decay: {
        const Tensor gap = t.detach() - rival.clamp_min(0);
        const Tensor h = torch::where(gap > 0, torch::exp(-gap - rule.a * A), torch::exp(gap - A));
        return t - h.masked_fill(gap == 0, 0);
      }
      case Kind::difficulty:
        return t - A * (1 - t.detach()) / 2;
      case Kind::class_angle:
        return turned(A * (1 + (rival > t.detach()).to(z.scalar_type()) * rule.a * (1 - t)));
      case Kind::angle:
        return torch::where(t <= -std::cos(rule.a), t - rule.a * std::sin(rule.a),
                            turned(torch::full_like(t, rule.a, t.options().requires_grad(false))));
      case Kind::stopped_angle:
        return shifted_to((angle_of(t) + rule.a).clamp_max(3.14159).cos());
      case Kind::multiplied_angle: {
        const Tensor angle = rule.a * angle_of(t), k = (angle / std::numbers::pi).floor();
        return shifted_to(torch::where(k.remainder(2) == 0, angle.cos(), -angle.cos()) - 2 * k);
      }
    }
    return t;
  }

  /// The scaled logits, with the true one lowered.
  Tensor scaled_logits() const {
    Tensor v = z;
    if (!params.slope.empty()) v = v * constant(params.slope);
    if (!params.offset.empty()) v = v + constant(params.offset);
    Tensor true_logit = of_label(v);
    if (params.true_logit.kind != TrueLogitRule::Kind::margins)
      true_logit = true_logit - of_label(z) + moved_true_logit();
    if (!params.true_margin.empty()) true_logit = true_logit - of_label(params.true_margin);
    if (!params.rival_margin.empty()) {
      const Tensor rival = without_label(v.detach()).argmax(1);
      true_logit = true_logit - constant(params.rival_margin).index_select(0, rival);
    }
    return params.scale * v.scatter(1, column, true_logit.unsqueeze(1)) + offsets();
  }

  /// The offsets computed by the loss module.
  Tensor offsets() const {
    const LossHooks& hooks = loss.hooks();
    const Tensor none = torch::zeros({}, z.options().requires_grad(false));
    if (!hooks.row_offset && !(hooks.batch_offset && loss.active())) return none;  // avoids a copy to the host
    const Tensor rows = z.detach().to(torch::kCPU, torch::kDouble).contiguous(),
                 targets = labels.to(torch::kCPU).contiguous();
    Tensor features;
    LossBatch batch{.labels = {targets.data_ptr<std::int64_t>(), static_cast<std::size_t>(targets.size(0))}};
    if (head.features.defined()) {
      features = head.features.detach().to(torch::kCPU, torch::kDouble).contiguous();
      batch.features.features = {features.data_ptr<double>(), features.size(0), features.size(1)};
    }
    const std::vector<double> values = loss.offsets({rows.data_ptr<double>(), rows.size(0), rows.size(1)}, batch);
    return values.empty() ? none : constant(values).view(z.sizes());
  }
};

}  // namespace

bool detail::is_composable(const Loss& loss) {
  const LossHooks& hooks = loss.hooks();
  return !hooks.row_loss && !(loss.active() && (hooks.shape || hooks.batch_term));
}

Tensor composed_loss(const Tensor& logits, const Tensor& labels, const Loss& loss, Reduction reduction,
                     const HeadInputs& head) {
  detail::check_tensors(logits, labels, loss, head);
  if (!detail::is_composable(loss))
    throw Error(ErrorKind::usage,
                fmt::format("loss '{}' is not made of tensor operations here, so it has no second derivative; use "
                            "margin_loss, or composed_loss of the Python package",
                            loss.spec().text()));
  const bool narrow = logits.scalar_type() == torch::kHalf || logits.scalar_type() == torch::kBFloat16;

  // A row of a class with weight 0 contributes no loss, whatever it contains.
  const auto in_force = loss.class_weights();
  const bool some_weightless = std::any_of(in_force.begin(), in_force.end(), [](double w) { return w == 0; });
  const Tensor wide = narrow ? logits.to(torch::kFloat) : logits;
  Tensor weights = torch::ones({logits.size(0)}, wide.options().requires_grad(false));
  if (!in_force.empty())
    weights = torch::tensor(std::vector<double>(in_force.begin(), in_force.end()), torch::kDouble)
                  .to(weights.options())
                  .index_select(0, labels);
  const Tensor weightless = weights == 0;
  const Tensor z = some_weightless ? wide.masked_fill(weightless.unsqueeze(1), 0) : wide;
  const Composer composer{loss, z, labels, head};
  const KernelParams& params = loss.params();

  const Tensor u = composer.scaled_logits(), c = u.logsumexp(1) - composer.of_label(u);
  Tensor losses = c, unweighted;
  if (!params.smoothing.empty()) losses = c + composer.of_label(params.smoothing) * (composer.of_label(u) - u.mean(1));
  if (params.shape == Shape::focal) losses = (-torch::expm1(-c)).pow(params.shape_parameter) * c;
  if (params.shape == Shape::poly) {  // the second term of poly has no class weights
    unweighted = params.shape_parameter * -torch::expm1(-c);
    if (some_weightless) unweighted = unweighted.masked_fill(weightless, 0);
  }
  const double count = reduction == Reduction::none ? 1 : static_cast<double>(logits.size(0));
  const Tensor divisor = reduction == Reduction::weighted_mean
                             ? weights.sum().clamp_min(std::numeric_limits<float>::min())
                             : torch::full({}, std::max(count, 1.0), losses.options().requires_grad(false));
  Tensor value = (losses * weights).sum() / divisor;
  if (unweighted.defined()) value = value + unweighted.sum() / std::max(count, 1.0);
  return narrow ? value.to(logits.scalar_type()) : value;
}

}  // namespace ulmus
