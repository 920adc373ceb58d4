#include "ulmus/data/dataset.hpp"

#include <fmt/format.h>

#include "data/gzip.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {

std::optional<std::string> SampleSource::file(std::int64_t) const { return std::nullopt; }

std::optional<std::int64_t> SampleSource::line(std::int64_t) const { return std::nullopt; }

bool ImageSource::read_crop(std::int64_t, const CropChooser&, std::span<std::uint8_t>) const { return false; }

namespace {

void check_labels(const DatasetInfo& info) {
  const std::int64_t classes = std::ssize(info.class_names);
  for (std::size_t i = 0; classes > 0 && i < info.labels.size(); ++i)
    if (info.labels[i] < 0 || info.labels[i] >= classes)
      throw Error(ErrorKind::data, fmt::format("label {} of sample {} (from 0) of '{}' is no class, expected 0 to {}",
                                               info.labels[i], i, info.name, classes - 1));
}

}  // namespace

Dataset::Dataset() : Dataset(std::make_shared<const Content>()) {}

Dataset::Dataset(std::shared_ptr<const Content> content) : content_(std::move(content)) { check_labels(info()); }

Dataset::Dataset(DatasetInfo info, std::shared_ptr<const ImageSource> images)
    : Dataset(std::make_shared<const Content>(Content{std::move(info), std::move(images), nullptr})) {}

Dataset::Dataset(DatasetInfo info, std::shared_ptr<const FeatureSource> features)
    : Dataset(std::make_shared<const Content>(Content{std::move(info), nullptr, std::move(features)})) {}

Dataset Dataset::with_info(DatasetInfo info) const {
  return Dataset(std::make_shared<const Content>(Content{std::move(info), content_->images, content_->features}));
}

std::vector<std::int64_t> Dataset::counts() const {
  std::vector<std::int64_t> counts(class_names().size(), 0);
  if (counts.empty()) return counts;  // no labels either
  for (const std::int64_t label : labels()) ++counts[static_cast<std::size_t>(label)];
  return counts;
}

const ImageSource& Dataset::images() const {
  if (content_->images) return *content_->images;
  throw Error(ErrorKind::usage, fmt::format("'{}' has no images to read; read_features reads features", name()));
}

const SampleSource* Dataset::source() const {
  if (content_->images) return content_->images.get();
  return content_->features.get();
}

void Dataset::read(std::int64_t index, std::span<std::uint8_t> pixels) const { images().read(index, pixels); }

bool Dataset::read_crop(std::int64_t index, const CropChooser& choose, std::span<std::uint8_t> pixels) const {
  return images().read_crop(index, choose, pixels);
}

void Dataset::read_features(std::int64_t index, std::span<float> values) const {
  if (!content_->features)
    throw Error(ErrorKind::usage, fmt::format("'{}' has no features to read; read reads images", name()));
  content_->features->read(index, values);
}

std::optional<std::string> Dataset::file(std::int64_t index) const {
  return source() ? source()->file(index) : std::nullopt;
}

std::optional<std::int64_t> Dataset::line(std::int64_t index) const {
  return source() ? source()->line(index) : std::nullopt;
}

namespace detail {

void refuse_image_options(const OpenOptions& options, std::string_view source) {
  if (options.image_size)
    throw Error(ErrorKind::usage, fmt::format("{} resizes image files, not what {} holds; leave it out",
                                              option_name("image_size"), source));
  if (options.skip_bad)
    throw Error(ErrorKind::usage,
                fmt::format("{} passes over image files, {} has none; leave it out", option_name("skip_bad"), source));
}

std::vector<std::string> literal_names(const Address& address) {
  std::vector<std::string> names = address.list("literal");
  for (std::string& name : names) name = class_name(name);
  return names;
}

std::optional<ClassFile> class_file(const Address& address) {
  const auto path = address.find("classes");
  if (!path) return std::nullopt;
  return parse_class_file(read_text_file(*path), *path);
}

namespace {

/// `data` with its address as name and, where it has the classes of a run, their numbers as labels.
Dataset named(const Dataset& data, std::string_view address, const std::vector<std::string>& known) {
  DatasetInfo info = data.info();
  info.name = address;
  if (!known.empty() && info.class_names != known) {
    LabelTexts texts;
    for (const std::int64_t label : info.labels) texts.add(info.class_names[static_cast<std::size_t>(label)]);
    const LabelRules rules{.place = [&](std::size_t i) { return fmt::format("'{}' image {} (from 0)", address, i); }};
    info.labels = labels_among(texts, known, rules, "the run");
    info.class_names = known;
  }
  return data.with_info(std::move(info));
}

}  // namespace

}  // namespace detail

std::vector<std::string> all_notes(const OpenedData& data) {
  std::vector<std::string> notes;
  if (const std::int64_t skipped = data.skipped.total(); skipped > 0) {
    std::vector<std::string> files;
    for (const std::string& file : data.skipped_files) files.push_back("'" + file + "'");
    notes.push_back(fmt::format("{} that cannot be used {} passed over ({}): {}{}",
                                skipped == 1 ? "1 image" : fmt::format("{} images", skipped),
                                skipped == 1 ? "is" : "are", data.skipped.text(), join(files, ", "),
                                skipped > std::ssize(files) ? ", ..." : ""));
  }
  notes.insert(notes.end(), data.notes.begin(), data.notes.end());
  notes.insert(notes.end(), data.train.notes().begin(), data.train.notes().end());
  if (data.test) notes.insert(notes.end(), data.test->notes().begin(), data.test->notes().end());
  for (std::string& note : notes) note = printable(note, std::string::npos);
  return notes;
}

OpenedData open_data(std::string_view address, const OpenOptions& options) {
  if (options.threads < 0)
    throw Error(ErrorKind::usage,
                fmt::format("decoding threads are {}, expected 0 (all cores) or more", options.threads));
  if (options.image_size && (*options.image_size < 1 || *options.image_size > detail::k_max_image_side))
    throw Error(ErrorKind::usage, fmt::format("{} is {}, expected 1 to {}", option_name("image_size"),
                                              *options.image_size, detail::k_max_image_side));

  if (options.max_pixels < 1 || options.max_pixels > k_largest_max_pixels)
    throw Error(ErrorKind::usage, fmt::format("{} is {}, expected 1 to {}", option_name("max_pixels"),
                                              options.max_pixels, k_largest_max_pixels));
  if (options.image_bits != 0 && (options.image_bits < 8 || options.image_bits > 16))
    throw Error(ErrorKind::usage, fmt::format("{} is {}, expected 8 to 16, or 0 for as many as the data use",
                                              option_name("image_bits"), options.image_bits));

  const detail::Address parsed = detail::parse_address(address);
  OpenedData data;
  if (parsed.source == "folder")
    data = detail::open_folder(parsed.rest, options);
  else if (parsed.source == "list")
    data = detail::open_list(parsed, options);
  else if (parsed.source == "csv")
    data = detail::open_csv(parsed, options);
  else if (parsed.source == "npy")
    data = detail::open_npy(parsed, options);
  else if (parsed.source == "cifar10" || parsed.source == "cifar100")
    data = detail::open_cifar(parsed.source, options);
  else
    data = detail::open_idx(parsed.source, options);

  // The classes of a table are matched when it is encoded.
  const std::vector<std::string> known = data.train_table ? std::vector<std::string>{} : options.classes;
  data.train = detail::named(data.train, address, known);
  if (data.test) data.test = detail::named(*data.test, address, known);
  return data;
}

Dataset open_unlabelled(const std::filesystem::path& file, std::string_view address, const TableEncoding* encoding,
                        std::vector<std::string> class_names) {
  if (encoding) return detail::open_unlabelled_csv(file, detail::parse_address(address), *encoding);
  return detail::open_unlabelled_npy(file, std::move(class_names));
}

}  // namespace ulmus
