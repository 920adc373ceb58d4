#include "train/head_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "train/inference.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/eval/evaluator.hpp"
#include "ulmus/train/schedule.hpp"

namespace ulmus::detail {
namespace {

namespace F = torch::nn::functional;
using torch::Tensor;

constexpr double k_smallest_norm = 1e-12;  // of the cosine head
constexpr double k_cosine_rate = 0.1;
constexpr double k_linear_rate = 2;  // over |h|^2: the curvature of the cross entropy is at most |h|^2 / 2

Tensor unit_rows(const Tensor& rows) {
  return F::normalize(rows, F::NormalizeFuncOptions().dim(1).eps(k_smallest_norm));
}

/// A head by itself in the form of a model, so that its first weights are those of `initialise`.
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

/// The features and the head in double, for the losses that look at them, and the head's own gradients.
struct Inputs {
  Tensor features, weight, bias, weight_gradient, bias_gradient;

  Inputs(const Needs& needs, const Tensor& x, const HeadWeights& head) {
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

/// Calls visit(first row, output) for slices of the rows of `features`, so that not all outputs are there at once.
template <class Visit>
void for_each_slice(const HeadWeights& head, const Tensor& features, Visit visit) {
  const std::int64_t rows = features.size(0), most = rows_at_once(head.weight.size(0));
  for (std::int64_t first = 0; first < rows; first += most)
    visit(first, head_output(head, features.narrow(0, first, std::min(most, rows - first))).contiguous());
}

/// One parameter under SGD with momentum and weight decay, by LibTorch's definition.
class Descent {
 public:
  explicit Descent(Tensor parameter) : parameter_(std::move(parameter)), velocity_(torch::zeros_like(parameter_)) {}

  void step(const Tensor& gradient, double rate, const HeadFitOptions& options) {
    velocity_.mul_(options.momentum).add_(gradient).add_(parameter_, options.weight_decay);
    parameter_.sub_(velocity_, rate);
  }

 private:
  Tensor parameter_, velocity_;
};

/// The mean of the rows' squared lengths.
double mean_square(const Tensor& rows) { return rows.square().sum(1).mean().item<double>(); }

/// Goes over the minibatches of every epoch: `output(x)` is [N, C], `learn(x, d loss / d output, inputs, rate)` takes a
/// step. `x` are rows of `table`, `square` is the mean squared length of what the parameters multiply; `head` is what
/// the losses that look at features and head see.
template <class Output, class Learn>
void descend(const FeatureSet& train, const Tensor& table, double square, const LossSpec& spec,
             const ClassCounts& counts, const HeadWeights& head, const HeadFitOptions& options, Output output,
             Learn learn) {
  const torch::NoGradGuard no_gradient;
  Loss loss(spec, counts);
  LossState state = loss.state();
  state.seed = options.seed;
  loss.set_state(std::move(state));
  constexpr std::int64_t k_any_epochs = 1'000'000;
  loss.set_epoch(k_any_epochs - 1, k_any_epochs);
  const Needs& needs = spec.definition().needs;
  const Reduction reduction =
      options.reduction == "auto" ? loss.params().reduction : parse_reduction(options.reduction);
  const double automatic =
      head.kind == Head::cosine ? k_cosine_rate : k_linear_rate / std::max(square, k_smallest_norm);
  const LearningRateSchedule schedule{
      .kind = LearningRateSchedule::Kind::cosine, .base = options.lr > 0 ? options.lr : automatic, .warmup = 0};
  // A rule for sampling says more than the options; it is in force from the start.
  const Sampler sampler = spec.resamples()
                              ? Sampler{.kind = Sampler::Kind::deferred, .beta = spec.rule_keys()["beta"], .from = 0}
                              : options.sampler;
  std::vector<std::int64_t> all(train.labels.size());
  std::iota(all.begin(), all.end(), std::int64_t{0});
  const auto rows = static_cast<std::int64_t>(all.size());
  const std::int64_t steps = (rows + options.batch_size - 1) / options.batch_size;
  std::vector<std::int64_t> labels;
  for (std::int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    std::vector<std::int64_t> order =
        sample_epoch(sampler, all, train.labels, {.seed = options.seed, .epoch = epoch, .epochs = options.epochs});
    for (std::int64_t step = 0; step < steps; ++step) {
      const std::int64_t first = step * options.batch_size, size = std::min(options.batch_size, rows - first);
      const Tensor positions = torch::from_blob(order.data() + first, {size}, torch::kInt64);
      const Tensor x = table.index_select(0, positions);
      labels.clear();
      for (std::int64_t i = first; i < first + size; ++i)
        labels.push_back(train.labels[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])]);
      const Tensor z = output(x).contiguous();
      Inputs inputs(needs, needs.features || needs.head ? train.features.index_select(0, positions) : Tensor(), head);
      const LossBatch batch{.labels = labels, .reduction = reduction, .threads = 1, .features = inputs.view()};
      const MatrixView<const float> logits(z.data_ptr<float>(), size, counts.classes());
      if (loss.is_stateful()) loss.apply_update(loss.collect_update(logits, batch));
      Tensor gradient = torch::empty_like(z);
      const double value =
          loss.evaluate(logits, batch, MatrixView<float>(gradient.data_ptr<float>(), size, counts.classes()));
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
  Descent weight(head.weight), bias(head.bias);
  descend(
      train, train.features, mean_square(train.features), spec, counts, head, options,
      [&](const Tensor& x) { return torch::addmm(head.bias, x, head.weight.t()); },
      [&](const Tensor& x, const Tensor& gradient, const Inputs& inputs, double rate) {
        Tensor by_weight = gradient.t().mm(x), by_bias = gradient.sum(0);
        if (inputs.weight.defined()) {
          by_weight += inputs.weight_gradient;
          by_bias += inputs.bias_gradient;
        }
        weight.step(by_weight, rate, options);
        bias.step(by_bias, rate, options);
      });
  return head;
}

HeadWeights fit_cosine(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts, HeadWeights head,
                       const HeadFitOptions& options) {
  Descent weight(head.weight);
  Tensor unit;
  descend(
      train, unit_rows(train.features), 1, spec, counts, head, options,
      [&](const Tensor& x) {
        unit = unit_rows(head.weight);
        return x.mm(unit.t());
      },
      [&](const Tensor& x, const Tensor& gradient, const Inputs&, double rate) {
        // Through the normalisation passes what is at right angles to the weight, over its length.
        const Tensor by_unit = gradient.t().mm(x);
        const Tensor along = (by_unit * unit).sum(1, true);
        const Tensor length = head.weight.norm(2, {1}, true).clamp_min(k_smallest_norm);
        weight.step((by_unit - unit * along) / length, rate, options);
      });
  return head;
}

}  // namespace

FeatureSet extract_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                            const Normalisation& normalisation, int loader_threads, const Placement& placement) {
  FeatureSet set;
  for_each_features(model, data, indices, normalisation, loader_threads, placement,
                    [&](const Tensor& features, std::span<const std::int64_t> labels) {
                      if (!set.features.defined())
                        set.features = torch::empty({std::ssize(indices), features.size(1)}, torch::kFloat);
                      set.features.narrow(0, std::ssize(set.labels), features.size(0)).copy_(features);
                      set.labels.insert(set.labels.end(), labels.begin(), labels.end());
                    });
  return set;
}

HeadWeights head_of(Classifier& model) {
  const HeadInputs inputs = model->head_inputs({});
  return {.kind = inputs.bias.defined() ? Head::linear : Head::cosine,
          .weight = inputs.weight.detach(),
          .bias = inputs.bias.defined() ? inputs.bias.detach() : Tensor()};
}

void set_head(Classifier& model, const HeadWeights& head) {
  HeadWeights place = head_of(model);
  place.weight.copy_(head.weight);
  if (place.bias.defined()) place.bias.copy_(head.bias);
}

Tensor head_output(const HeadWeights& head, const Tensor& features) {
  const torch::NoGradGuard no_gradient;
  return head.kind == Head::cosine ? unit_rows(features).mm(unit_rows(head.weight).t())
                                   : torch::addmm(head.bias, features, head.weight.t());
}

HeadWeights fit_head(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts, Head kind,
                     const HeadFitOptions& options) {
  const torch::NoGradGuard no_gradient;
  HeadWeights head = new_head(train.features.size(1), counts.classes(), kind, options.seed);
  if (kind == Head::cosine) return fit_cosine(train, spec, counts, std::move(head), options);
  if (const double bias = Loss(spec, counts).hooks().initial_bias; bias != 0) head.bias.fill_(bias);
  return fit_linear(train, spec, counts, std::move(head), options);
}

HeadWeights fit_class_scales(const FeatureSet& train, const LossSpec& spec, const ClassCounts& counts,
                             const HeadWeights& head, const HeadFitOptions& options) {
  const torch::NoGradGuard no_gradient;
  const Tensor factor = torch::ones({counts.classes()});
  Descent descent(factor);
  Tensor squares = torch::empty({train.features.size(0)}), z;
  for_each_slice(head, train.features, [&](std::int64_t first, const Tensor& logits) {
    squares.narrow(0, first, logits.size(0)).copy_(logits.square().sum(1));
  });
  descend(
      train, train.features, squares.mean().item<double>(), spec, counts, head, options,
      [&](const Tensor& x) {
        z = head_output(head, x);
        return z * factor;
      },
      [&](const Tensor&, const Tensor& gradient, const Inputs&, double rate) {
        descent.step((gradient * z).sum(0), rate, options);
      });
  return {.kind = Head::linear, .weight = head.weight * factor.unsqueeze(1), .bias = head.bias * factor};
}

HeadWeights tau_normalised(const HeadWeights& head, double tau) {
  const torch::NoGradGuard no_gradient;
  const Tensor length = head.weight.norm(2, {1}, true).clamp_min(k_smallest_norm);
  return {.kind = Head::linear, .weight = head.weight / length.pow(tau), .bias = torch::zeros_like(head.bias)};
}

Evaluation judge_head(const HeadWeights& head, const FeatureSet& on, const ClassCounts& counts, double scale) {
  Evaluator evaluator(counts, {.scale = scale});
  for_each_slice(head, on.features, [&](std::int64_t first, const Tensor& logits) {
    evaluator.add(view_of(logits), std::span(on.labels).subspan(static_cast<std::size_t>(first),
                                                                static_cast<std::size_t>(logits.size(0))));
  });
  return evaluator.finish();
}

std::size_t best_of(const std::vector<Evaluation>& evaluations) {
  const auto better = [](const Evaluation& a, const Evaluation& b) {
    return a.balanced_accuracy != b.balanced_accuracy ? a.balanced_accuracy > b.balanced_accuracy : a.nll < b.nll;
  };
  return static_cast<std::size_t>(std::min_element(evaluations.begin(), evaluations.end(), better) -
                                  evaluations.begin());
}

}  // namespace ulmus::detail
