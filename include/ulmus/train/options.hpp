#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/spec.hpp"

namespace ulmus {

/// Everything that determines a run; `config.toml` contains the options that are set. For an unset option plan_run()
/// chooses the value, or a part of the training is omitted (`clip`, `ema`, `weights`).
struct RunOptions {
  std::string data;
  std::optional<std::string> data_root;
  std::string imbalance = "none";
  std::vector<LossSpec> losses;
  std::int64_t seeds = 1;
  std::uint64_t seed = 0;
  std::uint64_t split_seed = 0;
  std::string split_rng = "ulmus";
  std::int64_t validation = 0;
  double test_fraction = 0.2;
  std::optional<std::int64_t> image_size;
  std::optional<std::int64_t> image_bits;
  std::int64_t max_pixels = 100'000'000;
  bool skip_bad = false;
  std::string model = "auto";
  std::string head = "auto";
  std::optional<std::string> weights;
  std::string freeze = "auto";
  std::optional<std::int64_t> unfreeze;
  std::string augment = "auto";
  std::optional<std::int64_t> views;
  std::string feature_precision = "f32";
  std::string sampler = "instance";
  std::string shuffle = "auto";
  std::optional<std::int64_t> epochs;
  std::int64_t batch_size = 128;
  std::string optimizer = "auto";
  std::optional<double> lr;
  std::optional<double> lr_backbone;
  double momentum = 0.9;
  std::optional<double> weight_decay;
  std::optional<double> clip;
  std::optional<double> ema;
  std::string schedule = "auto";
  double warmup = 0.025;
  std::string reduction = "auto";
  std::optional<std::int64_t> jobs;
  std::optional<std::int64_t> threads;
  std::int64_t loader_threads = 1;
  std::string device = "cpu";
  bool channels_last = false;
  std::string autocast = "none";
  bool no_thumbnails = false;

  /// The file of a `torchscript:` model, which must be named by the user on this machine, because such a file is code.
  /// It is not an option of the run, so it is neither written to `config.toml` nor read from it.
  std::optional<std::string> model_file = {};
};

/// The table of options: calls `visit(name, field, help)` for each, in the order of the help. The command line and
/// `config.toml` are generated from it.
template <class Options, class Visit>
void visit_options(Options& options, Visit&& visit) {
  visit("data", options.data,
        "data set: fashion-mnist, mnist, cifar10, cifar100, folder:DIR (a folder of images per class), list:FILE, "
        "csv:FILE?label=COLUMN or npy:FEATURES,LABELS");
  visit("data-root", options.data_root, "where named data sets lie; default: $ULMUS_DATA, /usr/share/datasets");
  visit("imbalance", options.imbalance,
        "make the training part long-tailed: exp:RATIO, step:RATIO, pareto:ALPHA, counts:FILE or none");
  visit("losses", options.losses, "losses to compare, e.g. ce,ldam+drw,elm:lambda=0.5+drw; see 'ulmus losses'");
  visit("seeds", options.seeds, "how many seeds to train each loss with");
  visit("seed", options.seed, "first seed: initial weights, order, augmentation");
  visit("split-seed", options.split_seed, "seed of the choice of training images, the same for every loss and seed");
  visit("split-rng", options.split_rng,
        "how that choice is made: ulmus, or numpy, which keeps the images of the reference code (LDAM-DRW)");
  visit("validation", options.validation, "images of every class held out of the training part for validation");
  visit("test-fraction", options.test_fraction,
        "part of every class held out for test when the data have no test part");
  visit("image-size", options.image_size, "resize image files to squares of this side; default: leave them");
  visit("image-bits", options.image_bits,
        "bits in use in images of 16 bits a sample, 8 to 16; default: as many as the data use");
  visit("max-pixels", options.max_pixels, "refuse image files that declare more pixels than this, before decoding");
  visit("skip-bad", options.skip_bad, "skip images that cannot be decoded, and count them");
  visit("model", options.model,
        "conv3, resnet20, resnet32, resnet44, resnet56, wrn28-10, resnet18, resnet50, resnext50, "
        "efficientnet-lite0, -lite1, -lite2; mlp, linear (for features too); trees (for tables and features, e.g. "
        "trees:rounds=300,depth=6); torchscript:FILE; or auto by the data");
  visit("head", options.head, "linear, cosine, or auto: the head that each loss needs");
  visit("weights", options.weights,
        "safetensors file of weights to begin with: published ones, or a run's checkpoint; auto: those that "
        "script/weights "
        "stored for the model; none; default: auto for an efficientnet-lite and for photographs (docs/photos.md)");
  visit(
      "freeze", options.freeze,
      "none; backbone: train the head alone, on features that are computed once where images are not augmented; auto: "
      "backbone where the weights were not named");
  visit("unfreeze", options.unfreeze,
        "after the head of a frozen backbone, train all layers for so many epochs more, at a tenth of the rate; "
        "default: none (docs/photos.md)");
  visit("augment", options.augment,
        "none, a list such as crop+flip or rrc+flip+jitter or mixup, or auto by model and data; docs/data-pipeline.md");
  visit(
      "views", options.views,
      "train the head of a frozen backbone on so many augmented views of each image, whose features are computed once; "
      "an epoch has one of them; default: none (docs/photos.md)");
  visit("feature-precision", options.feature_precision,
        "f32, or f16: store the features of a frozen backbone as float16, in half the space (docs/photos.md)");
  visit("sampler", options.sampler,
        "instance, balanced, sqrt, progressive, effective:BETA or drs:from=F,beta=B: how often images are drawn");
  visit("shuffle", options.shuffle,
        "full; block[:rows=R,blocks=B]: blocks of rows that lie together in their file, a few at a time, for features "
        "larger than memory; or auto: block when they take more than half of it. docs/data.md");
  visit("epochs", options.epochs, "epochs to train; default: by the model and the data");
  visit("batch-size", options.batch_size, "images in a batch");
  visit("optimizer", options.optimizer,
        "sgd; adamw; sam[:rho=0.05,base=sgd]: sharpness-aware minimisation, two passes a step; or auto: adamw for an "
        "mlp, "
        "else sgd");
  visit("lr", options.lr,
        "base learning rate; default: 0.1 for sgd, 0.001 for adamw, a tenth of it to train a whole trained model "
        "further; sgd of a head alone: the rate that suits its features");
  visit("lr-backbone", options.lr_backbone,
        "learning rate of the layers below the head; default: that of the head, and with --unfreeze a tenth of the "
        "base rate");
  visit("momentum", options.momentum, "momentum of sgd");
  visit("weight-decay", options.weight_decay,
        "weight decay, on every parameter; default: 0.0002 for sgd, 0.0001 for adamw");
  visit("clip", options.clip, "scale gradients down to this norm, all of them together; default: leave them");
  visit("ema", options.ema,
        "decay of a moving average of the weights, e.g. 0.999, which is evaluated and saved in their place; default: "
        "none");
  visit("schedule", options.schedule,
        "learning rate: cosine, step (the reference protocol), constant, restart (a cosine that begins anew with "
        "deferred weights), or auto: cosine, and constant for trees");
  visit("warmup", options.warmup, "fraction of the epochs with a rising learning rate");
  visit("reduction", options.reduction,
        "weighted-mean (the reference protocol), mean, or auto: that of each loss's definition");
  visit("jobs", options.jobs,
        "losses and seeds trained at the same time; default: as many as there are cores. Changes no result");
  visit("threads", options.threads,
        "threads for each of them; default: the cores that are left. May change the last bits");
  visit("loader-threads", options.loader_threads, "threads that prepare batches; changes no result");
  visit("device", options.device, "cpu, cuda or cuda:N, where LibTorch finds it");
  visit("channels-last", options.channels_last,
        "keep images and convolutions channels last in memory, often faster; may change the last bits");
  visit("autocast", options.autocast, "bf16: compute the backbone in bfloat16, head and loss in float; or none");
  visit("no-thumbnails", options.no_thumbnails, "show no images in the report, for data that must not be passed on");
}

/// The value of an option as text: "" if it is unset, "true" or "false" for a flag.
std::string option_text(const std::string& value);
std::string option_text(bool value);
std::string option_text(std::int64_t value);
std::string option_text(std::uint64_t value);
std::string option_text(double value);
std::string option_text(const std::vector<LossSpec>& value);
template <class Value>
std::string option_text(const std::optional<Value>& value) {
  return value ? option_text(*value) : "";
}

/// Returns whether `text` unsets an optional number: 0, or -1 for `weight-decay`. Ulmus 0.1 wrote unset numbers this
/// way, and the command line uses it to unset a number from `--config`; an empty text unsets texts.
bool means_unset(std::string_view name, std::string_view text);

/// The options that are set as flat TOML, one `name = value` per line. Texts must be UTF-8.
std::string to_toml(const RunOptions& options);

/// One `name = value` of a TOML file.
struct Setting {
  std::string name;
  std::string value;     ///< without quotes and escapes
  bool is_text = false;  ///< it was quoted
  long long line = 0;    ///< line number, from 1
};

/// Parses the settings of a flat TOML file, in order. `source` is its name in messages. Throws Error{data} with line
/// and key for invalid TOML, and for tables and arrays.
std::vector<Setting> parse_settings(std::string_view text, const std::string& source);

/// Sets the option that the setting names; returns false if there is none. Throws Error{data} with line and key if the
/// value has the wrong type or is not a valid list of losses.
bool apply_setting(RunOptions& options, const Setting& setting, const std::string& source);

/// Throws Error{data}: no option has this name.
[[noreturn]] void throw_unknown_setting(const Setting& setting, const std::string& source);

/// Parses the output of to_toml of this or an earlier release; missing options get their defaults.
RunOptions options_from_toml(std::string_view text, const std::string& source);

}  // namespace ulmus
