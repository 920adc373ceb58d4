#include "ulmus/train/features.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "train/derived_options.hpp"
#include "train/forward.hpp"
#include "train/frozen_features.hpp"
#include "train/option_ranges.hpp"
#include "train/photo_weights.hpp"
#include "train/pretrained.hpp"
#include "train/run_data.hpp"
#include "train/torch_threads.hpp"
#include "train/weights.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/npy_writer.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

/// x.npy and "-labels.npy" are x-labels.npy.
fs::path beside(const fs::path& out, std::string_view ending) {
  return out.parent_path() / (out.stem().string() + std::string(ending));
}

/// The data, the backbone with its weights, and what its images are normalised by.
struct Extraction {
  RunOptions options;
  OpenedData data;
  Classifier model{nullptr};
  Normalisation normalisation;
};

Extraction prepare(const RunOptions& given) {
  detail::check_ranges(given);
  Extraction result{.options = given};
  RunOptions& o = result.options;
  const bool scripted = o.model.starts_with("torchscript:");
  if (!o.weights && !scripted) o.weights = "auto";
  o.freeze = "backbone";
  detail::resolve_weights(o);
  if (o.model == "auto")
    throw Error(ErrorKind::usage,
                fmt::format("no backbone for these data; name one, for example {} {}",
                            option_name("model", "efficientnet-lite0"), option_name("image_size", "160")));
  if (!o.weights && !scripted)
    throw Error(
        ErrorKind::usage,
        fmt::format("no weights of '{}' are stored in '{}'; fetch them with 'script/weights {}', or name a "
                    "file with {}",
                    o.model, detail::weights_folder().string(), o.model, option_name("weights", "FILE.safetensors")));
  result.data = open_data(o.data, detail::open_options(o));
  const Dataset& train = result.data.train;
  if (train.is_features() || result.data.train_table)
    throw Error(ErrorKind::usage, fmt::format("'{}' holds features already; a backbone takes images", train.name()));
  detail::report_notes(result.data);
  std::optional<detail::PretrainedWeights> weights;
  if (o.weights) weights.emplace(*o.weights);
  detail::PretrainedModel pretrained = detail::make_pretrained(o, train, Head::linear, weights ? &*weights : nullptr);
  result.model = std::move(pretrained.model);
  result.normalisation = pretrained.normalisation ? std::move(*pretrained.normalisation)
                                                  : channel_statistics(train, detail::all_indices(train));
  return result;
}

/// The features and labels of one part, written but not yet visible.
class PartWriter {
 public:
  PartWriter(const fs::path& features, const fs::path& labels, const Dataset& data, bool half)
      : half_(half),
        width_(data.shape().channels),
        size_(data.size()),
        features_(features, half ? "<f2" : "<f4", std::array{size_, width_}),
        labels_(labels, "<i8", std::array{size_}) {}

  void write(const Dataset& data) {
    const std::int64_t rows = detail::rows_at_once(width_);
    for (std::int64_t first = 0; first < size_; first += rows) {
      const std::int64_t count = std::min(rows, size_ - first);
      const torch::Tensor block = torch::empty({count, width_}, torch::kFloat);
      for (std::int64_t i = 0; i < count; ++i)
        data.read_features(first + i, {block.data_ptr<float>() + i * width_, static_cast<std::size_t>(width_)});
      const torch::Tensor stored = half_ ? block.to(torch::kHalf) : block;
      if (const auto row = detail::first_not_finite(stored))
        throw Error(ErrorKind::numerical,
                    fmt::format("the features of image {} of '{}' are beyond the range of float16; write float32 by "
                                "leaving out {}",
                                first + *row, data.name(), option_name("half")));
      features_.write(detail::bytes_of(stored));
    }
    labels_.write({reinterpret_cast<const char*>(data.labels().data()), data.labels().size() * sizeof(std::int64_t)});
  }

  void commit() {
    features_.commit();
    labels_.commit();
  }

 private:
  bool half_;
  std::int64_t width_, size_;
  NpyWriter features_, labels_;
};

}  // namespace

FeatureFiles write_features(const RunOptions& options, const FeatureFileOptions& files) {
  const fs::path& out = files.out;
  if (out.extension() != ".npy")
    throw Error(ErrorKind::usage,
                fmt::format("{} is '{}', expected a name that ends in .npy", option_name("out"), out.string()));
  Extraction work = prepare(options);
  const std::int64_t cores = usable_cores();
  detail::set_torch_threads(work.options.threads.value_or(cores));
  const fs::path unfinished = out.string() + ".part";
  make_folder(unfinished);  // fails now, and not after hours, where nothing can be written
  const detail::FeatureOptions how{
      .folder = unfinished,
      .normalisation = work.normalisation,
      .loader_threads = static_cast<int>(std::max<std::int64_t>(1, work.options.loader_threads)),
      .placement = detail::make_placement(work.options),
      .progress = files.progress,
      .stop = files.stop};
  detail::place(work.model, how.placement);

  FeatureFiles result{.address = fmt::format("npy:{},{}", escape_address(out.string()),
                                             escape_address(beside(out, "-labels.npy").string())),
                      .model = work.options.model,
                      .written = {out, beside(out, "-labels.npy")}};
  std::vector<std::unique_ptr<PartWriter>> parts;
  const auto add = [&](const Dataset& data, const fs::path& features, const fs::path& labels) {
    const Dataset computed = detail::with_features(work.model, data, detail::all_indices(data), how);
    parts.push_back(std::make_unique<PartWriter>(features, labels, computed, files.half));
    parts.back()->write(computed);
    result.width = computed.shape().channels;
    return computed.size();
  };
  result.train = add(work.data.train, result.written[0], result.written[1]);
  std::string keys = "?";
  if (work.data.test) {
    result.written.push_back(beside(out, "-test.npy"));
    result.written.push_back(beside(out, "-test-labels.npy"));
    result.test = add(*work.data.test, result.written[2], result.written[3]);
    keys += fmt::format("test={},{}&", escape_address(result.written[2].string()),
                        escape_address(result.written[3].string()));
  }
  for (const auto& part : parts) part->commit();
  const fs::path classes = beside(out, "-classes.txt");
  write_file(classes, join(work.data.train.class_names(), "\n") + "\n");
  result.written.push_back(classes);
  result.address += keys + "classes=" + escape_address(classes.string());
  std::error_code ignored;
  fs::remove_all(unfinished, ignored);
  return result;
}

}  // namespace ulmus
