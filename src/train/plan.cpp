#include "ulmus/train/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "train/derived_options.hpp"
#include "train/feature_shuffle.hpp"
#include "train/optimizer_spec.hpp"
#include "train/option_ranges.hpp"
#include "train/photo_weights.hpp"
#include "train/placement.hpp"
#include "train/pretrained.hpp"
#include "train/trainer.hpp"
#include "train/tree_plan.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/imbalance.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/trees/tree_options.hpp"

namespace ulmus {
namespace {

/// A few minutes for the small network; a short schedule for the others (the reference protocol has 200 epochs).
std::int64_t default_epochs(const std::string& model) { return model == "conv3" ? 8 : 30; }

/// Tables vary more in size than in difficulty: at least 2000 steps, in 10 to 200 epochs.
std::int64_t default_feature_epochs(std::int64_t samples, std::int64_t batch_size) {
  const std::int64_t steps = (samples + batch_size - 1) / batch_size;
  return std::clamp<std::int64_t>((2000 + steps - 1) / steps, 10, 200);
}

/// Sets the options that depend on the data and the model, and throws for options that cannot apply to them.
void resolve_training(RunOptions& o, const Dataset& data, std::int64_t samples) {
  const bool features = data.is_features(), scripted = o.model.starts_with("torchscript:");
  if (o.model == "auto") o.model = default_model(data.shape().channels, data.shape().height, data.shape().width);
  if (!features && o.freeze == "backbone" && !o.unfreeze && !o.views && o.augment == "auto") o.augment = "none";
  const bool head_alone = detail::trains_head_alone(o);
  if (o.schedule == "auto") o.schedule = "cosine";
  if (!o.epochs)
    o.epochs = features || head_alone ? default_feature_epochs(samples, o.batch_size) : default_epochs(o.model);
  detail::OptimizerSpec optimizer = detail::OptimizerSpec::parse(o.optimizer);
  if (optimizer.base.empty()) optimizer.base = features && !head_alone ? "adamw" : "sgd";
  o.optimizer = optimizer.text();
  const bool adamw = optimizer.base == "adamw";
  if (adamw && o.momentum != RunOptions().momentum)
    throw_usage(fmt::format("{} cannot apply: adamw has none; leave it out, or take {}",
                            option_name("momentum", format_number(o.momentum)), option_name("optimizer", "sgd")));
  const bool fine_tunes = o.freeze == "none" && (scripted || o.weights);
  const double rate = adamw ? 1e-3 : 0.1, fine_rate = rate / 10;  // of new and of trained weights
  if (o.unfreeze && !o.lr_backbone) o.lr_backbone = o.lr.value_or(fine_rate) / 10;
  if (!o.lr && !(head_alone && !adamw)) o.lr = fine_tunes ? fine_rate : rate;
  if (!o.weight_decay) o.weight_decay = adamw ? 1e-4 : 2e-4;
  if (scripted && o.weights)
    throw_usage(fmt::format("{} cannot apply: model '{}' brings its own weights; leave it out", option_name("weights"),
                            o.model));
  if (o.freeze == "backbone" && o.model == "linear")
    throw_usage(fmt::format("{} cannot apply: model 'linear' is a head alone; leave it out",
                            option_name("freeze", "backbone")));
  if (o.freeze == "backbone" && !scripted && !o.weights)
    throw_usage(fmt::format(
        "{} would train a head on the features of a '{}' with random weights; name trained ones with {}, or "
        "fetch published ones with script/weights",
        o.unfreeze ? option_name("unfreeze", option_text(o.unfreeze)) : option_name("freeze", "backbone"), o.model,
        option_name("weights", "FILE.safetensors")));
  if (o.unfreeze && o.freeze == "none")
    throw_usage(fmt::format("{} cannot apply: no layer is frozen before; add {}, or leave it out",
                            option_name("unfreeze", option_text(o.unfreeze)), option_name("freeze", "backbone")));
  if (o.lr_backbone && o.freeze == "backbone" && !o.unfreeze)
    throw_usage(fmt::format("{} cannot apply: the layers below the head are frozen; add {}, or leave it out",
                            option_name("lr_backbone", option_text(o.lr_backbone)), option_name("unfreeze", "10")));
  if (o.lr_backbone && o.model == "linear")
    throw_usage(fmt::format("{} cannot apply: model 'linear' is a head alone; leave it out",
                            option_name("lr_backbone", option_text(o.lr_backbone))));
  if (o.channels_last && features)
    throw_usage(
        fmt::format("{} cannot apply: the data are features, not images; leave it out", option_name("channels_last")));
}

Augmentation make_augmentation(std::string& name, const std::string& model, const Dataset& data) {
  if (name == "auto" && (model == "conv3" || data.is_features()))
    name = "none";  // the small network underfits in its few epochs
  else if (name == "auto")
    name = data.name() == "mnist" ? "crop" : "crop-flip";  // a mirrored digit is not a digit
  const Augmentation augmentation = Augmentation::parse(name, data.shape());
  require_applicable(augmentation, data);
  return augmentation;
}

/// Throws for views of images in a run that has none.
void check_views(const RunOptions& o, const Augmentation& augmentation, const Dataset& data) {
  if (!o.views) return;
  const auto cannot_apply = [&](const std::string& why) {
    throw_usage(fmt::format("{} cannot apply: {}, or leave it out", option_name("views", option_text(o.views)), why));
  };
  if (data.is_features()) cannot_apply("the data are features, of which there is one view; name image files");
  if (o.freeze != "backbone")
    cannot_apply(fmt::format("without a frozen backbone each epoch augments its images anew; add {}",
                             option_name("freeze", "backbone")));
  if (o.augment == "none")
    cannot_apply(fmt::format("images that are not augmented have one view; name an augmentation, for example {}",
                             option_name("augment", "crop-flip")));
  if (augmentation.mixup > 0 || augmentation.cutmix > 0)
    cannot_apply(
        fmt::format("{} mixes the images of a batch; name another augmentation", option_name("augment", o.augment)));
  if (*o.views > *o.epochs)
    cannot_apply(fmt::format("each of {} epochs has one view, so that some would not be used; name at most {}",
                             *o.epochs, *o.epochs));
}

/// Throws for a precision of features in a run that stores none.
void check_feature_precision(const RunOptions& o, bool stores_features) {
  if (o.feature_precision == RunOptions().feature_precision || stores_features) return;
  throw_usage(
      fmt::format("{} cannot apply: the run stores no features, which a frozen backbone computes of images that "
                  "are not augmented in every epoch; leave it out",
                  option_name("feature_precision", o.feature_precision)));
}

/// How a loss samples images: by its sampling rule, or by the sampler of the run.
Sampler make_sampler(const LossSpec& loss, const std::string& run_sampler) {
  const Sampler sampler = Sampler::parse(run_sampler);
  if (!loss.resamples()) return sampler;
  if (sampler.kind != Sampler::Kind::instance)
    throw_usage(fmt::format("{} and the rule +{} of loss '{}' both say how images are drawn; leave out one",
                            option_name("sampler", run_sampler), loss.rule()->name, loss.text()));
  return detail::rule_sampler(loss);
}

/// Throws for Focal-SAM if the gradient of a single sample cannot be weighted.
void check_focal(const LossSpec& loss, const RunOptions& options, const Augmentation& augmentation) {
  if (!detail::OptimizerSpec::parse(options.optimizer).focal) return;
  const LossDefinition& definition = loss.definition();
  if (!definition.chunkable || definition.needs.features || definition.needs.head)
    throw_usage(
        fmt::format("{} cannot apply to loss '{}', which is not a sum over samples of terms of their logits; "
                    "leave out focal, or the loss",
                    option_name("optimizer", options.optimizer), loss.text()));
  if (augmentation.mixup > 0 || augmentation.cutmix > 0)
    throw_usage(fmt::format("{} cannot apply: {} mixes samples of two classes; leave out focal, or the mixing",
                            option_name("optimizer", options.optimizer), option_name("augment", options.augment)));
}

/// Throws for a loss with an `auto` key in a run that cannot choose its value.
void check_choice(const LossSpec& loss, const RunOptions& options) {
  const Key* key = loss.automatic();
  if (!key) return;
  if (options.validation == 0)
    throw_usage(
        fmt::format("loss '{}' chooses {} on a validation part, and this run has none; add {}, for example {}, or "
                    "write a number, for example {}",
                    loss.text(), key->name, option_name("validation", "N"), option_name("validation", "20"),
                    loss.with(key->name, format_number(key->automatic[1])).text()));
  if (options.epochs < 2 && !detail::trains_head_alone(options))
    throw_usage(fmt::format("loss '{}' chooses {} on the features of an earlier epoch, and {} is {}; give at least 2",
                            loss.text(), key->name, option_name("epochs"), options.epochs.value()));
}

/// Whether features have one scale, as the outputs of a network have: no column's deviation is above 100 times the
/// median, and the means are not far larger than the deviations.
bool have_one_scale(const Normalisation& statistics) {
  constexpr double k_most = 100;
  std::vector<float> deviations = statistics.stddev;
  std::erase(deviations, 1.0f);  // of constant columns, as outputs that are always 0
  if (deviations.empty()) return true;
  const auto median = deviations.begin() + std::ssize(deviations) / 2;
  std::ranges::nth_element(deviations, median);
  const auto sum_of_squares = [](const std::vector<float>& values) {
    return std::transform_reduce(values.begin(), values.end(), 0.0, std::plus<>(),
                                 [](float value) { return static_cast<double>(value) * value; });
  };
  return std::ranges::max(deviations) <= k_most * *median &&
         sum_of_squares(statistics.mean) <= k_most * sum_of_squares(deviations);
}

/// How samples are normalised that no weights are for. The outputs of a network are the input of a linear model as they
/// are, so that it is trained as the head of that network with a frozen backbone; other features are standardised.
Normalisation own_normalisation(const Dataset& data, std::span<const std::int64_t> indices, const std::string& model) {
  Normalisation statistics = channel_statistics(data, indices);
  if (data.is_features() && model == "linear" && have_one_scale(statistics)) return {};
  return statistics;
}

/// As trains_on_features of a plan, from its resolved options.
bool trains_on_features(const RunOptions& options, const Dataset& data) {
  return options.freeze == "backbone" && (options.augment == "none" || options.views || options.unfreeze) &&
         !data.is_features();
}

}  // namespace

std::vector<std::int64_t> choice_epochs(const Plan& plan, const LossSpec& loss) {
  if (!loss.automatic()) return {};
  if (detail::trains_head_alone(plan.options)) return {0};  // the features are those of the end
  const std::vector<long long> epochs = loss.choice_epochs(plan.epochs());
  return {epochs.begin(), epochs.end()};
}

bool trains_on_features(const Plan& plan) { return trains_on_features(plan.options, plan.data.train); }

Plan plan_run(const RunOptions& given, const std::vector<std::string>& classes) {
  RunOptions options = given;
  detail::check_ranges(options);
  if (options.data.empty())
    throw_usage(fmt::format("no data set was named; write for example {} or {}", option_name("data", "fashion-mnist"),
                            option_name("data", "folder:DIR")));
  const std::vector<LossSpec>& losses = options.losses;
  if (losses.empty())
    throw_usage(fmt::format("no loss was named; write for example {}", option_name("losses", "ce,elm:lambda=0.5+drw")));
  const bool trees = is_tree_model(options.model);
  if (trees) detail::resolve_tree_options(options);
  std::vector<Head> heads;
  for (const LossSpec& loss : losses)
    heads.push_back(trees ? Head::linear : loss.choose_head(options.head == "auto" ? "" : options.head));
  if (detail::requested_reduction(options) == Reduction::none)
    throw_usage(fmt::format("{} gives a batch no single loss to train on; use weighted-mean or mean",
                            option_name("reduction", "none")));
  if (options.schedule != "auto") LearningRateSchedule::parse_kind(options.schedule);
  detail::make_placement(options);
  ImbalanceProfile::parse(options.imbalance);

  if (!trees) detail::resolve_weights(options);
  OpenOptions open = detail::open_options(options);
  open.classes = classes;
  OpenedData data = open_data(options.data, open);
  if (options.image_bits && data.image_bits == 0)
    throw_usage(fmt::format("{} cannot apply: the data are no image files; leave it out",
                            option_name("image_bits", option_text(options.image_bits))));
  if (data.image_bits != 0) options.image_bits = data.image_bits;  // fixes the scaling of 16-bit images
  if (data.test && options.test_fraction != RunOptions().test_fraction)
    throw_usage(fmt::format("{} cannot apply: the data have a test part; leave it out",
                            option_name("test_fraction", format_number(options.test_fraction))));
  const SplitOptions split_options{.imbalance = options.imbalance,
                                   .seed = options.split_seed,
                                   .validation_per_class = options.validation,
                                   .test_fraction = options.test_fraction,
                                   .rng = options.split_rng};
  Split split = make_split(data, split_options);
  std::optional<std::string> encoding;
  std::vector<ColumnSummary> columns;
  if (data.train_table) {
    const EncodingStyle style = trees ? EncodingStyle::raw : EncodingStyle::standardised;
    columns = summarise(*data.train_table, style);
    encoding = to_json(encode_tables(data, split.train, style));
  }
  ClassCounts counts(split.train_counts, split.class_names);
  if (trees)
    detail::require_tree_run(options, data.train, counts);
  else
    resolve_training(options, data.train, static_cast<std::int64_t>(split.train.size()));
  const LearningRateSchedule schedule{.kind = LearningRateSchedule::parse_kind(options.schedule),
                                      .base = options.lr.value_or(0),
                                      .warmup = options.warmup};
  const Augmentation augmentation = make_augmentation(options.augment, options.model, data.train);
  check_views(options, augmentation, data.train);
  check_feature_precision(options, trains_on_features(options, data.train));

  std::map<Head, std::int64_t> parameters;  // constructing a large model takes a second
  std::shared_ptr<const detail::PretrainedWeights> weights;
  if (options.weights) weights = std::make_shared<detail::PretrainedWeights>(*options.weights);
  std::optional<Normalisation> pretrained_normalisation;
  std::int64_t feature_width = 0;
  for (const Head head : heads) {
    if (parameters.contains(head)) continue;
    parameters[head] = 0;  // of trees, which are not grown yet
    if (trees) continue;
    detail::PretrainedModel pretrained = detail::make_pretrained(options, data.train, head, weights.get());
    parameters[head] = parameter_count(*pretrained.model);
    feature_width = pretrained.model->head_inputs({}).weight.size(1);
    pretrained_normalisation = std::move(pretrained.normalisation);
  }
  detail::FeatureExtent features;
  if (data.train.is_features())
    features = {.width = data.train.shape().channels, .bytes_on_disk = data.train.bytes_on_disk()};
  else if (trains_on_features(options, data.train))
    features = {.width = feature_width,
                .bytes_on_disk = std::ssize(split.train) * feature_width * options.views.value_or(1) *
                                 (options.feature_precision == "f16" ? 2 : 4)};
  if (trees) features = {};  // a round sees all rows
  const BlockShuffle shuffle = detail::choose_shuffle(options.shuffle, features, options.sampler, usable_memory());
  options.shuffle = shuffle.text();
  std::vector<Trial> trials;
  for (std::int64_t s = 0; s < options.seeds; ++s)
    for (std::size_t i = 0; i < losses.size(); ++i)
      trials.push_back({.loss = losses[i],
                        .order = static_cast<std::int64_t>(i),
                        .head = heads[i],
                        .sampler = make_sampler(losses[i], options.sampler),
                        .seed = options.seed + static_cast<std::uint64_t>(s),
                        .parameters = parameters.at(heads[i])});
  const std::int64_t cores = usable_cores();
  const std::int64_t default_jobs = options.device == "cpu" ? cores : 1;  // all jobs share the device's memory
  options.jobs = std::min(options.jobs.value_or(default_jobs), static_cast<std::int64_t>(trials.size()));
  if (!options.threads) options.threads = std::max<std::int64_t>(1, cores / *options.jobs);
  for (const LossSpec& loss : losses) {
    check_choice(loss, options);
    check_focal(loss, options, augmentation);
    if (loss.automatic() && !detail::trains_head_alone(options))
      detail::require_memory(std::ssize(split.train) + std::ssize(split.validation), feature_width,
                             fmt::format("the choice of {} in loss '{}'", loss.automatic()->name, loss.text()));
    Loss(detail::initial_loss(loss), counts);  // also reads the file of class weights, if any
  }
  // The encoding of a table has already standardised it, and trees use features unchanged.
  Normalisation normalisation;
  if (!encoding && !trees)
    normalisation = pretrained_normalisation ? *pretrained_normalisation
                                             : own_normalisation(data.train, split.train, options.model);
  return {std::move(options),       std::move(data), std::move(split),  std::move(counts),
          std::move(normalisation), augmentation,    shuffle,           std::move(encoding),
          std::move(columns),       schedule,        std::move(trials), std::move(weights)};
}

}  // namespace ulmus
