#include "ulmus/train/tune.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <utility>

#include "train/checkpointed_model.hpp"
#include "train/derived_options.hpp"
#include "train/feature_shuffle.hpp"
#include "train/forward.hpp"
#include "train/frozen_features.hpp"
#include "train/head_candidates.hpp"
#include "train/head_fit.hpp"
#include "train/run_data.hpp"
#include "train/torch_threads.hpp"
#include "train/trial_paths.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/folder_lock.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/threads.hpp"
#include "ulmus/train/address_space.hpp"
#include "ulmus/trees/tree_options.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using detail::CheckpointedModel;
using detail::CheckpointInfo;
using detail::FeatureSet;
using detail::HeadCandidate;
using detail::HeadFitOptions;
using detail::HeadWeights;

/// The one trained model that matches the selection; models made by tune cannot be tuned again.
CheckpointedModel find_model(const fs::path& folder, const ModelSelection& selection) {
  std::vector<CheckpointedModel> models = detail::all_models(folder);
  std::erase_if(models, [](const CheckpointedModel& model) { return model.info.tuned.has_value(); });
  models = detail::select_models(std::move(models), selection, folder);
  const CheckpointedModel& model = models[0];
  if (models.size() > 1)
    throw_usage(fmt::format("'{}' has {} models to tune; choose one by {} and {}: {}", folder.string(), models.size(),
                            option_name("loss"), option_name("seed"), detail::names_of(models)));
  if (is_tree_model(model.info.model.name))
    throw_usage(
        fmt::format("{} has trees, which have no head to fit anew; compare the losses instead, for example by "
                    "'ulmus compare ... {} {} {}'",
                    model.name(), option_name("model", "trees"),
                    option_name("losses", "la:tau=0.5,la:tau=1,elm:lambda=0.5"), option_name("validation", "20")));
  if (model.info.epochs_done < model.info.epochs)
    throw_usage(fmt::format("{} has trained {} of {} epochs; finish it first by {}", model.name(),
                            model.info.epochs_done, model.info.epochs,
                            option_name("resume", shell_quoted(folder.string()))));
  return model;
}

/// The features of the training and validation parts.
struct RunFeatures {
  FeatureSet train, validation;
};

/// Reads the features that an earlier call or the training has stored, and computes the others; those of a linear model
/// on features are the data. Afterwards the model is on the CPU, where heads are fitted.
RunFeatures run_features(Classifier& model, const Dataset& data, const Split& split, const RunOptions& run,
                         const detail::FeatureOptions& options) {
  Dataset features = data;
  Normalisation normalisation = options.normalisation;
  if (run.model != "linear" || !data.is_features()) {
    std::vector<std::int64_t> indices = split.train;
    indices.insert(indices.end(), split.validation.begin(), split.validation.end());
    detail::place(model, options.placement);
    features = detail::with_features(model, data, indices, options);
    normalisation = {};
  }
  model->to(torch::kCPU);
  const BlockShuffle shuffle =
      detail::choose_shuffle(run.shuffle, {.width = features.shape().channels}, run.sampler, usable_memory());
  return {.train = {.data = features, .indices = split.train, .normalisation = normalisation, .shuffle = shuffle},
          .validation = {.data = features, .indices = split.validation, .normalisation = normalisation}};
}

struct FittedHead {
  HeadWeights head;
  Evaluation validation;
};

FittedHead fit(const HeadCandidate& candidate, const HeadWeights& trained, const RunFeatures& features,
               const ClassCounts& counts, HeadFitOptions options) {
  HeadWeights head;
  if (candidate.stage) options.sampler = {.kind = Sampler::Kind::balanced};
  if (!candidate.stage || *candidate.stage == SecondStage::crt)
    head = detail::fit_head(features.train, candidate.loss, counts, candidate.result.head, options);
  else if (*candidate.stage == SecondStage::lws)
    head = detail::fit_class_scales(features.train, candidate.loss, counts, trained, options);
  else
    head = detail::tau_normalised(trained, candidate.tau);
  return {.head = head, .validation = detail::evaluate_head(head, features.validation, counts, candidate.result.scale)};
}

/// Fits all candidates, several concurrently, each on one thread, so that the bits do not depend on their number.
std::vector<FittedHead> fit_all(const std::vector<HeadCandidate>& candidates, const HeadWeights& trained,
                                const RunFeatures& features, const ClassCounts& counts, const HeadFitOptions& options,
                                std::size_t jobs, const std::function<bool()>& stop) {
  std::vector<FittedHead> fitted(candidates.size());
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    detail::set_torch_threads(1);
    for (std::size_t i; (i = next++) < candidates.size();) try {
        if (stop && stop()) throw Error(ErrorKind::interrupted, "interrupted; nothing was chosen");
        fitted[i] = fit(candidates[i], trained, features, counts, options);
      } catch (...) {
        next = candidates.size();
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
  };
  detail::run_on_threads(std::min(jobs, candidates.size()), work);
  if (error) std::rethrow_exception(error);
  return fitted;
}

/// Also evaluates the trained head, and chooses the best.
Tuning choose(const CheckpointedModel& model, const HeadWeights& trained, const Split& split,
              const std::vector<HeadCandidate>& candidates, const std::vector<FittedHead>& fitted,
              const Evaluation& trained_validation) {
  Tuning tuning{.loss = model.loss.text(),
                .seed = model.info.seed,
                .data = split.data,
                .validation_per_class = split.options.validation_per_class};
  tuning.candidates.push_back({.name = "as trained",
                               .entry = std::nullopt,
                               .values = {},
                               .head = trained.kind,
                               .scale = model.loss.scale(),
                               .validation = trained_validation});
  std::vector<Evaluation> evaluations = {trained_validation};
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    tuning.candidates.push_back(candidates[i].result);
    tuning.candidates.back().validation = fitted[i].validation;
    evaluations.push_back(fitted[i].validation);
  }
  tuning.chosen = detail::best_evaluation(evaluations);
  return tuning;
}

/// A copy of the model with another head.
Classifier with_head(const Classifier& model, ModelOptions options, const HeadWeights& head) {
  const torch::NoGradGuard no_gradient;
  options.head = head.kind;
  Classifier changed = make_model(options);
  const auto copy = [](const auto& from, const auto& to) {
    for (const auto& item : to)
      if (!item.key().starts_with("fc.")) item.value().copy_(from[item.key()]);
  };
  copy(model->named_parameters(), changed->named_parameters());
  copy(model->named_buffers(), changed->named_buffers());
  detail::set_head(changed, head);
  return changed;
}

/// The index of a loss in the list of the run, so that a report shows the new model after it.
std::int64_t position_of(const LossSpec& loss, const RunOptions& options) {
  const auto found = std::ranges::find(options.losses, loss);
  return found == options.losses.end() ? 0 : found - options.losses.begin();
}

/// The paths of the new model. Throws Error{usage} if a trained model already uses them.
detail::TrialPaths new_model_paths(const fs::path& folder, const std::string& name, std::uint64_t seed) {
  const detail::TrialPaths paths = detail::paths_of(folder, detail::slug_of(name, seed));
  if (fs::exists(paths.checkpoint) && detail::read_checkpoint_info(detail::SafetensorsFile(paths.checkpoint)).tuned)
    throw_usage(fmt::format("'{}' is a trained model, which is not overwritten; rename it", paths.checkpoint.string()));
  return paths;
}

}  // namespace

Tuning tune(const fs::path& folder, const RunOptions& run_options, const TuneOptions& options,
            const std::function<bool()>& stop) {
  if (options.jobs && (*options.jobs < 1 || *options.jobs > 256))
    throw_usage(fmt::format("{} is {}, expected 1 to 256", option_name("jobs"), *options.jobs));
  const FolderLock lock(folder);
  const Split split = read_split(folder / "split.json");
  if (split.validation.empty())
    throw_usage(fmt::format("'{}' has no validation part to choose on; train it again with {}, for example {}",
                            folder.string(), option_name("validation", "N"), option_name("validation", "20")));
  CheckpointedModel model = find_model(folder, options.model);
  detail::require_classes(model, split);
  Classifier classifier = model.load(run_options.model_file);
  const HeadWeights trained = detail::head_of(classifier);
  const std::vector<HeadCandidate> candidates = detail::make_candidates(options, model.loss, trained.kind);

  const OpenedData data = detail::open_run_data(run_options, model.info.encoding, split.class_names);
  detail::require_same_data(data, split, folder, "restore them");
  const ClassCounts counts(split.train_counts, split.class_names);
  const std::int64_t cores = usable_cores();
  detail::set_torch_threads(cores);
  detail::require_address_space(cores, 1);
  const int loader_threads = static_cast<int>(run_options.loader_threads);
  const detail::Placement placement = detail::make_placement(run_options);
  const RunFeatures features = run_features(classifier, data.train, split, run_options,
                                            {.folder = folder / "features",
                                             .normalisation = model.info.normalisation,
                                             .half = run_options.feature_precision == "f16",
                                             .loader_threads = loader_threads,
                                             .placement = placement,
                                             .stop = stop});

  const std::vector<FittedHead> fitted =
      fit_all(candidates, trained, features, counts, detail::head_fit_options(run_options, model.info.seed),
              static_cast<std::size_t>(options.jobs.value_or(cores)), stop);
  Tuning tuning = choose(model, trained, split, candidates, fitted,
                         detail::evaluate_head(trained, features.validation, counts, model.loss.scale()));
  if (!options.apply || tuning.chosen == 0) return tuning;

  const HeadCandidate& chosen = candidates[tuning.chosen - 1];
  const std::string name = fmt::format("{}/{}", tuning.loss, chosen.result.name);
  tuning.new_model = name;
  CheckpointInfo info = model.info;
  info.loss = chosen.loss.full_text();
  info.model.head = chosen.result.head;
  info.tuned = name;
  info.loss_state.clear();
  info.chosen.reset();
  ModelOptions model_options = model.info.model;
  model_options.script = run_options.model_file.value_or("");
  Classifier changed = with_head(classifier, std::move(model_options), fitted[tuning.chosen - 1].head);
  const detail::TrialPaths paths = new_model_paths(folder, name, info.seed);
  detail::place(changed, placement);
  const detail::TestPart test = detail::test_part(data.train, data.test, split);
  const auto evaluate = [&](const Dataset& set, const std::vector<std::int64_t>& indices) {
    return detail::evaluate_model(changed, set, indices, counts, info.normalisation, chosen.result.scale,
                                  loader_threads, placement);
  };
  const Json result = {
      {"schema_version", k_result_schema_version},
      {"loss", name},
      {"loss_full", fmt::format("{}/{}", model.loss.full_text(), chosen.stage ? chosen.result.name : info.loss)},
      {"order", position_of(model.loss, run_options)},
      {"seed", info.seed},
      {"epochs", info.epochs},
      {"model", info.model.name},
      {"head", std::string(name_of(info.model.head))},
      {"scale", chosen.result.scale},
      {"parameters", parameter_count(*changed)},
      {"seconds", info.seconds},
      {"train", evaluate(data.train, split.train)},
      {"test", evaluate(test.data, test.indices)},
      {"validation", evaluate(data.train, split.validation)},
      {"selection",
       {{"chosen", fmt::format("head {}", chosen.result.name)}, {"candidates", tuning.candidates.size()}}}};
  detail::save_checkpoint(paths.checkpoint, info, changed, nullptr);
  write_file(paths.result, result.dump() + "\n");
  return tuning;
}

}  // namespace ulmus
