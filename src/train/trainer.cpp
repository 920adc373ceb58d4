#include "train/trainer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>

#include "train/checkpoint.hpp"
#include "train/derived_options.hpp"
#include "train/forward.hpp"
#include "train/gallery.hpp"
#include "train/head_fit.hpp"
#include "train/optimizer.hpp"
#include "train/optimizer_spec.hpp"
#include "train/run_data.hpp"
#include "train/sharpness.hpp"
#include "train/training_stage.hpp"
#include "train/weight_average.hpp"
#include "train/weights.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/torch/margin_loss.hpp"

namespace ulmus::detail {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A tensor that shares the memory of the labels.
torch::Tensor labels_of(std::vector<std::int64_t>& labels) {
  return torch::from_blob(labels.data(), {static_cast<std::int64_t>(labels.size())}, torch::kInt64);
}

Json accuracies(const Evaluation& evaluation) {
  return {{"balanced_accuracy", evaluation.balanced_accuracy}, {"top1", evaluation.top1}};
}

LossModule make_loss(const Plan& plan, const LossSpec& spec, std::uint64_t seed) {
  Loss loss(spec, plan.counts);
  LossState state = loss.state();
  state.seed = seed;
  loss.set_state(std::move(state));
  const Reduction reduction = requested_reduction(plan.options).value_or(loss.params().reduction);
  return LossModule(std::move(loss), reduction);
}

/// Evaluations of the current weights on the parts that are not used for training.
struct Evaluations {
  Evaluation test;
  std::optional<Evaluation> validation;
  std::optional<Predictions> predictions;  ///< for the test part, after the last epoch of a trial that shows images
};

/// Trains one trial, epoch by epoch.
class Trainer {
 public:
  Trainer(const Plan& plan, const Trial& trial, const FrozenBackbone& frozen)
      : plan_(plan),
        trial_(trial),
        backbone_sha256_(frozen.sha256),
        stage_(first_stage(plan, trial, frozen.features ? &*frozen.features : nullptr)),
        loss_(make_loss(plan, initial_loss(trial.loss), trial.seed)),
        placement_(make_placement(plan.options)),
        spec_(OptimizerSpec::parse(plan.options.optimizer)),
        model_(make_model(model_options(plan.options, plan.data.train, trial.head))),
        classifier_(stage_.on_features ? head_alone(model_) : model_) {
    initialise(model_, trial.seed);
    if (plan.weights) plan.weights->load_into(model_, model_options(plan.options, plan.data.train, trial.head));
    place(model_, placement_);
    std::vector<torch::Tensor> biases;
    if (const double bias = loss_->loss().hooks().initial_bias; bias != 0) {
      // Sigmoid losses start from a prior probability; weight decay would pull the bias away from it.
      const torch::NoGradGuard no_gradient;
      biases.push_back(model_->head_inputs({}).bias.fill_(bias));
    }
    optimizer_ = make_optimizer(*model_, plan.options, biases);
    if (spec_.focal) focal_weights_ = focal_class_weights(plan.counts.values(), *spec_.focal).to(placement_.device);
    if (plan.options.ema) average_.emplace(model_, *plan.options.ema);
    if (stage_.frozen)
      for (torch::Tensor& parameter : backbone_parameters(*model_))
        if (parameter.requires_grad()) frozen_parameters_.push_back(parameter.requires_grad_(false));
    make_loader();
  }

  /// Continues from a checkpoint.
  void restore(const std::filesystem::path& checkpoint) {
    const SafetensorsFile file(checkpoint);
    const CheckpointInfo info = read_checkpoint_info(file);
    if (loss_of(info, checkpoint) != trial_.loss || info.seed != trial_.seed || info.epochs != plan_.all_epochs())
      throw Error(
          ErrorKind::data,
          fmt::format("checkpoint '{}' belongs to {} seed {} over {} epochs, expected {} seed {} over {}; remove it "
                      "to train this trial again",
                      checkpoint.string(), info.loss, info.seed, info.epochs, trial_.loss.full_text(), trial_.seed,
                      plan_.all_epochs()));
    if (!info.model.script_sha256.empty() && info.model.script_sha256 != model_->script_sha256())
      throw Error(
          ErrorKind::data,
          fmt::format("checkpoint '{}' was trained with a TorchScript file of SHA-256 {}, '{}' has {}; name "
                      "that file by {}",
                      checkpoint.string(), printable(info.model.script_sha256, 64),
                      plan_.options.model_file.value_or(""), model_->script_sha256(), option_name("model_file")));
    load_checkpoint(file, model_, optimizer_.get(), average());
    backbone_sha256_ = info.backbone_sha256;  // those of Ulmus 0.1 hold the whole model, and later ones too
    if (info.chosen) use_choice(*info.chosen);
    loss_->set_state({.values = info.loss_state, .seed = trial_.seed});
    epoch_ = info.epochs_done;
    seconds_before_ = info.seconds;
    if (epoch_ > plan_.epochs()) unfreeze();
  }

  void save(const std::filesystem::path& checkpoint) {
    const bool finished = this->finished();
    save_checkpoint(checkpoint,
                    {.loss = trial_.loss.full_text(),
                     .seed = trial_.seed,
                     .epochs_done = epoch_,
                     .epochs = plan_.all_epochs(),
                     .seconds = seconds(),
                     .model = model_options(plan_.options, plan_.data.train, trial_.head),
                     .normalisation = plan_.normalisation,
                     .class_names = plan_.data.train.class_names(),
                     .loss_state = loss_->loss().state().values,
                     .encoding = plan_.encoding,
                     .chosen = chosen_,
                     .backbone_sha256 = backbone_sha256_},
                    model_, finished ? nullptr : optimizer_.get(), average());
  }

  bool finished() const { return epoch_ == plan_.all_epochs(); }

  /// Whether the next epoch is one of a head on features, which takes less time than writing a checkpoint.
  bool next_is_quick() const { return stage_.on_features && epoch_ < plan_.epochs(); }

  /// Trains one epoch and returns its line of metrics.jsonl.
  Json run_epoch(const TrialProgress& progress, const std::function<bool()>& stop) {
    const std::int64_t epochs = plan_.all_epochs();
    const auto start = Clock::now();
    if (epoch_ == plan_.epochs()) unfreeze();
    const Json candidates = choose();
    evaluations_.reset();
    classifier_->train(stage_.moves_statistics);
    loss_->set_epoch(std::min(epoch_, plan_.epochs() - 1), plan_.epochs());
    if (!stage_.views.empty()) make_loader();
    loader_->start(epoch_);
    const std::int64_t steps = loader_->batches();
    double loss_sum = 0, first_rate = 0, first_backbone_rate = 0;
    std::int64_t step = 0, samples = 0, correct = 0;
    for (Batch batch; loader_->next(batch); ++step) {
      if (stop && stop())
        throw Error(ErrorKind::interrupted,
                    fmt::format("interrupted in epoch {} of {} seed {}", epoch_ + 1, trial_.loss.text(), trial_.seed));
      const std::int64_t epoch = epoch_ - stage_.first_epoch;
      const double rate = learning_rate(stage_.head, epoch, stage_.epochs, step, steps);
      const double backbone_rate = learning_rate(stage_.backbone, epoch, stage_.epochs, step, steps);
      if (step == 0) first_rate = rate, first_backbone_rate = backbone_rate;
      set_rates(*optimizer_, rate, backbone_rate);
      model_->set_step(trial_.seed, epoch_ * steps + step);

      std::int64_t correct_in_batch = 0;
      const torch::Tensor loss = loss_of_batch(batch, &correct_in_batch);
      const auto value = loss.item<double>();
      if (!std::isfinite(value))
        throw Error(ErrorKind::numerical,
                    fmt::format("the loss is {} at step {} of {} in epoch {} of {} seed {} (step {} in all); lower {} "
                                "(now {}) or the loss's scale",
                                std::isnan(value) ? "not a number" : "infinite", step + 1, steps, epoch_ + 1,
                                trial_.loss.text(), trial_.seed, epoch_ * steps + step + 1, option_name("lr"),
                                stage_.head.base));
      optimizer_->zero_grad();
      loss.backward();
      if (spec_.rho) look_around(batch);
      if (plan_.options.clip) clip_gradients(*optimizer_, *plan_.options.clip);
      optimizer_->step();
      if (average_) average_->update(epoch_ * steps + step);

      loss_sum += value * static_cast<double>(batch.size);
      samples += batch.size;
      correct += correct_in_batch;
      report(progress, step + 1, steps, loss_sum / static_cast<double>(samples), nullptr);
    }
    const auto& [test, validation, predictions] = evaluations();
    Json line = {{"loss", trial_.loss.text()},
                 {"seed", trial_.seed},
                 {"epoch", epoch_},
                 {"epochs", epochs},
                 {"learning_rate", first_rate},
                 {"reweighted", !loss_->loss().class_weights().empty()},
                 {"train_loss", loss_sum / static_cast<double>(samples)},
                 {"train_top1", static_cast<double>(correct) / static_cast<double>(samples)},
                 {"test", accuracies(test)},
                 {"validation", validation ? accuracies(*validation) : Json()},
                 {"seconds", seconds_since(start)}};
    if (!stage_.frozen && first_backbone_rate != first_rate) line["learning_rate_backbone"] = first_backbone_rate;
    if (chosen_) line["chosen"] = selection();
    if (!candidates.is_null()) line["trials"] = candidates;
    report(progress, steps, steps, loss_sum / static_cast<double>(samples), &test);
    ++epoch_;
    return line;
  }

  /// The content of the trial's file in results/.
  Json result() {
    const auto& [test, validation, predictions] = evaluations();
    Json result = {{"schema_version", k_result_schema_version},
                   {"loss", trial_.loss.text()},
                   {"loss_full", trial_.loss.full_text()},
                   {"order", trial_.order},
                   {"seed", trial_.seed},
                   {"epochs", plan_.all_epochs()},
                   {"model", plan_.options.model},
                   {"head", std::string(name_of(trial_.head))},
                   {"scale", trial_.loss.scale()},
                   {"parameters", trial_.parameters},
                   {"seconds", seconds()},
                   {"train", evaluate(stage_.train, plan_.split.train)},
                   {"test", test},
                   {"validation", validation ? Json(*validation) : Json()},
                   {"selection", chosen_ ? selection() : Json()}};
    if (predictions)
      result["predictions"] = {{"classes", predictions->classes}, {"confidence", predictions->confidence}};
    return result;
  }

 private:
  /// The chosen value and the number of candidates.
  Json selection() const {
    const Key& key = *trial_.loss.automatic();
    return {{"chosen", fmt::format("{}={}", key.name, *chosen_)}, {"candidates", key.automatic.size()}};
  }

  /// Whether the evaluation after this epoch is that of the result.
  bool is_last_epoch() const { return epoch_ + 1 >= plan_.all_epochs(); }

  /// Whether the result has the predictions of the test images, from which the report chooses pictures.
  bool shows_images() const { return trial_.seed == plan_.options.seed && has_gallery(plan_); }

  void use_choice(const std::string& value) {
    chosen_ = value;
    loss_ = make_loss(plan_, trial_.loss.with(trial_.loss.automatic()->name, value), trial_.seed);
  }

  /// Chooses the value of an `auto` key before the epochs in which it is due, and returns the evaluation of each
  /// candidate, or null. Fits a head with each candidate on the current features, and takes the best on the validation
  /// part. If that changes the loss of a network, training continues with the fitted head, because the old one may not
  /// catch up in the remaining epochs. A head alone is then trained from the start as its candidate was.
  Json choose() {
    const std::vector<std::int64_t> due = choice_epochs(plan_, trial_.loss);
    if (std::ranges::find(due, epoch_) == due.end()) return nullptr;
    const Key* key = trial_.loss.automatic();
    std::vector<HeadWeights> heads;
    std::vector<Evaluation> evaluations;
    Json candidates = Json::array();
    {
      const AveragedWeights averaged(average());
      const auto features_of = [&](const std::vector<std::int64_t>& indices) {
        if (stage_.head_alone)
          return FeatureSet{.data = stage_.train,
                            .indices = indices,
                            .normalisation = stage_.normalisation,
                            .views = stage_.views,
                            .shuffle = stage_.shuffle};
        return extract_features(classifier_, stage_.train, indices, stage_.normalisation,
                                static_cast<int>(plan_.options.loader_threads), placement_);
      };
      const FeatureSet train = features_of(plan_.split.train), validation = features_of(plan_.split.validation);
      HeadFitOptions options = head_fit_options(plan_.options, trial_.seed);
      options.sampler = trial_.sampler;
      if (!options.defers) options.sampler.from = 0;
      for (const double value : key->automatic) {
        const LossSpec loss = trial_.loss.with(key->name, format_number(value));
        heads.push_back(fit_head(train, loss, plan_.counts, trial_.head, options));
        evaluations.push_back(evaluate_head(heads.back(), validation, plan_.counts, loss.scale()));
        candidates.push_back({{key->name, value},
                              {"balanced_accuracy", evaluations.back().balanced_accuracy},
                              {"nll", evaluations.back().nll}});
      }
    }
    const std::size_t best = best_evaluation(evaluations);
    const LossSpec before = loss_->loss().spec();
    use_choice(format_number(key->automatic[best]));
    if (!stage_.head_alone && loss_->loss().spec() != before) replace_head(heads[best]);
    return candidates;
  }

  /// Replaces the head in the weights and in their average, and resets its optimizer state.
  void replace_head(const HeadWeights& head) {
    const torch::NoGradGuard no_gradient;
    const HeadInputs parameters = model_->head_inputs({});
    for (const torch::Tensor& parameter : {parameters.weight, parameters.bias})
      if (parameter.defined()) forget(*optimizer_, parameter);
    set_head(model_, head);
    const AveragedWeights averaged(average());
    set_head(model_, head);
  }

  double seconds() const { return seconds_before_ + seconds_since(start_); }

  WeightAverage* average() { return average_ ? &*average_ : nullptr; }

  /// Goes on to train all layers, on the images themselves.
  void unfreeze() {
    stage_ = second_stage(plan_, trial_, stage_);
    classifier_ = model_;
    for (torch::Tensor& parameter : frozen_parameters_) parameter.requires_grad_(true);
    frozen_parameters_.clear();
    make_loader();
  }

  void make_loader() {
    const std::vector<std::int64_t>& indices = plan_.split.train;
    const std::int64_t batch_size = plan_.options.batch_size;
    loader_ = std::make_unique<Loader>(
        stage_.data_of(epoch_), indices,
        LoaderOptions{.batch_size = batch_size,
                      .shuffle = true,
                      // Batch norm over vectors has no variance of a single sample; every epoch leaves out another one.
                      .drop_last = !stage_.head_alone && std::ssize(indices) % batch_size == 1,
                      .augmentation = stage_.augmentation,
                      .normalisation = stage_.normalisation,
                      .seed = trial_.seed,
                      .threads = static_cast<int>(plan_.options.loader_threads),
                      .sampler = stage_.sampler,
                      .epochs = stage_.first_epoch + stage_.epochs,
                      .blocks = stage_.shuffle});
  }

  /// Replaces the gradient by that of sharpness-aware minimisation.
  void look_around(Batch& batch) {
    const auto backward = [&] {
      loss_->eval();  // its state moves once a batch
      loss_of_batch(batch, nullptr, true).backward();
      loss_->train();
    };
    if (spec_.focal)
      focal_sharpness_aware_gradient(*optimizer_, *model_, *spec_.rho, spec_.sharpness, backward);
    else
      sharpness_aware_gradient(*optimizer_, *model_, *spec_.rho, backward);
  }

  /// The loss at the present weights, of two samples each where the batch is mixed; with `focal`, rows have the weights
  /// of Focal-SAM in the gradient, where there are any.
  torch::Tensor loss_of_batch(Batch& batch, std::int64_t* correct, bool focal = false) {
    const auto labels = labels_of(batch.labels).to(placement_.device);
    torch::Tensor features;
    {
      const torch::AutoGradMode backbone_gradient(!stage_.frozen);
      features = compute_features(classifier_, images_of(batch, stage_.train.shape()), placement_);
    }
    auto logits = model_->classify(features);
    if (focal && focal_weights_.defined()) logits = with_row_gradients(logits, labels, focal_weights_);
    const auto loss = loss_(logits, labels, model_->head_inputs(features), correct);
    if (batch.second_labels.empty()) return loss;
    return batch.lambda * loss +
           (1 - batch.lambda) * margin_loss(logits, labels_of(batch.second_labels).to(placement_.device), loss_->loss(),
                                            loss_->reduction(), model_->head_inputs(features));
  }

  Evaluation evaluate(const Dataset& data, const std::vector<std::int64_t>& indices, const BatchVisitor& visit = {}) {
    const AveragedWeights averaged(average());
    return evaluate_model(classifier_, data, indices, plan_.counts, stage_.normalisation, trial_.loss.scale(),
                          static_cast<int>(plan_.options.loader_threads), placement_, visit);
  }

  /// Computed once for the current weights: the result uses the evaluations of the last epoch.
  const Evaluations& evaluations() {
    if (!evaluations_) {
      evaluations_.emplace();
      BatchVisitor record;
      if (is_last_epoch() && shows_images()) {
        Predictions& predictions = evaluations_->predictions.emplace();
        record = [&](const torch::Tensor& logits, std::span<const std::int64_t>) {
          predictions.add(logits, trial_.loss.scale());
        };
      }
      const TestPart test = test_part(stage_.train, stage_.test, plan_.split);
      evaluations_->test = evaluate(test.data, test.indices, record);
      if (!plan_.split.validation.empty()) evaluations_->validation = evaluate(stage_.train, plan_.split.validation);
    }
    return *evaluations_;
  }

  void report(const TrialProgress& progress, std::int64_t step, std::int64_t steps, double train_loss,
              const Evaluation* test) const {
    report_progress(
        progress,
        {.epoch = epoch_, .epochs = plan_.all_epochs(), .step = step, .steps = steps, .train_loss = train_loss}, test);
  }

  const Plan& plan_;
  const Trial& trial_;
  std::optional<std::string> backbone_sha256_;  ///< if checkpoints share the backbone
  TrainingStage stage_;
  LossModule loss_;
  Placement placement_;
  OptimizerSpec spec_;
  torch::Tensor focal_weights_;  ///< float [C], of Focal-SAM
  Classifier model_;
  Classifier classifier_;                         ///< the model, or only its head if the data are features
  std::vector<torch::Tensor> frozen_parameters_;  ///< will require gradients again
  std::unique_ptr<Loader> loader_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::optional<WeightAverage> average_;
  std::optional<Evaluations> evaluations_;
  std::optional<std::string> chosen_;  ///< value of the loss's `auto` key, once it is chosen
  std::int64_t epoch_ = 0;             ///< completed epochs
  double seconds_before_ = 0;
  Clock::time_point start_ = Clock::now();
};

}  // namespace

void report_progress(const TrialProgress& progress, Progress update, const Evaluation* test) {
  if (!progress) return;
  if (test) {
    update.epoch_done = true;
    update.balanced_accuracy = test->balanced_accuracy;
  }
  progress(update);
}

LossSpec initial_loss(const LossSpec& loss) {
  const Key* key = loss.automatic();
  return key ? loss.with(key->name, format_number(key->automatic[key->automatic.size() / 2])) : loss;
}

void train_trial(const Plan& plan, const Trial& trial, const TrialPaths& paths, const TrialProgress& progress,
                 const std::function<bool()>& stop, const FrozenBackbone& frozen) {
  constexpr double k_seconds_between = 30;  // an epoch of a head is shorter than writing a checkpoint
  Trainer trainer(plan, trial, frozen);
  if (std::filesystem::exists(paths.checkpoint)) trainer.restore(paths.checkpoint);
  auto saved = Clock::now();
  while (!trainer.finished()) {
    const Json line = trainer.run_epoch(progress, stop);
    append_line(paths.metrics, line.dump());
    if (trainer.next_is_quick() && seconds_since(saved) < k_seconds_between) continue;
    trainer.save(paths.checkpoint);
    saved = Clock::now();
  }
  write_file(paths.result, trainer.result().dump() + "\n");
}

}  // namespace ulmus::detail
