#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/data/kind_counts.hpp"
#include "ulmus/eval/evaluation.hpp"
#include "ulmus/eval/posthoc.hpp"
#include "ulmus/eval/predictions.hpp"
#include "ulmus/train/model_selection.hpp"
#include "ulmus/train/options.hpp"

/// Evaluates, applies and exports the trained models of a run. Nothing is chosen on test data.
namespace ulmus {

/// Returns the device on which to use a run: the one of its training or, with a warning, "cpu" if this machine does not
/// have it. Throws Error{usage} for an invalid device name.
std::string available_device(const std::string& trained_on);

/// Adjustments of the outputs of a trained model, applied in this order: the head is changed or the logits adjusted,
/// the probabilities corrected for a test prior, the temperature applied; see eval/posthoc.hpp, eval/prior.hpp.
struct AdjustmentOptions {
  PostHoc posthoc = {};
  std::optional<std::string> prior;  ///< of the test data, in parse_prior syntax; unset: as the model assumes
  /// Above 0; with `fit_temperature` it is fitted on the validation part instead.
  std::optional<double> temperature;
  bool fit_temperature = false;
};

/// Quality of the probabilities before and after applying a temperature.
struct TemperatureEffect {
  double temperature = 1;
  bool fitted = false;
  double ece_before = 0, ece_after = 0;
  double nll_before = 0, nll_after = 0;
};

/// The evaluation of one trained model of a run.
struct ModelEvaluation {
  std::string loss;
  std::uint64_t seed = 0;
  Evaluation evaluation;
  std::vector<double> assumed_prior;     ///< [C], assumed by the uncorrected probabilities; empty without a test prior
  std::vector<double> prior;             ///< [C], the test prior; empty: none
  std::optional<double> prior_accuracy;  ///< accuracy_under the test prior
  std::optional<TemperatureEffect> temperature;
};

struct EvaluateOptions {
  std::optional<std::string> address;  ///< address of other data; unset: the run's own test part
  ModelSelection models = {};
  AdjustmentOptions adjustment = {};
  std::optional<std::filesystem::path> predictions;  ///< output file with one line per sample and model
};

/// Evaluates the models of a run on the test part of the data, or on all of the data if there is no test part. The data
/// must have the classes of the run. An adjustment applies to every model; a temperature is fitted per model.
///
/// Fitting minimises the negative log-likelihood of the run's validation part, which has the same number of images of
/// every class; classes are weighted by the test prior if one is given. Predictions are CSV, or JSONL if the file name
/// has that extension: loss, seed, sample (its index in the data), true, then what PredictionWriter writes.
///
/// Throws Error{usage} for a model that does not exist (listing those that do), an adjustment that cannot apply, or a
/// temperature to be fitted in a run without a validation part; Error{data} if the data have changed since training.
std::vector<ModelEvaluation> evaluate_run(const std::filesystem::path& folder, const RunOptions& run_options,
                                          const EvaluateOptions& options);

struct PredictOptions {
  std::vector<std::filesystem::path> paths;  ///< image files and folders; CSV or NumPy files for a model of features
  ModelSelection model = {};                 ///< may match several models; see predict_run for the choice
  AdjustmentOptions adjustment = {};
  PredictionWriter::Format format = PredictionWriter::Format::csv;
  std::optional<std::int64_t> top;      ///< classes per line; unset: all
  std::optional<std::int64_t> threads;  ///< for decoding and for the model; unset: all cores
};

struct PredictHooks {
  std::function<void(std::string_view text)> write;             ///< receives the lines, in order
  std::function<void(const std::string& failure)> failed = {};  ///< receives one line per skipped image
  std::function<void(const std::string& note)> note = {};       ///< receives Dataset::notes of the files
  std::function<bool()> stop = {};                              ///< returning true stops with Error{interrupted}
};

struct PredictResult {
  std::string loss;  ///< name of the model
  std::uint64_t seed = 0;
  bool of_features = false;    ///< rows of files were predicted rather than images
  std::int64_t predicted = 0;  ///< samples
  KindCounts failed = {};      ///< skipped images, by reason
  /// What was ignored or changed while reading image files, one line each (OpenedData::notes).
  std::vector<std::string> notes = {};
};

/// Predicts the class of every image, one line each in the order of the paths (see ImageStream), resized as in the run.
/// Memory does not grow with the number of images. For a model of features, predicts every row of every file (see
/// open_unlabelled), identified by its 0-based index and, in a CSV, its line; a fault in any file causes an error
/// before the first line is written.
///
/// If the selection matches several models, one is chosen on the validation part: the loss with the largest mean
/// balanced accuracy over its seeds, and its first seed; without a validation part this throws Error{usage} listing the
/// models.
///
/// Throws Error{data} if no image could be predicted, and as evaluate_run does.
PredictResult predict_run(const std::filesystem::path& folder, const RunOptions& run_options,
                          const PredictOptions& options, const PredictHooks& hooks);

enum class ExportFormat { safetensors, torchscript, xgboost };

/// Parses "safetensors", "torchscript" or "xgboost"; throws Error{usage} for other names, with the reason for "onnx".
ExportFormat parse_export_format(std::string_view name);

struct ExportOptions {
  ModelSelection model = {};  ///< as in PredictOptions
  ExportFormat format = ExportFormat::safetensors;
  std::filesystem::path out;
};

struct ExportResult {
  std::string loss;
  std::uint64_t seed = 0;
  double max_difference = 0;  ///< between the probabilities of the model and those of the exported file
  std::uintmax_t bytes = 0;
  std::optional<std::filesystem::path> beside;  ///< a second file that was written
};

/// Exports one trained model for other programs.
///
///     safetensors   parameters and buffers under torchvision's names; the metadata, all text, have `classes`, `mean`,
///                   `stddev` and `image_shape` (JSON lists), `loss`, `scale`, `seed`, `model`, `head`, `format`
///                   ("pt"), and for a table `encoding`, which maps its cells to features (TableEncoding as JSON)
///     torchscript   forward(images): float [N, channels, height, width] in [0, 1] to probabilities [N, C], including
///                   normalisation and scale; the attribute `class_names`. For a model of features:
///                   float [N, D], for a table its cells encoded by `encoding`, also an attribute
///
///     xgboost       of trees, and their only format: XGBoost's own JSON, whose predict() gives these probabilities (of
///                   the second class, where there are two); beside it, as NAME.meta.json, `classes`, `columns`,
///                   `encoding` of a table, `loss`, `seed`, `model`, and `assumed_prior`, the class prior that the
///                   probabilities assume
///
/// Before the file gets its final name, it is read back, and its probabilities for random images are compared with the
/// model's. Throws Error{usage} for a model that TorchScript export does not support, Error{numerical} if the
/// comparison fails, and Error{environment} for a file that cannot be written.
ExportResult export_run(const std::filesystem::path& folder, const RunOptions& run_options,
                        const ExportOptions& options);

}  // namespace ulmus
