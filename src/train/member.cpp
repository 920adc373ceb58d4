#include "train/member.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

#include "train/checkpoint.hpp"
#include "train/head_fit.hpp"
#include "train/inference.hpp"
#include "train/optimizer.hpp"
#include "train/weight_average.hpp"
#include "train/weights.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/torch/margin_loss.hpp"

namespace ulmus::detail {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// A tensor over the same memory.
torch::Tensor labels_of(std::vector<std::int64_t>& labels) {
  return torch::from_blob(labels.data(), {static_cast<std::int64_t>(labels.size())}, torch::kInt64);
}

Json brief(const Evaluation& evaluation) {
  return {{"balanced_accuracy", evaluation.balanced_accuracy}, {"top1", evaluation.top1}};
}

LossModule make_loss(const Plan& plan, const LossSpec& spec, std::uint64_t seed) {
  Loss loss(spec, plan.counts);
  LossState state = loss.state();
  state.seed = seed;
  loss.set_state(std::move(state));
  const Reduction reduction =
      plan.options.reduction == "auto" ? loss.params().reduction : parse_reduction(plan.options.reduction);
  return LossModule(std::move(loss), reduction);
}

/// How the weights do on what they are not trained on.
struct Judgement {
  Evaluation test;
  std::optional<Evaluation> validation;
};

/// One member while it trains.
class Training {
 public:
  Training(const Plan& plan, const RunMember& member)
      : plan_(plan),
        member_(member),
        loss_(make_loss(plan, first_loss(member.loss), member.seed)),
        placement_(make_placement(plan.options)),
        model_(make_model(model_options(plan.options, plan.data.train, member.head))),
        loader_(plan.data.train, plan.split.train,
                {.batch_size = plan.options.batch_size,
                 .shuffle = true,
                 // Batch norm over vectors has no variance of a single sample; another is left out in every epoch.
                 .drop_last = static_cast<std::int64_t>(plan.split.train.size()) % plan.options.batch_size == 1,
                 .augmentation = plan.augmentation,
                 .normalisation = plan.normalisation,
                 .seed = member.seed,
                 .threads = static_cast<int>(plan.options.loader_threads),
                 .sampler = member.sampler,
                 .epochs = plan.options.epochs}) {
    initialise(model_, member.seed);
    if (!plan.options.weights.empty())
      load_weights(plan.options.weights, model_, model_options(plan.options, plan.data.train, member.head));
    place(model_, placement_);
    if (frozen())
      for (torch::Tensor& parameter : backbone_parameters(*model_)) parameter.requires_grad_(false);
    std::vector<torch::Tensor> biases;
    if (const double bias = loss_->loss().hooks().initial_bias; bias != 0) {
      // The sigmoid losses start from a prior probability, from which weight decay would drag them away.
      const torch::NoGradGuard no_gradient;
      biases.push_back(model_->head_inputs({}).bias.fill_(bias));
    }
    optimizer_ = make_optimizer(*model_, plan.options, biases);
    if (plan.options.ema > 0) average_.emplace(model_, plan.options.ema);
  }

  /// Goes back to where a checkpoint was written.
  void restore(const std::filesystem::path& checkpoint) {
    const SafetensorsFile file(checkpoint);
    const CheckpointInfo info = read_checkpoint_info(file);
    if (loss_of(info, checkpoint) != member_.loss || info.seed != member_.seed || info.epochs != plan_.options.epochs)
      throw Error(
          ErrorKind::data,
          fmt::format("checkpoint '{}' belongs to {} seed {} over {} epochs, expected {} seed {} over {}; remove it "
                      "to train this member again",
                      checkpoint.string(), info.loss, info.seed, info.epochs, member_.loss.full_text(), member_.seed,
                      plan_.options.epochs));
    if (!info.model.script_sha256.empty() && info.model.script_sha256 != model_->script_sha256())
      throw Error(ErrorKind::data,
                  fmt::format("checkpoint '{}' was trained with a TorchScript file of SHA-256 {}, '{}' has {}; name "
                              "that file by --trust-model",
                              checkpoint.string(), printable(info.model.script_sha256, 64), plan_.options.model_file,
                              model_->script_sha256()));
    load_checkpoint(file, model_, optimizer_.get(), average());
    if (!info.chosen.empty()) use_choice(info.chosen);
    loss_->set_state({.values = info.loss_state, .seed = member_.seed});
    epoch_ = info.epochs_done;
    seconds_before_ = info.seconds;
  }

  void save(const std::filesystem::path& checkpoint) {
    const bool finished = epoch_ == plan_.options.epochs;
    save_checkpoint(checkpoint,
                    {.loss = member_.loss.full_text(),
                     .seed = member_.seed,
                     .epochs_done = epoch_,
                     .epochs = plan_.options.epochs,
                     .seconds = seconds(),
                     .model = model_options(plan_.options, plan_.data.train, member_.head),
                     .normalisation = plan_.normalisation,
                     .class_names = plan_.data.train.class_names(),
                     .loss_state = loss_->loss().state().values,
                     .encoding = plan_.encoding,
                     .chosen = chosen_},
                    model_, finished ? nullptr : optimizer_.get(), average());
  }

  bool finished() const { return epoch_ == plan_.options.epochs; }

  /// Trains one epoch and says how it went, as a line of metrics.jsonl.
  Json run_epoch(const MemberProgress& progress, const std::function<bool()>& stop) {
    const std::int64_t epochs = plan_.options.epochs;
    const auto start = Clock::now();
    const Json trials = choose();
    judgement_.reset();
    model_->train(!frozen());
    loss_->set_epoch(epoch_, epochs);
    loader_.start(epoch_);
    const std::int64_t steps = loader_.batches();
    double loss_sum = 0, first_rate = 0;
    std::int64_t step = 0, samples = 0, correct = 0;
    for (Batch batch; loader_.next(batch); ++step) {
      if (stop && stop())
        throw Error(ErrorKind::interrupted, fmt::format("interrupted in epoch {} of {} seed {}", epoch_ + 1,
                                                        member_.loss.text(), member_.seed));
      const double rate = learning_rate(plan_.schedule, epoch_, epochs, step, steps);
      if (step == 0) first_rate = rate;
      for (auto& group : optimizer_->param_groups()) group.options().set_lr(rate);
      model_->set_step(member_.seed, epoch_ * steps + step);

      const auto labels = labels_of(batch.labels).to(placement_.device);
      const auto features = train_features(images_of(batch, plan_.data.train.shape()));
      const auto logits = model_->classify(features);
      auto loss = loss_(logits, labels, model_->head_inputs(features));
      if (!batch.second_labels.empty())  // mixed of two samples
        loss = batch.lambda * loss +
               (1 - batch.lambda) * margin_loss(logits, labels_of(batch.second_labels).to(placement_.device),
                                                loss_->loss(), loss_->reduction(), model_->head_inputs(features));
      const auto value = loss.item<double>();
      if (!std::isfinite(value))
        throw Error(
            ErrorKind::numerical,
            fmt::format("the loss is {} at step {} of {} in epoch {} of {} seed {} (step {} in all); lower --lr "
                        "(now {}) or the loss's scale",
                        std::isnan(value) ? "not a number" : "infinite", step + 1, steps, epoch_ + 1,
                        member_.loss.text(), member_.seed, epoch_ * steps + step + 1, plan_.options.lr));
      optimizer_->zero_grad();
      loss.backward();
      if (plan_.options.clip > 0) clip_gradients(*optimizer_, plan_.options.clip);
      optimizer_->step();
      if (average_) average_->update(epoch_ * steps + step);

      loss_sum += value * static_cast<double>(batch.size);
      samples += batch.size;
      correct += (logits.argmax(1) == labels).sum().item<std::int64_t>();
      report(progress, step + 1, steps, loss_sum / static_cast<double>(samples), nullptr);
    }
    const auto& [test, validation] = judgement();
    Json line = {{"loss", member_.loss.text()},
                 {"seed", member_.seed},
                 {"epoch", epoch_},
                 {"epochs", epochs},
                 {"learning_rate", first_rate},
                 {"reweighted", !loss_->loss().class_weights().empty()},
                 {"train_loss", loss_sum / static_cast<double>(samples)},
                 {"train_top1", static_cast<double>(correct) / static_cast<double>(samples)},
                 {"test", brief(test)},
                 {"validation", validation ? brief(*validation) : Json()},
                 {"seconds", seconds_since(start)}};
    if (!chosen_.empty()) line["chosen"] = selection();
    if (!trials.is_null()) line["trials"] = trials;
    report(progress, steps, steps, loss_sum / static_cast<double>(samples), &test);
    ++epoch_;
    return line;
  }

  /// The finished member, as its file in results/.
  Json result() {
    const auto& [test, validation] = judgement();
    return {{"schema_version", k_result_schema_version},
            {"loss", member_.loss.text()},
            {"loss_full", member_.loss.full_text()},
            {"order", member_.order},
            {"seed", member_.seed},
            {"epochs", plan_.options.epochs},
            {"model", plan_.options.model},
            {"head", std::string(name_of(member_.head))},
            {"scale", member_.loss.scale()},
            {"parameters", member_.parameters},
            {"seconds", seconds()},
            {"train", judge(plan_.data.train, plan_.split.train)},
            {"test", test},
            {"validation", validation ? Json(*validation) : Json()},
            {"selection", chosen_.empty() ? Json() : selection()}};
  }

 private:
  /// What was chosen, among how many.
  Json selection() const {
    const Key& key = *member_.loss.automatic();
    return {{"chosen", fmt::format("{}={}", key.name, chosen_)}, {"candidates", key.automatic.size()}};
  }

  void use_choice(const std::string& value) {
    chosen_ = value;
    loss_ = make_loss(plan_, member_.loss.with(member_.loss.automatic()->name, value), member_.seed);
  }

  /// Chooses the value of a key `auto` before the epochs where it is due, and says how each did: a head is fitted with
  /// each on the features as they are, and the best on the validation part is taken. Where that changes the loss, the
  /// training goes on with the fitted head: in the epochs that are left the old one may not come as far.
  Json choose() {
    const Key* key = member_.loss.automatic();
    if (!key) return nullptr;
    const std::vector<long long> due = member_.loss.choice_epochs(plan_.options.epochs);
    if (std::ranges::find(due, epoch_) == due.end()) return nullptr;
    std::vector<HeadWeights> heads;
    std::vector<Evaluation> evaluations;
    Json trials = Json::array();
    {
      const AveragedWeights averaged(average());
      const auto features_of = [&](const std::vector<std::int64_t>& indices) {
        return extract_features(model_, plan_.data.train, indices, plan_.normalisation,
                                static_cast<int>(plan_.options.loader_threads), placement_);
      };
      const FeatureSet train = features_of(plan_.split.train), validation = features_of(plan_.split.validation);
      HeadFitOptions options = fit_options(plan_.options, member_.seed);
      options.sampler = member_.sampler;
      options.sampler.from = 0;
      for (const double value : key->automatic) {
        const LossSpec loss = member_.loss.with(key->name, format_number(value));
        heads.push_back(fit_head(train, loss, plan_.counts, member_.head, options));
        evaluations.push_back(judge_head(heads.back(), validation, plan_.counts, loss.scale()));
        trials.push_back({{key->name, value},
                          {"balanced_accuracy", evaluations.back().balanced_accuracy},
                          {"nll", evaluations.back().nll}});
      }
    }
    const std::size_t best = best_of(evaluations);
    const LossSpec before = loss_->loss().spec();
    use_choice(format_number(key->automatic[best]));
    if (loss_->loss().spec() != before) take_head(heads[best]);
    return trials;
  }

  /// Into the weights and their average; the optimizer begins anew with it.
  void take_head(const HeadWeights& head) {
    const torch::NoGradGuard no_gradient;
    const HeadInputs parameters = model_->head_inputs({});
    for (const torch::Tensor& parameter : {parameters.weight, parameters.bias})
      if (parameter.defined()) forget(*optimizer_, parameter);
    set_head(model_, head);
    const AveragedWeights averaged(average());
    set_head(model_, head);
  }

  double seconds() const { return seconds_before_ + seconds_since(start_); }

  bool frozen() const { return plan_.options.freeze == "backbone"; }
  WeightAverage* average() { return average_ ? &*average_ : nullptr; }

  torch::Tensor train_features(const torch::Tensor& images) {
    const torch::AutoGradMode of_backbone(!frozen());
    return compute_features(model_, images, placement_);
  }

  Evaluation judge(const Dataset& data, const std::vector<std::int64_t>& indices) {
    const AveragedWeights averaged(average());
    return evaluate_model(model_, data, indices, plan_.counts, plan_.normalisation, member_.loss.scale(),
                          static_cast<int>(plan_.options.loader_threads), placement_);
  }

  /// Of the weights as they are, made once: the last epoch's is also the result's.
  const Judgement& judgement() {
    if (!judgement_) {
      const OpenedData& data = plan_.data;
      judgement_.emplace();
      judgement_->test = data.test ? judge(*data.test, all_of(*data.test)) : judge(data.train, plan_.split.test);
      if (!plan_.split.validation.empty()) judgement_->validation = judge(data.train, plan_.split.validation);
    }
    return *judgement_;
  }

  void report(const MemberProgress& progress, std::int64_t step, std::int64_t steps, double train_loss,
              const Evaluation* test) const {
    if (!progress) return;
    Progress news{
        .epoch = epoch_, .epochs = plan_.options.epochs, .step = step, .steps = steps, .train_loss = train_loss};
    if (test) {
      news.epoch_done = true;
      news.balanced_accuracy = test->balanced_accuracy;
    }
    progress(news);
  }

  const Plan& plan_;
  const RunMember& member_;
  LossModule loss_;
  Placement placement_;
  Classifier model_;
  Loader loader_;
  std::unique_ptr<torch::optim::Optimizer> optimizer_;
  std::optional<WeightAverage> average_;
  std::optional<Judgement> judgement_;
  std::string chosen_;      ///< value of the loss's key that is `auto`; empty: none, or not yet
  std::int64_t epoch_ = 0;  ///< finished epochs
  double seconds_before_ = 0;
  Clock::time_point start_ = Clock::now();
};

}  // namespace

LossSpec first_loss(const LossSpec& loss) {
  const Key* key = loss.automatic();
  return key ? loss.with(key->name, format_number(key->automatic[key->automatic.size() / 2])) : loss;
}

HeadFitOptions fit_options(const RunOptions& options, std::uint64_t seed) {
  return {.batch_size = options.batch_size, .reduction = options.reduction, .seed = seed};
}

std::vector<std::int64_t> all_of(const Dataset& data) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(data.size()));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  return indices;
}

ModelOptions model_options(const RunOptions& options, const Dataset& data, Head head) {
  return {.name = options.model,
          .channels = data.shape().channels,
          .height = data.shape().height,
          .width = data.shape().width,
          .classes = data.classes(),
          .head = head,
          .script = options.model_file};
}

void train_member(const Plan& plan, const RunMember& member, const MemberPaths& paths, const MemberProgress& progress,
                  const std::function<bool()>& stop) {
  Training training(plan, member);
  if (std::filesystem::exists(paths.checkpoint)) training.restore(paths.checkpoint);
  while (!training.finished()) {
    const Json line = training.run_epoch(progress, stop);
    append_line(paths.metrics, line.dump());
    training.save(paths.checkpoint);
  }
  write_file(paths.result, training.result().dump() + "\n");
}

}  // namespace ulmus::detail
