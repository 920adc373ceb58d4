#include "train/score_adjuster.hpp"

#include <fmt/format.h>

#include <utility>

#include "train/run_data.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/eval/prior.hpp"
#include "ulmus/eval/temperature.hpp"
#include "ulmus/trees/tree_options.hpp"

namespace ulmus::detail {
namespace {}  // namespace

ScoreAdjuster::ScoreAdjuster(const std::filesystem::path& folder, const RunOptions& options,
                             const AdjustmentOptions& adjustment, Split split,
                             const std::optional<std::string>& encoding)
    : split_(std::move(split)),
      counts_(split_.train_counts, split_.class_names),
      posthoc_(adjustment.posthoc),
      temperature_(adjustment.temperature),
      fit_temperature_(adjustment.fit_temperature),
      loader_threads_(static_cast<int>(options.loader_threads)),
      placement_(make_placement(options)) {
  if (adjustment.prior) {
    prior_ = parse_prior(*adjustment.prior, counts_);
    assumed_prior(counts_.prior(), posthoc_, counts_);  // throws for invalid combinations before anything is read
  }
  if (!fit_temperature_) return;
  if (split_.validation.empty())
    throw_usage(fmt::format("{} is fitted on a validation part, and '{}' has none; train with {}, or set a number",
                            option_name("temperature", "auto"), folder.string(), option_name("validation", "N")));
  data_ = open_run_data(options, encoding, split_.class_names);
  require_same_data(data_, split_, folder, fmt::format("name other data with {}", option_name("data")));
}

ScoreAdjuster::Fit ScoreAdjuster::fit(const CheckpointedModel& trained, Classifier& model) const {
  require_classes(trained, split_);
  Fit fit{.transform = {.scale = trained.loss.scale()}};
  if (posthoc_.kind == PostHoc::Kind::tau_norm) {
    if (is_tree_model(trained.info.model.name))
      throw_usage(fmt::format("{} cannot apply to {}: trees have no head; take la or mla",
                              option_name("posthoc", posthoc_.text()), trained.name()));
    if (trained.info.model.head == Head::cosine)
      throw_usage(fmt::format(
          "{} cannot apply to {}: its cosine head is normalised already; leave it out, or choose a model with "
          "a linear head by {}",
          option_name("posthoc", posthoc_.text()), trained.name(), option_name("loss")));
    const torch::NoGradGuard no_gradient;
    const HeadInputs head = model->head_inputs({});
    torch::Tensor weight = head.weight.detach().to(torch::kCPU, /*non_blocking=*/false, /*copy=*/true).contiguous();
    posthoc_.normalise({weight.data_ptr<float>(), weight.size(0), weight.size(1)});
    torch::Tensor(head.weight).copy_(weight);
    if (head.bias.defined()) torch::Tensor(head.bias).zero_();
  }
  posthoc_.apply(fit.transform, counts_);
  if (!prior_.empty()) {
    fit.assumed_prior = assumed_prior(assumed_prior(trained.resolved(), counts_), posthoc_, counts_);
    correct_prior(fit.transform, fit.assumed_prior, prior_);
  }
  if (temperature_) fit.transform.temperature = *temperature_;
  if (fit_temperature_) {
    // Stores all logits, because the fit reads them many times.
    torch::Tensor logits = torch::empty({std::ssize(split_.validation), counts_.classes()}, torch::kFloat);
    std::vector<std::int64_t> labels;
    for_each_output(model, trained, data_.train, split_.validation, loader_threads_, placement_,
                    [&](const torch::Tensor& batch_logits, std::span<const std::int64_t> batch_labels) {
                      logits.narrow(0, std::ssize(labels), batch_logits.size(0)).copy_(batch_logits);
                      labels.insert(labels.end(), batch_labels.begin(), batch_labels.end());
                    });
    fit.transform.temperature = fit_temperature(view_of(logits), labels, fit.transform, prior_);
    if (const double t = fit.transform.temperature; t == k_lowest_temperature || t == k_highest_temperature)
      warn_once("temperature-bound " + trained.name(),
                fmt::format("the temperature of {} ends at its bound {}: the {} images of the validation part do "
                            "not determine it",
                            trained.name(), format_number(t), split_.validation.size()));
  }
  return fit;
}

}  // namespace ulmus::detail
