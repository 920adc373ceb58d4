#include "train/frozen_features.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "train/backbone_file.hpp"
#include "train/feature_file.hpp"
#include "train/forward.hpp"
#include "train/safetensors.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// Maximum samples per file; at most this many are recomputed if the process is killed.
constexpr std::size_t k_most_samples = 4096;

/// Prefix of the file names of an origin.
std::string stem_of(const std::string& origin) { return origin.substr(0, 16); }

std::vector<fs::path> files_of(const fs::path& folder, const std::string& origin) {
  std::vector<fs::path> files;
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    if (it->path().filename().string().starts_with(stem_of(origin) + ".") && !is_temporary(it->path()))
      files.push_back(it->path());
  std::ranges::sort(files);
  return files;
}

/// Adds the files of other runs to `folder`, as links rather than copies if the file system permits.
void take_over(const FeatureOptions& options, const std::string& origin) {
  for (const fs::path& other : options.others)
    for (const fs::path& file : files_of(other, origin)) {
      const fs::path here = options.folder / file.filename();
      std::error_code code;
      if (fs::exists(here, code)) continue;
      make_folder(options.folder);
      fs::create_hard_link(file, here, code);
      if (code) write_file(here, read_file(file));
    }
}

/// The features of a data set, for the samples whose features are in the added files.
class FeatureStore : public FeatureSource {
 public:
  FeatureStore(Dataset data, std::string origin, std::int64_t width)
      : data_(std::move(data)),
        origin_(std::move(origin)),
        width_(width),
        places_(static_cast<std::size_t>(data_.size())) {}

  void add(const fs::path& path) {
    const auto number = static_cast<std::int32_t>(files_.size());
    files_.push_back(std::make_unique<FeatureFile>(path, origin_, width_, std::ssize(places_)));
    std::int64_t position = 0;
    for (const std::int64_t index : files_.back()->indices())
      places_[static_cast<std::size_t>(index)] = {.file = number, .position = position++};
  }

  bool has(std::int64_t index) const { return places_[static_cast<std::size_t>(index)].file >= 0; }

  void read(std::int64_t index, std::span<float> features) const override {
    const Place& place = places_[static_cast<std::size_t>(index)];
    if (place.file < 0)
      throw Error(ErrorKind::usage, fmt::format("the features of sample {} were not asked for", index));
    files_[static_cast<std::size_t>(place.file)]->read(place.position, features);
  }

  void will_read(std::int64_t first, std::int64_t count) const override {
    const std::span<const Place> places =
        std::span(places_).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < places.size();) {  // samples that follow each other in a file, as one piece
      const Place begin = places[i];
      std::int64_t length = 0;
      for (; i < places.size() && places[i].file == begin.file; ++i)
        if (begin.file >= 0) length = places[i].position - begin.position + 1;
      if (begin.file >= 0) files_[static_cast<std::size_t>(begin.file)]->will_read(begin.position, length);
    }
  }

  std::int64_t bytes_on_disk() const override {
    std::int64_t bytes = 0;
    for (const auto& file : files_) bytes += file->bytes();
    return bytes;
  }

  std::optional<std::string> file(std::int64_t index) const override { return data_.file(index); }

 private:
  struct Place {
    std::int32_t file = -1;
    std::int64_t position = 0;
  };

  Dataset data_;
  std::string origin_;
  std::int64_t width_;
  std::vector<std::unique_ptr<FeatureFile>> files_;
  std::vector<Place> places_;
};

/// Reports the progress of the computation.
class Watch {
 public:
  Watch(const FeatureOptions& options, std::int64_t samples) : options_(options), samples_(samples) {}

  void advance(std::int64_t done) {
    done_ += done;
    if (options_.stop && options_.stop())
      throw Error(ErrorKind::interrupted,
                  fmt::format("interrupted while features were computed, {} of {} images", done_, samples_));
    if (!options_.progress) return;
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const double rate = static_cast<double>(done_) / std::max(seconds, 1e-9);
    options_.progress({.done = done_,
                       .samples = samples_,
                       .samples_per_second = rate,
                       .elapsed_seconds = seconds,
                       .remaining_seconds = static_cast<double>(samples_ - done_) / rate});
  }

 private:
  const FeatureOptions& options_;
  std::int64_t samples_, done_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Throws for features that are not finite, naming the first sample.
void require_finite_features(const torch::Tensor& features, const std::vector<std::int64_t>& indices,
                             const Dataset& data, const std::string& fault) {
  const auto row = first_not_finite(features);
  if (!row) return;
  const std::int64_t sample = indices[static_cast<std::size_t>(*row)];
  const std::optional<std::string> file = data.file(sample);
  throw Error(ErrorKind::numerical, fmt::format("the features of sample {} of '{}'{} are {}", sample, data.name(),
                                                file ? fmt::format(" ('{}')", printable(*file)) : "", fault));
}

/// Writes the features [n, D] of these samples, ascending, to a file.
fs::path write_file_of(const torch::Tensor& features, const std::vector<std::int64_t>& indices, const Dataset& data,
                       const std::string& origin, const FeatureOptions& options) {
  require_finite_features(features, indices, data, "infinite or not numbers; correct or remove it");
  const torch::Tensor stored = options.half ? features.to(torch::kHalf) : features;
  require_finite_features(stored, indices, data,
                          "beyond the range of float16; take " + option_name("feature_precision", "f32"));
  const torch::Tensor of_file = torch::tensor(indices, torch::kInt64);
  const fs::path path =
      options.folder / fmt::format("{}.{}.safetensors", stem_of(origin), sha256(bytes_of(of_file)).substr(0, 12));
  make_folder(options.folder);
  write_file(path, encode_safetensors({.tensors = {{"features", stored}, {"indices", of_file}},
                                       .metadata = {{k_features_origin, origin}}}));
  return path;
}

/// Computes the features of these samples, ascending, and writes their file; if interrupted, writes the completed ones.
fs::path write_features(Classifier& model, const Dataset& data, std::vector<std::int64_t> indices, std::int64_t width,
                        const std::string& origin, const FeatureOptions& options, Watch& watch) {
  const torch::Tensor features = torch::empty({std::ssize(indices), width}, torch::kFloat);
  std::int64_t done = 0;
  try {
    for_each_features(
        model, data, indices, options.normalisation, options.loader_threads, options.placement,
        [&](const torch::Tensor& batch, std::span<const std::int64_t>) {
          features.narrow(0, done, batch.size(0)).copy_(batch);
          done += batch.size(0);
          watch.advance(batch.size(0));
        },
        options.view);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) {
      indices.resize(static_cast<std::size_t>(done));
      write_file_of(features.narrow(0, 0, done), indices, data, origin, options);
    }
    throw;
  }
  return write_file_of(features, indices, data, origin, options);
}

}  // namespace

std::vector<fs::path> feature_folders_beside(const fs::path& run) {
  std::vector<fs::path> folders;
  std::error_code code, ignored;
  const fs::path here = fs::absolute(run, ignored).lexically_normal();
  const fs::path parent = (here.has_filename() ? here : here.parent_path()).parent_path();
  for (fs::directory_iterator it(parent, code), end; !code && it != end; it.increment(code))
    if (!fs::equivalent(it->path(), run, ignored) && fs::is_directory(it->path() / "features", ignored))
      folders.push_back(it->path() / "features");
  std::ranges::sort(folders);
  return folders;
}

std::string features_origin(const Classifier& model, const Dataset& data, const FeatureOptions& options) {
  const Normalisation& normalisation = options.normalisation;
  const ImageShape& shape = data.shape();
  std::string facts = fmt::format("{}\n{}\n{} {} {}\n{}\n{}\n{}\n", backbone_sha256(model), data.sha256(),
                                  shape.channels, shape.height, shape.width, fmt::join(normalisation.mean, " "),
                                  fmt::join(normalisation.stddev, " "), options.placement.bf16);
  if (const std::string augmentation = options.view.augmentation.text(); augmentation != "none")
    facts += fmt::format("{} {} {}\n", augmentation, options.view.seed, options.view.number);
  if (options.half) facts += "f16\n";
  return sha256(facts);
}

Dataset with_features(Classifier& model, const Dataset& data, std::span<const std::int64_t> indices,
                      const FeatureOptions& options) {
  const std::string origin = features_origin(model, data, options);
  const std::int64_t width = model->head_inputs({}).weight.size(1);
  auto store = std::make_shared<FeatureStore>(data, origin, width);
  take_over(options, origin);
  for (const fs::path& file : files_of(options.folder, origin)) store->add(file);
  std::vector<std::int64_t> missing(indices.begin(), indices.end());
  std::ranges::sort(missing);
  missing.erase(std::unique(missing.begin(), missing.end()), missing.end());
  std::erase_if(missing, [&](std::int64_t index) { return store->has(index); });
  Watch watch(options, std::ssize(missing));
  for (std::size_t first = 0; first < missing.size(); first += k_most_samples) {
    const std::size_t last = std::min(missing.size(), first + k_most_samples);
    const std::vector<std::int64_t> part(missing.begin() + static_cast<std::ptrdiff_t>(first),
                                         missing.begin() + static_cast<std::ptrdiff_t>(last));
    store->add(write_features(model, data, part, width, origin, options, watch));
  }

  DatasetInfo info = data.info();
  info.shape = {.channels = width, .height = 1, .width = 1};
  return Dataset(std::move(info), std::shared_ptr<const FeatureSource>(std::move(store)));
}

}  // namespace ulmus::detail
