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

/// Uses of the trained models of a run: evaluate them, predict with them, export them. Nothing is chosen on test data.
namespace ulmus {

/// The device to use a run on: the one it was trained on, or "cpu" where this machine does not have it, with a warning.
/// Throws Error{usage} for a name that is no device.
std::string available_device(const std::string& trained_on);

/// How the outputs of a trained model are adjusted. In this order: the head is changed or the logits adjusted, the
/// probabilities corrected for a test prior, the temperature set; see eval/posthoc.hpp, eval/prior.hpp.
struct AdjustmentOptions {
  PostHoc posthoc = {};
  std::optional<std::string> prior;  ///< of the test data, as parse_prior reads it; unset: as the model assumes it
  /// Above 0; `fit_temperature`: fitted on the validation part instead.
  std::optional<double> temperature;
  bool fit_temperature = false;
};

/// Accuracy of the probabilities before and after a temperature.
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
  std::vector<double> assumed_prior;     ///< [C], of the uncorrected probabilities; empty without a test prior
  std::vector<double> prior;             ///< [C], the test prior; empty: none
  std::optional<double> prior_accuracy;  ///< accuracy_under the test prior
  std::optional<TemperatureEffect> temperature;
};

struct EvaluateOptions {
  std::optional<std::string> address;  ///< of other data; unset: the run's own test part
  ModelSelection models = {};
  AdjustmentOptions adjustment = {};
  std::optional<std::filesystem::path> predictions;  ///< a file for one line a sample and model
};

/// Evaluates the models of a run on the test part of the data, or on all of the data where they have none. The data
/// must have the classes of the run. An adjustment applies to every model; a temperature is fitted for each.
///
/// Fitting minimises the negative log-likelihood of the run's validation part, which has the same number of images of
/// every class, each class weighted by the test prior where one is given. Predictions are CSV, or JSONL when the
/// file's name ends so: loss, seed, sample (its index in the data), true, then what PredictionWriter writes.
///
/// Throws Error{usage} for a model that is not there (with those that are), an adjustment that cannot apply, a
/// temperature to be fitted in a run without a validation part; Error{data} when the data have changed since.
std::vector<ModelEvaluation> evaluate_run(const std::filesystem::path& folder, const RunOptions& run_options,
                                          const EvaluateOptions& options);

struct PredictOptions {
  std::vector<std::filesystem::path> paths;  ///< image files and folders; CSV or NumPy files for a model of features
  ModelSelection model = {};                 ///< may leave several; predict_run says how one is chosen
  AdjustmentOptions adjustment = {};
  PredictionWriter::Format format = PredictionWriter::Format::csv;
  std::optional<std::int64_t> top;      ///< classes a line; unset: all
  std::optional<std::int64_t> threads;  ///< that decode, and for the model; unset: all cores
};

struct PredictHooks {
  std::function<void(std::string_view text)> write;             ///< takes the lines, in order
  std::function<void(const std::string& failure)> failed = {};  ///< an image that was passed over, in one line
  std::function<void(const std::string& note)> note = {};       ///< Dataset::notes of the files
  std::function<bool()> stop = {};                              ///< true ends it with Error{interrupted}
};

struct PredictResult {
  std::string loss;  ///< name of the model
  std::uint64_t seed = 0;
  bool of_features = false;    ///< rows of files were predicted, else images
  std::int64_t predicted = 0;  ///< samples
  KindCounts failed = {};      ///< images passed over, by the reason
  /// What was not used and what was changed when image files were read, a line each (OpenedData::notes).
  std::vector<std::string> notes = {};
};

/// Predicts the class of every image, a line each in the order of the paths (see ImageStream), resized as in the run.
/// Memory does not grow with the number of images. For a model of features, of every row of every file (see
/// open_unlabelled), which is named by its place from 0 and, in a CSV, its line; a fault of any file is an error before
/// the first line.
///
/// Where the selection leaves several models, one is chosen on the validation part:
/// the loss with the largest mean balanced accuracy over its seeds, and its first seed; without a validation part it is
/// an Error{usage} with the models.
///
/// Throws Error{data} when no image could be predicted, and as evaluate_run does.
PredictResult predict_run(const std::filesystem::path& folder, const RunOptions& run_options,
                          const PredictOptions& options, const PredictHooks& hooks);

enum class ExportFormat { safetensors, torchscript, xgboost };

/// "safetensors", "torchscript" or "xgboost"; throws Error{usage} for another, with the reason for "onnx".
ExportFormat parse_export_format(std::string_view name);

struct ExportOptions {
  ModelSelection model = {};  ///< as in PredictOptions
  ExportFormat format = ExportFormat::safetensors;
  std::filesystem::path out;
};

struct ExportResult {
  std::string loss;
  std::uint64_t seed = 0;
  double max_difference = 0;  ///< between the probabilities of the model and of the file read back
  std::uintmax_t bytes = 0;
  std::optional<std::filesystem::path> beside;  ///< a second file that was written
};

/// Writes one trained model for other programs.
///
///     safetensors   parameters and buffers under torchvision's names; the metadata, all text, have `classes`, `mean`,
///                   `stddev` and `image_shape` (JSON lists), `loss`, `scale`, `seed`, `model`, `head`, `format`
///                   ("pt"), and of a table `encoding`, how its cells become the features (TableEncoding as JSON)
///     torchscript   forward(images): float [N, channels, height, width] in [0, 1] to probabilities [N, C], with
///                   normalisation and scale inside; the attribute `class_names`. Of a model of features:
///                   float [N, D], for a table its cells as `encoding` has them, an attribute as well
///
///     xgboost       of trees, and their only format: XGBoost's own JSON, whose predict() gives these probabilities (of
///                   the second class, where there are two); beside it, as NAME.meta.json, `classes`, `columns`,
///                   `encoding` of a table, `loss`, `seed`, `model`, and `assumed_prior`, the class prior that the
///                   probabilities assume
///
/// The file is read back and its probabilities of random images are compared with the model's before it takes its name.
/// Throws Error{usage} for a model of which no TorchScript can be made, Error{numerical} when the comparison fails,
/// Error{environment} for what cannot be written.
ExportResult export_run(const std::filesystem::path& folder, const RunOptions& run_options,
                        const ExportOptions& options);

}  // namespace ulmus
