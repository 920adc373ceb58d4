#include "train/head_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/train/schedule.hpp"

namespace ulmus::detail {
namespace {

namespace F = torch::nn::functional;
using torch::Tensor;

constexpr double k_cosine_rate = 0.1;

/// A head as a model without backbone, so that `initialise` sets its first weights.
class HeadOnly : public ClassifierImpl {
 public:
  HeadOnly(std::int64_t width, const ModelOptions& options) { add_head(width, options); }
  Tensor features(const Tensor& images) override { return images; }
};

HeadWeights new_head(std::int64_t width, std::int64_t classes, Head kind, std::uint64_t seed) {
  const ModelOptions options{.classes = classes, .head = kind};
  Classifier model(std::shared_ptr<ClassifierImpl>(std::make_shared<HeadOnly>(width, options)));
  initialise(model, seed);
  return head_of(model);
}

MatrixView<const double> matrix_of(const Tensor& tensor) {
  return {tensor.data_ptr<double>(), tensor.size(0), tensor.size(1)};
}
MatrixView<double> matrix_of(Tensor& tensor) { return {tensor.data_ptr<double>(), tensor.size(0), tensor.size(1)}; }
std::span<double> values_of(const Tensor& tensor) {
  return {tensor.data_ptr<double>(), static_cast<std::size_t>(tensor.numel())};
}

/// Features and head in double precision for losses that need them, and the gradients of the head.
struct HeadBatch {
  Tensor features, weight, bias, weight_gradient, bias_gradient;

  HeadBatch(const Needs& needs, const Tensor& x, const HeadWeights& head) {
    if (needs.features || needs.head) features = x.to(torch::kDouble);
    if (!needs.head) return;
    weight = head.weight.to(torch::kDouble);
    bias = head.bias.to(torch::kDouble);
    weight_gradient = torch::zeros_like(weight);
    bias_gradient = torch::zeros_like(bias);
  }

  FeatureBatch view() {
    FeatureBatch batch;
    if (features.defined()) batch.features = matrix_of(std::as_const(features));
    if (!weight.defined()) return batch;
    batch.head_weight = matrix_of(std::as_const(weight));
    batch.head_weight_gradient = matrix_of(weight_gradient);
    batch.head_bias = values_of(bias);
    batch.head_bias_gradient = values_of(bias_gradient);
    return batch;
  }
};

/// Updates one parameter by SGD with momentum and weight decay, as LibTorch defines it.
class SgdParameter {
 public:
  SgdParameter(Tensor parameter, double momentum, double weight_decay)
      : parameter_(std::move(parameter)),
        velocity_(torch::zeros_like(parameter_)),
        momentum_(momentum),
        weight_decay_(weight_decay) {}

  void step(const Tensor& gradient, double rate) {
    velocity_.mul_(momentum_).add_(gradient).add_(parameter_, weight_decay_);
    parameter_.sub_(velocity_, rate);
  }

 private:
  Tensor parameter_, velocity_;
  double momentum_, weight_decay_;
};

/// A sampling rule of the loss takes precedence over the options.
Sampler sampler_of(const LossSpec& spec, const HeadFitOptions& options) {
  if (!spec.resamples()) return options.sampler;
  Sampler sampler = rule_sampler(spec);
  if (!options.defers) sampler.from = 0;
  return sampler;
}

/// The rate of the options, or else the default for vectors whose mean squared length `mean_square()` is. That reads
/// all samples, so it is not asked for in vain.
template <class MeanSquare>
double rate_of(const HeadFitOptions& options, const HeadWeights& head, MeanSquare mean_square) {
  return options.lr ? *options.lr : default_head_rate(head.kind, mean_square(), head.weight.size(0));
}

/// Runs the minibatches of all epochs: `output(x)` is [N, C], `learn(x, d loss / d output, inputs, rate)` takes a step.
/// `rate` is that of the first epoch without a warm-up. Losses that need the head receive `head`.
template <class Output, class Learn>
void run_sgd(const FeatureSet& train, double rate, const LossSpec& spec, const ClassCounts& counts,
             const HeadWeights& head, const HeadFitOptions& options, Output output, Learn learn) {
  const torch::NoGradGuard no_gradient;
  Loss loss(spec, counts);
  LossState state = loss.state();
  state.seed = options.seed;
  loss.set_state(std::move(state));
  constexpr std::int64_t k_any_epochs = 1'000'000;
  if (!options.defers) loss.set_epoch(k_any_epochs - 1, k_any_epochs);
  const Needs& needs = spec.definition().needs;
  const Reduction reduction = options.reduction.value_or(loss.params().reduction);
  const LearningRateSchedule schedule{.kind = options.schedule,
                                      .base = rate,
                                      .warmup = options.warmup,
                                      .restart_epoch = options.defers ? spec.last_change(options.epochs) : 0};
  std::optional<Loader> loader;
  for (std::int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    if (options.defers) loss.set_epoch(epoch, options.epochs);
    if (!loader || !train.views.empty())
      loader.emplace(train.data_of(epoch), train.indices,
                     LoaderOptions{.batch_size = options.batch_size,
                                   .shuffle = true,
                                   .normalisation = train.normalisation,
                                   .seed = options.seed,
                                   .threads = 0,
                                   .sampler = sampler_of(spec, options),
                                   .epochs = options.epochs,
                                   .blocks = train.shuffle});
    loader->start(epoch);
    const std::int64_t steps = loader->batches();
    std::int64_t step = 0;
    for (Batch samples; loader->next(samples); ++step) {
      const Tensor x = torch::from_blob(samples.inputs.data(), {samples.size, train.width()});
      const Tensor z = output(x).contiguous();
      HeadBatch inputs(needs, x, head);
      const LossBatch batch{.labels = samples.labels, .reduction = reduction, .threads = 1, .features = inputs.view()};
      const MatrixView<const float> logits(z.data_ptr<float>(), samples.size, counts.classes());
      if (loss.is_stateful()) loss.apply_update(loss.collect_update(logits, batch));
      Tensor gradient = torch::empty_like(z);
      const double value =
          loss.evaluate(logits, batch, MatrixView<float>(gradient.data_ptr<float>(), samples.size, counts.classes()));
      if (!std::isfinite(value))
        throw Error(
            ErrorKind::numerical,
            fmt::format("the loss of a new head with {} is {} at step {} of epoch {}; leave this loss or value out",
                        spec.text(), std::isnan(value) ? "not a number" : "infinite", step + 1, epoch + 1));
      learn(x, gradient, inputs, learning_rate(schedule, epoch, options.epochs, step, steps));
    }
  }
}

HeadWeights fit_linear(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts, HeadWeights head,
                       const HeadFitOptions& options) {
  // Weight decay would pull a bias that is a prior probability away from it.
  const bool decays = Loss(spec, counts).hooks().initial_bias == 0;
  SgdParameter weight(head.weight, options.momentum, options.weight_decay);
  SgdParameter bias(head.bias, options.momentum, decays ? options.weight_decay : 0);
  run_sgd(
      train, rate_of(options, head, [&] { return mean_square(train); }), spec, counts, head, options,
      [&](const Tensor& x) { return torch::addmm(head.bias, x, head.weight.t()); },
      [&](const Tensor& x, const Tensor& gradient, const HeadBatch& inputs, double rate) {
        Tensor by_weight = gradient.t().mm(x), by_bias = gradient.sum(0);
        if (inputs.weight.defined()) {
          by_weight += inputs.weight_gradient;
          by_bias += inputs.bias_gradient;
        }
        weight.step(by_weight, rate);
        bias.step(by_bias, rate);
      });
  return head;
}

HeadWeights fit_cosine(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts, HeadWeights head,
                       const HeadFitOptions& options) {
  SgdParameter weight(head.weight, options.momentum, options.weight_decay);
  Tensor unit, direction;
  run_sgd(
      train, rate_of(options, head, [] { return 1; }), spec, counts, head, options,
      [&](const Tensor& x) {
        unit = unit_rows(head.weight);
        direction = unit_rows(x);
        return direction.mm(unit.t());
      },
      [&](const Tensor&, const Tensor& gradient, const HeadBatch&, double rate) {
        // The normalisation passes only the gradient orthogonal to the weight, divided by the weight's length.
        const Tensor by_unit = gradient.t().mm(direction);
        const Tensor along = (by_unit * unit).sum(1, true);
        const Tensor length = head.weight.norm(2, {1}, true).clamp_min(k_smallest_norm);
        weight.step((by_unit - unit * along) / length, rate);
      });
  return head;
}

}  // namespace

Sampler rule_sampler(const LossSpec& loss) {
  return {.kind = Sampler::Kind::deferred,
          .beta = loss.rule_keys()["beta"],
          .from = loss.deferred() ? loss.rule_keys()["from"] : 0};
}

double default_head_rate(Head kind, double mean_square, std::int64_t classes) {
  if (kind == Head::cosine) return k_cosine_rate;
  return std::sqrt(2.0 * static_cast<double>(classes)) / std::max(mean_square, k_smallest_norm);
}

HeadWeights fit_head(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts, Head kind,
                     const HeadFitOptions& options) {
  const torch::NoGradGuard no_gradient;
  HeadWeights head = new_head(train.width(), counts.classes(), kind, options.seed);
  if (kind == Head::cosine) return fit_cosine(train, spec, counts, std::move(head), options);
  if (const double bias = Loss(spec, counts).hooks().initial_bias; bias != 0) head.bias.fill_(bias);
  return fit_linear(train, spec, counts, std::move(head), options);
}

HeadWeights fit_class_scales(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts,
                             const HeadWeights& head, const HeadFitOptions& options) {
  const torch::NoGradGuard no_gradient;
  const Tensor factor = torch::ones({counts.classes()});
  SgdParameter scales(factor, options.momentum, options.weight_decay);
  const auto mean_square_of_output = [&] {
    double squares = 0;
    for_each_batch(train, [&](const Tensor& x, std::span<const std::int64_t>) {
      squares += head_output(head, x).square().sum(torch::kDouble).item<double>();
    });
    return squares / static_cast<double>(train.indices.size());
  };
  Tensor z;
  run_sgd(
      train, rate_of(options, head, mean_square_of_output), spec, counts, head, options,
      [&](const Tensor& x) {
        z = head_output(head, x);
        return z * factor;
      },
      [&](const Tensor&, const Tensor& gradient, const HeadBatch&, double rate) {
        scales.step((gradient * z).sum(0), rate);
      });
  return {.kind = Head::linear, .weight = head.weight * factor.unsqueeze(1), .bias = head.bias * factor};
}

}  // namespace ulmus::detail
