// The family once more, written with tensor operations.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string_view>

#include "torch/check.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

using torch::Tensor;

/// A batch of a loss on its way through tensor operations.
struct Composer {
  const Loss& loss;
  const Tensor& z;  ///< [N, C]
  const Tensor& labels;
  const HeadInputs& head;

  const KernelParams& params = loss.params();
  const KeyValues& keys = loss.spec().keys();
  std::string_view name = loss.spec().definition().name;
  Tensor column = labels.unsqueeze(1);
  Tensor is_label = torch::zeros_like(z, torch::kBool).scatter(1, column, true);

  Tensor constant(std::span<const double> values) const {
    const auto size = static_cast<std::int64_t>(values.size());
    return torch::from_blob(const_cast<double*>(values.data()), {size}, torch::kDouble)
        .to(z.options().requires_grad(false), false, true);
  }
  Tensor of_label(const Tensor& rows) const { return rows.gather(1, column).squeeze(1); }
  Tensor of_label(std::span<const double> of_class) const { return constant(of_class).index_select(0, labels); }
  Tensor without_label(const Tensor& rows, double value = -std::numeric_limits<double>::infinity()) const {
    return rows.masked_fill(is_label, value);
  }
  Tensor with_true(const Tensor& rows, const Tensor& true_logit) const {
    return rows.scatter(1, column, true_logit.unsqueeze(1));
  }
  Tensor counts() const {
    const auto n = loss.counts().values();
    return constant(std::vector<double>(n.begin(), n.end()));
  }
  /// The same with a class without samples counted like the rarest one that has some.
  Tensor positive_counts() const {
    const Tensor n = counts();
    return torch::where(n > 0, n, n.masked_select(n > 0).min());
  }
  Tensor log_prior() const { return positive_counts().div(static_cast<double>(loss.counts().total())).log(); }

  Tensor cross_entropy(const Tensor& u) const { return u.logsumexp(1) - of_label(u); }

  /// The true logit where a member moves it by a rule of its own; undefined: by margins.
  Tensor moved_true_logit() const {
    const Tensor t = of_label(z), rival = without_label(z.detach()).amax(1);
    const auto sine = [](const Tensor& cosine) { return (1 - cosine * cosine).clamp_min(1e-12).sqrt(); };
    if (name == "mm") {
      Tensor margin = torch::full_like(t, keys["max_margin"]);
      if (keys.word("variant") == "ldam") margin = margin - of_label(loss.counts().ldam_margins(0.5));
      const Tensor gap = t.detach() - rival.clamp_min(0);
      const Tensor h = torch::where(gap > 0, torch::exp(-gap - keys["gamma"] * margin), torch::exp(gap - margin));
      return t - h.masked_fill(gap == 0, 0);
    }
    if (name == "ala") {
      const Tensor n = positive_counts(), A = std::numbers::ln2 / (n / n.min() + 1).log();
      return t - A.index_select(0, labels) * (1 - t.detach()) / 2;
    }
    if (name == "dbm") {
      const Tensor n = positive_counts();
      const Tensor m = (keys["max_margin"] * (n.min() / n).pow(keys["tau"])).index_select(0, labels);
      const Tensor hard = (rival > t.detach()).to(z.scalar_type());
      const Tensor angle = m * (1 + hard * keys["lambda"] * (1 - t) / 2);
      return t * angle.cos() - sine(t) * angle.sin();
    }
    if (name == "arcface" && keys.word("variant") == "opensphere")
      return t + (t.detach().clamp(-1, 1).acos() + keys["margin"]).clamp_max(3.14159).cos() - t.detach();
    if (name == "arcface") {
      const double m = keys["margin"];
      return torch::where(t <= std::cos(std::numbers::pi - m), t - m * std::sin(m),
                          t * std::cos(m) - sine(t) * std::sin(m));
    }
    if (name == "sphereface") {
      const Tensor angle = keys["margin"] * t.detach().clamp(-1, 1).acos(), k = (angle / std::numbers::pi).floor();
      return t + (torch::where(k.remainder(2) == 0, angle.cos(), -angle.cos()) - 2 * k) - t.detach();
    }
    return {};
  }

  /// The scaled logits, the true one lowered.
  Tensor scaled_logits() const {
    Tensor v = z;
    if (!params.slope.empty()) v = v * constant(params.slope);
    if (!params.offset.empty()) v = v + constant(params.offset);
    Tensor true_logit = of_label(v);
    if (const Tensor moved = params.true_logit.kind != TrueLogitRule::Kind::margins ? moved_true_logit() : Tensor();
        moved.defined())
      true_logit = true_logit - of_label(z) + moved;
    if (!params.true_margin.empty()) true_logit = true_logit - of_label(params.true_margin);
    if (!params.rival_margin.empty()) {
      const Tensor rival = without_label(v.detach()).argmax(1);
      true_logit = true_logit - constant(params.rival_margin).index_select(0, rival);
    }
    return params.scale * with_true(v, true_logit) + offsets();
  }

  /// Those that the loss room makes.
  Tensor offsets() const {
    const LossHooks& hooks = loss.hooks();
    const Tensor none = torch::zeros({}, z.options().requires_grad(false));
    if (!hooks.row_offset && !(hooks.batch_offset && loss.active())) return none;  // no copy to the host
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

  /// Binary cross entropies of the classes, weighted, each with a focal factor.
  Tensor sigmoid_losses(const Tensor& weight, double gamma) const {
    const Tensor x = torch::where(is_label, z, -z);
    const Tensor c = torch::nn::functional::softplus(-x);
    if (gamma == 0) return (weight * c).sum(1);
    return (weight * torch::exp(-gamma * torch::nn::functional::softplus(x)) * c).sum(1);
  }

  /// The losses of the members that are no cross entropy of scaled logits; undefined: of the others.
  Tensor own_losses() const {
    if (name == "cb" && keys.word("kind") != "softmax")
      return sigmoid_losses(torch::ones_like(z), keys.word("kind") == "focal" ? keys["gamma"] : 0);
    if (name == "eql" && keys.word("kind") == "sigmoid") {
      const Tensor rare = (constant(loss.counts().prior()) < keys["lambda"]).unsqueeze(0);
      return sigmoid_losses(
          torch::where(rare.logical_and(is_label.logical_not()), torch::zeros_like(z), torch::ones_like(z)), 0);
    }
    if (name == "fce" || name == "lafce") {
      Tensor u = z / keys["temperature"];
      if (name == "lafce") u = u + log_prior();
      const Tensor p = u.softmax(1), n = counts();
      const Tensor more = (n.unsqueeze(0) > n.index_select(0, labels).unsqueeze(1)).to(z.scalar_type());
      return -(of_label(p) + 1e-7).log() - (more * (1 - p + 1e-7).log()).sum(1);
    }
    if (name == "las") {
      const Tensor n = positive_counts();
      const Tensor t = (n - n.min()) / (n.max() - n.min()).clamp_min(1);
      const double low = keys["tail"], more = keys["head"] - low, quarter = std::numbers::pi / 2;
      const Tensor e = keys.word("shape") == "linear"   ? low + more * t
                       : keys.word("shape") == "convex" ? keys["head"] + more * (3 * quarter + quarter * t).sin()
                                                        : low + more * (quarter * t).sin();
      const Tensor smoothing = e.index_select(0, labels);
      return (1 - smoothing) * cross_entropy(z) - smoothing * z.log_softmax(1).mean(1);
    }
    if (name == "logitnorm") return cross_entropy(z / ((z.norm(2, 1, true) + 1e-7) * keys["temperature"]));
    if (name == "kps" && keys.word("scaling") == "label") {
      const Tensor n = positive_counts(), q = (50 * n / n.min()).log() / std::log(50.0);
      const Tensor reversed = torch::empty_like(q).index_put_({q.argsort(0, true)}, std::get<0>(q.sort(0)));
      const Tensor scale = (reversed * params.scale).clamp(params.scale, std::max(params.scale, 50.0));
      const Tensor v = z * q, margin = (reversed * keys["max_margin"] / q.max()).index_select(0, labels);
      return cross_entropy(scale.index_select(0, labels).unsqueeze(1) * with_true(v, of_label(v) - margin));
    }
    return {};
  }

  /// Adds what class weights do not multiply; undefined: nothing.
  Tensor unweighted_losses(const Tensor& c) const {
    if (params.shape == Shape::poly) return params.shape_parameter * -torch::expm1(-c);
    if (name != "lm-softmax") return {};
    const double uniform = 1 / std::max(1.0, static_cast<double>(z.size(1) - 1));
    const Tensor log_q = without_label(without_label(z).log_softmax(1), 0);
    const Tensor q = without_label(log_q.exp(), 0);
    return keys["lambda"] / 2 * without_label((q - uniform) * log_q, 0).sum(1);
  }

  Tensor influence_balanced(const Tensor& c, const Tensor& weight) const {
    const Tensor q = -torch::expm1(-c), norm = head.features.to(z.scalar_type()).abs().sum(1);
    const Tensor value = c * keys["alpha"] / (2 * q * norm + 0.001);
    return name == "ib" ? value : value * (-torch::expm1(-weight * c)).pow(keys["gamma"]);
  }

  /// The term of the whole batch; undefined: none.
  Tensor batch_term() const {
    if (name == "lade") {
      const Tensor prior = constant(loss.counts().prior());
      const Tensor members = is_label.to(z.scalar_type());
      const Tensor own = (z * members).sum(0) / (members.sum(0) + 1e-8);
      const Tensor s = (z - (prior + 1e-9).log() + std::log(1.0 / static_cast<double>(z.size(1)) + 1e-9)).logsumexp(0) -
                       std::log(static_cast<double>(z.size(0)));
      return -keys["alpha"] * (prior * (own - s - keys["lambda"] * s * s)).sum();
    }
    if (name == "dro-lt") return robust_prototypes();
    if (name == "lmd") return discriminative();
    return {};
  }

  /// Running class means of the features, [C, D].
  Tensor running_means() const {
    const auto& values = loss.state().values;
    return constant(std::span(values).subspan(static_cast<std::size_t>(loss.counts().classes())))
        .view({loss.counts().classes(), head.features.size(1)});
  }

  Tensor robust_prototypes() const {
    const Tensor x = head.features.to(z.scalar_type()), means = running_means(), n = positive_counts();
    Tensor total = torch::zeros({}, z.options().requires_grad(false)), present = total.clone();
    for (std::int64_t c = 0; c < n.size(0); ++c) {
      const Tensor own = labels == c;
      if (!own.any().item<bool>()) continue;
      const double weight = loss.class_weights().empty() ? 1 : loss.class_weights()[static_cast<std::size_t>(c)];
      const double radius = keys["epsilon"] / std::sqrt(n[c].item<double>());
      const Tensor d = (-(x - means[c]).norm(2, 1) - radius * own.to(z.scalar_type())) / keys["temperature"];
      total = total - weight * d.log_softmax(0).masked_select(own).mean();
      present = present + weight;
    }
    return keys["alpha"] * total / present;
  }

  Tensor discriminative() const {
    const Tensor h = head.features.to(z.scalar_type()), means = running_means();
    const double kind = keys.word("norm") == "l1" ? 1 : 2;
    Tensor total = torch::zeros({}, z.options().requires_grad(false));
    std::int64_t present = 0;
    for (std::int64_t c = 0; c < means.size(0); ++c) {
      const Tensor rows = (labels == c).nonzero().squeeze(1);
      if (rows.size(0) == 0) continue;
      ++present;
      const Tensor own = h.index_select(0, rows), mean = own.mean(0);
      const double part = loss.state().values[static_cast<std::size_t>(c)] <= 1 ? 1 : 1 - keys["momentum"];
      const Tensor running = means[c] + part * (mean - mean.detach());
      total = total + keys["alpha"] * ((own - running).norm(kind, 1) - keys["delta_v"]).clamp_min(0).square().mean() +
              keys["gamma"] * running.norm(kind);
      const Tensor apart = head.weight - head.weight[c], to_boundary = apart.matmul(mean) + head.bias - head.bias[c];
      const Tensor others = torch::arange(means.size(0), labels.options()).ne(c).nonzero().squeeze(1);
      if (others.size(0) > 0)
        total = total + keys["beta"] * (keys["delta_d"] +
                                        to_boundary.index_select(0, others) / apart.index_select(0, others).norm(2, 1))
                                           .clamp_min(0)
                                           .max();
    }
    return total / static_cast<double>(present);
  }
};

}  // namespace

Tensor composed_loss(const Tensor& logits, const Tensor& labels, const Loss& loss, Reduction reduction,
                     const HeadInputs& head) {
  detail::check_tensors(logits, labels, loss, head);
  const bool narrow = logits.scalar_type() == torch::kHalf || logits.scalar_type() == torch::kBFloat16;
  const LossHooks& hooks = loss.hooks();
  const bool batch_term = hooks.batch_term && loss.active();
  if (batch_term && loss.is_stateful()) {
    if (loss.state().values.empty()) {  // a first batch without an update before it
      Loss moved = loss;
      moved.apply_update(detail::collect_update(loss, logits, labels, head));
      return composed_loss(logits, labels, moved, reduction, head);
    }
    if (head.features.defined()) loss.check_feature_width(head.features.size(1));
  }

  // A row of a class with weight 0 costs nothing, whatever is in it.
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

  Tensor losses = composer.own_losses(), unweighted;
  if (losses.defined()) {
    losses = losses.masked_fill((z == std::numeric_limits<double>::infinity()).any(1), std::nan(""));
  } else {
    const Tensor u = composer.scaled_logits();
    const Tensor c = composer.name == "lm-softmax"
                         ? composer.cross_entropy(composer.with_true(u, composer.of_label(u) - composer.keys["lower"]))
                         : composer.cross_entropy(u);
    losses = c;
    if (loss.params().shape == Shape::focal) losses = (-torch::expm1(-c)).pow(loss.params().shape_parameter) * c;
    unweighted = composer.unweighted_losses(c);
    if (unweighted.defined() && some_weightless) unweighted = unweighted.masked_fill(weightless, 0);
  }

  if (hooks.shape && loss.active()) losses = composer.influence_balanced(losses, weights);
  const double count = reduction == Reduction::none ? 1 : static_cast<double>(logits.size(0));
  const Tensor divisor = reduction == Reduction::weighted_mean
                             ? weights.sum().clamp_min(std::numeric_limits<float>::min())
                             : torch::full({}, std::max(count, 1.0), losses.options().requires_grad(false));
  Tensor value = (losses * weights).sum() / divisor;
  if (unweighted.defined()) value = value + unweighted.sum() / std::max(count, 1.0);
  if (batch_term && some_weightless) {
    const Tensor rows = weightless.logical_not().nonzero().squeeze(1);
    if (rows.size(0) > 0) {
      const auto chosen = [&](const Tensor& of) { return of.defined() ? of.index_select(0, rows) : of; };
      const Tensor chosen_z = chosen(z), chosen_labels = chosen(labels);
      const HeadInputs chosen_head{chosen(head.features), head.weight, head.bias};
      value = value + Composer{loss, chosen_z, chosen_labels, chosen_head}.batch_term();
    }
  } else if (batch_term) {
    value = value + composer.batch_term();
  }
  return narrow ? value.to(logits.scalar_type()) : value;
}

}  // namespace ulmus
