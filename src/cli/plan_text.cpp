#include "cli/plan_text.hpp"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/trees/tree_options.hpp"

namespace ulmus::cli {

namespace {

std::string frozen_text(const Plan& plan) {
  if (!trains_on_features(plan)) return "backbone frozen";
  if (!plan.options.views) return "backbone frozen, each image goes through it once";
  return fmt::format("backbone frozen, each image goes through it once, and each training image in {} augmented {}",
                     *plan.options.views, *plan.options.views == 1 ? "view" : "views");
}

}  // namespace

std::string to_text(const Plan& plan) {
  const Dataset& data = plan.data.train;
  const RunOptions& options = plan.options;
  const std::int64_t test = plan.data.test ? plan.data.test->size() : static_cast<std::int64_t>(plan.split.test.size());
  const std::string shape =
      data.is_features() ? fmt::format("{} features", data.shape().channels)
                         : fmt::format("{}x{}x{}", data.shape().channels, data.shape().height, data.shape().width);
  std::string text = fmt::format("data    {}: {} classes, {} to train (ratio {:.4g}), {} to test, {}\n",
                                 printable(data.name(), k_long_text), data.classes(), plan.split.train.size(),
                                 plan.counts.imbalance_ratio(), test, shape);
  for (const std::string& note : all_notes(plan.data)) text += fmt::format("        {}\n", note);
  if (!plan.split.validation.empty())
    text += fmt::format("        {} held out to validate\n", plan.split.validation.size());
  if (!plan.columns.empty()) text += "columns\n" + ulmus::to_text(plan.columns, "        ");
  const bool trees = is_tree_model(options.model);
  if (trees)
    text += fmt::format("model   {}, at most {} rounds{}\n", options.model, plan.epochs(),
                        plan.split.validation.empty() ? ", all of them, as there is no validation part" : "");
  else
    text += fmt::format("model   {}, {} {}, batch {}, {} schedule {}, augmentation {}\n", options.model, plan.epochs(),
                        plan.epochs() == 1 ? "epoch" : "epochs", options.batch_size, options.schedule,
                        options.lr ? "from " + option_text(options.lr) : "at the rate that suits the features",
                        trains_on_features(plan) && !options.views ? "none" : options.augment);
  if (options.unfreeze)
    text += fmt::format(
        "        then all layers for {} {}, the head at a tenth of its rate, the others from {}, "
        "augmentation {}\n",
        *options.unfreeze, *options.unfreeze == 1 ? "epoch" : "epochs", option_text(options.lr_backbone),
        options.augment);
  std::vector<std::string> more;
  if (plan.data.train.is_features() && !plan.encoding && !trees)
    more.push_back(plan.normalisation.mean.empty() ? "features as they are" : "features standardised");
  if (options.optimizer != "sgd" && !trees) more.push_back(options.optimizer);
  if (options.lr_backbone && !options.unfreeze)
    more.push_back(fmt::format("layers below the head from {}", option_text(options.lr_backbone)));
  if (options.weights) more.push_back(fmt::format("weights from {}", *options.weights));
  if (options.freeze == "backbone") more.push_back(frozen_text(plan));
  if (plan.shuffle.rows > 0)
    more.push_back(fmt::format("shuffled by blocks of {} rows, {} at a time", plan.shuffle.rows, plan.shuffle.blocks));
  if (options.feature_precision != RunOptions().feature_precision) more.push_back("features stored as float16");
  if (options.clip) more.push_back(fmt::format("gradients clipped to {}", option_text(options.clip)));
  if (options.ema) more.push_back(fmt::format("moving average of the weights {}", option_text(options.ema)));
  if (options.device != "cpu") more.push_back("on " + options.device);
  if (options.channels_last) more.push_back("channels last");
  if (options.autocast != "none") more.push_back("backbone in " + options.autocast);
  if (!more.empty()) text += fmt::format("        {}\n", join(more, ", "));
  for (const Trial& trial : plan.trials) {
    if (trial.seed != options.seed) break;
    text += trees ? fmt::format("loss    {}", trial.loss.text())
                  : fmt::format("loss    {}: {} head", trial.loss.text(), name_of(trial.head));
    if (const auto start = trial.loss.start_epoch(plan.epochs()); start > 0)
      text += fmt::format(", plain cross entropy before epoch {} of {}", start + 1, plan.epochs());
    if (trial.loss.deferred())
      text += fmt::format(", {} from epoch {} of {}", trial.loss.resamples() ? "balanced sampling" : "class weights",
                          trial.loss.rule_epoch(plan.epochs()) + 1, plan.epochs());
    if (const Key* key = trial.loss.automatic()) {
      std::vector<std::string> at;
      for (const std::int64_t epoch : choice_epochs(plan, trial.loss)) at.push_back(std::to_string(epoch + 1));
      text += fmt::format(", {} chosen before epoch {} of {}", key->name, join(at, " and "), plan.epochs());
    }
    text += trees ? "\n" : fmt::format(", {} parameters\n", trial.parameters);
  }
  const std::size_t losses = plan.trials.size() / static_cast<std::size_t>(options.seeds);
  text += fmt::format("runs    {} ({} {} x {} {}), {} at a time with {} {} each\n", plan.trials.size(), losses,
                      losses == 1 ? "loss" : "losses", options.seeds, options.seeds == 1 ? "seed" : "seeds",
                      plan.jobs(), plan.threads(), plan.threads() == 1 ? "thread" : "threads");
  return text;
}

namespace {

template <class Value>
Json to_json(const Value& value) {
  return value;
}
template <class Value>
Json to_json(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}
Json to_json(const std::vector<LossSpec>& losses) { return option_text(losses); }

}  // namespace

Json to_json(const Plan& plan, const std::filesystem::path& folder) {
  Json trials = Json::array();
  for (const Trial& trial : plan.trials)
    trials.push_back({{"loss", trial.loss.text()},
                      {"seed", trial.seed},
                      {"head", std::string(name_of(trial.head))},
                      {"parameters", trial.parameters}});
  Json options = Json::object();
  visit_options(plan.options,
                [&](const char* name, const auto& value, const char*) { options[name] = to_json(value); });
  return {{"out", folder.string()},
          {"options", options},
          {"train_counts", plan.split.train_counts},
          {"class_names", plan.split.class_names},
          {"split_sha256", plan.split.sha256},
          {"columns", Json::parse(ulmus::to_json(plan.columns))},
          {"notes", all_notes(plan.data)},
          {"skipped", plan.data.skipped.total()},
          {"skipped_by_reason", plan.data.skipped.counts()},
          {"members", trials}};
}

}  // namespace ulmus::cli
