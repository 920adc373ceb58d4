#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "train/checkpointed_model.hpp"
#include "train/score_adjuster.hpp"
#include "train/torch_threads.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/image_stream.hpp"
#include "ulmus/data/table.hpp"
#include "ulmus/train/address_space.hpp"
#include "ulmus/train/inference.hpp"

namespace ulmus {
namespace {

using Fields = std::vector<PredictionWriter::Field>;

/// Writes one line of predictions per row of logits.
class LineWriter {
 public:
  LineWriter(PredictionWriter writer, ScoreTransform transform, const PredictHooks& hooks, std::size_t classes)
      : writer_(std::move(writer)), transform_(std::move(transform)), hooks_(hooks), probabilities_(classes) {}

  std::int64_t written = 0;

  void begin(const std::vector<std::string>& fields) const { hooks_.write(writer_.header(fields)); }

  /// `fields_of(i)` identify the sample of row i.
  template <class FieldsOf>
  void add(const torch::Tensor& logits, FieldsOf fields_of) {
    std::string lines;
    for (std::int64_t i = 0; i < logits.size(0); ++i) {
      transform_.probabilities({logits.data_ptr<float>() + i * logits.size(1), probabilities_.size()}, probabilities_);
      lines += writer_.line(fields_of(i), probabilities_);
    }
    hooks_.write(lines);
    written += logits.size(0);
  }

  void check_stop(std::string_view what) const {
    if (hooks_.stop && hooks_.stop())
      throw Error(ErrorKind::interrupted, fmt::format("interrupted after {} {}", written, what));
  }

 private:
  PredictionWriter writer_;
  ScoreTransform transform_;
  const PredictHooks& hooks_;
  std::vector<double> probabilities_;
};

void predict_images(ImageStream& images, const ModelOptions& shape, Classifier& model,
                    const detail::Placement& placement, const PredictHooks& hooks, LineWriter& writer,
                    PredictResult& result) {
  writer.begin({"path"});
  for (ImageBatch batch; images.next(batch);) {
    writer.check_stop("images");
    for (const ImageFailure& failure : batch.failures) {
      result.failed.add(failure.reason);
      if (hooks.failed) hooks.failed(failure.message);
    }
    if (batch.paths.empty()) continue;
    const auto size = static_cast<std::int64_t>(batch.paths.size());
    const auto pixels = torch::from_blob(batch.pixels.data(), {size, shape.channels, shape.height, shape.width});
    const auto features = detail::compute_features(model, pixels, placement);
    const torch::Tensor logits = model->classify(features).to(torch::kCPU).contiguous();
    if (const auto row = detail::first_not_finite(logits))
      throw Error(ErrorKind::numerical,
                  fmt::format("what the model gives for '{}' is infinite or not a number; leave the image out",
                              printable(batch.paths[static_cast<std::size_t>(*row)], k_long_text)));
    writer.add(logits, [&](std::int64_t i) { return Fields{{"path", batch.paths[static_cast<std::size_t>(i)]}}; });
  }
  if (writer.written == 0) {
    const std::string notes = images.notes().empty() ? "" : fmt::format(" ({})", join(images.notes(), "; "));
    throw Error(
        ErrorKind::data,
        result.failed.empty()
            ? fmt::format("there is no image in what was named{}; give image files, or folders of them", notes)
            : fmt::format("none of {} could be predicted ({}){}",
                          result.failed.total() == 1 ? "1 image" : fmt::format("{} images", result.failed.total()),
                          result.failed.text(), notes));
  }
}

/// Opens all files of features before the first line is written.
std::vector<Dataset> open_features(const std::vector<std::filesystem::path>& paths, const RunOptions& run_options,
                                   const detail::CheckpointedModel& trained) {
  std::optional<TableEncoding> encoding;
  if (trained.info.encoding) encoding = encoding_from_json(*trained.info.encoding);
  std::vector<Dataset> files;
  for (const std::filesystem::path& path : paths) {
    files.push_back(open_unlabelled(path, run_options.data, encoding ? &*encoding : nullptr, trained.info.class_names));
    const std::int64_t width = files.back().shape().channels, expected = trained.info.model.channels;
    if (width != expected)
      throw Error(ErrorKind::data, fmt::format("'{}' has {} features per row, the run was trained on {}; make them the "
                                               "same way",
                                               path.string(), width, expected));
  }
  return files;
}

void predict_features(const std::vector<Dataset>& files, const detail::CheckpointedModel& trained, Classifier& model,
                      const detail::Placement& placement, LineWriter& writer) {
  constexpr std::int64_t k_rows = 4096;  // per batch
  const bool has_lines = files.front().line(0).has_value();
  writer.begin(has_lines ? std::vector<std::string>{"path", "row", "line"} : std::vector<std::string>{"path", "row"});
  for (const Dataset& file : files)
    for (std::int64_t first = 0; first < file.size(); first += k_rows) {
      writer.check_stop("rows");
      std::vector<std::int64_t> rows(static_cast<std::size_t>(std::min(k_rows, file.size() - first)));
      std::iota(rows.begin(), rows.end(), first);
      std::int64_t row = first;
      detail::for_each_output(model, trained, file, rows, 1, placement,
                              [&](const torch::Tensor& logits, std::span<const std::int64_t>) {
                                writer.add(logits, [&](std::int64_t i) {
                                  Fields fields{{"path", file.name()}, {"row", std::to_string(row + i), true}};
                                  if (has_lines) fields.push_back({"line", std::to_string(*file.line(row + i)), true});
                                  return fields;
                                });
                                row += logits.size(0);
                              });
    }
}

}  // namespace

PredictResult predict_run(const std::filesystem::path& folder, const RunOptions& run_options,
                          const PredictOptions& options, const PredictHooks& hooks) {
  if (options.threads && (*options.threads < 1 || *options.threads > 256))
    throw Error(ErrorKind::usage, fmt::format("{} is {}, expected 1 to 256", option_name("threads"), *options.threads));
  const Split split = read_split(folder / "split.json");
  detail::CheckpointedModel trained = detail::choose_model(folder, options.model);
  const ModelOptions& shape = trained.info.model;
  const PredictionWriter format(options.format, trained.info.class_names, options.top.value_or(0));
  const int threads = static_cast<int>(options.threads.value_or(usable_cores()));
  detail::set_torch_threads(threads);
  detail::require_address_space(1, threads);

  const bool of_features = shape.height == 1 && shape.width == 1;
  std::optional<ImageStream> images;
  std::vector<Dataset> files;
  if (of_features) {
    files = open_features(options.paths, run_options, trained);
    for (const Dataset& file : files)
      for (const std::string& note : file.notes())
        if (hooks.note) hooks.note(note);
  } else {
    ImageStreamOptions reading{.shape = {shape.channels, shape.height, shape.width},
                               .normalisation = trained.info.normalisation,
                               .threads = threads,
                               .max_pixels = run_options.max_pixels,
                               .image_bits = static_cast<int>(run_options.image_bits.value_or(0))};
    if (run_options.image_size) reading.image_size = *run_options.image_size;
    images.emplace(options.paths, std::move(reading));
  }
  Classifier model = trained.load(run_options.model_file);
  const detail::Placement placement = detail::make_placement(run_options);
  detail::place(model, placement);
  LineWriter writer(format,
                    detail::ScoreAdjuster(folder, run_options, options.adjustment, split, trained.info.encoding)
                        .fit(trained, model)
                        .transform,
                    hooks, trained.info.class_names.size());

  PredictResult result{.loss = trained.label(), .seed = trained.info.seed, .of_features = of_features};
  const torch::NoGradGuard no_gradient;
  if (of_features)
    predict_features(files, trained, model, placement, writer);
  else
    predict_images(*images, shape, model, placement, hooks, writer, result);
  if (images)
    for (const std::string& note : images->notes()) result.notes.push_back(printable(note, std::string::npos));
  result.predicted = writer.written;
  return result;
}

}  // namespace ulmus
