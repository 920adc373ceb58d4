#include "data/images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <opencv2/imgproc.hpp>

#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/threads.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// A decoded image in memory: channels first, RGB or grey.
struct LoadedImage {
  std::vector<std::uint8_t> pixels;
  ImageShape shape;
  std::string sha256;  ///< hash of the file
  ImageTraits traits;
  std::string error;                       ///< why it was not decoded
  ImageFault fault = ImageFault::damaged;  ///< the kind of error
  bool resized = false;

  bool decoded() const { return shape.channels > 0; }
  /// Frees the memory, which `pixels = {}` would keep.
  void drop_pixels() { std::vector<std::uint8_t>().swap(pixels); }
};

// ---- from bytes to pixels

DecodeOptions decode_options(const OpenOptions& options) {
  return {.max_pixels = options.max_pixels, .bits = options.image_bits};
}

/// The processing applied to every image.
struct Preparation {
  DecodeOptions decode;
  std::optional<std::int64_t> side;

  explicit Preparation(const OpenOptions& options) : decode(decode_options(options)), side(options.image_size) {}
};

DecodedImage decode_sized(std::string_view bytes, const Preparation& preparation) {
  DecodedImage image = decode_image(bytes, preparation.decode);
  if (preparation.side)
    image.pixels = resize_to_square(image.pixels, static_cast<int>(*preparation.side), preparation.decode.max_pixels);
  return image;
}

/// Decodes the rectangle of the whole image that `choose` selects, scaled to the size of `shape`.
DecodedImage decode_crop(std::string_view bytes, const CropChooser& choose, const ImageShape& shape,
                         const DecodeOptions& options) {
  const auto [decoded, traits] = decode_image(bytes, options);
  const CropBox box = choose(decoded.rows, decoded.cols);
  const bool shrinks = box.height >= shape.height && box.width >= shape.width;
  cv::Mat scaled;
  cv::resize(decoded(cv::Rect(static_cast<int>(box.left), static_cast<int>(box.top), static_cast<int>(box.width),
                              static_cast<int>(box.height))),
             scaled, {static_cast<int>(shape.width), static_cast<int>(shape.height)}, 0, 0,
             shrinks ? cv::INTER_AREA : cv::INTER_LINEAR_EXACT);
  return {.pixels = scaled, .traits = traits};
}

ImageShape shape_of(const cv::Mat& image) {
  return {.channels = image.channels(), .height = image.rows, .width = image.cols};
}

/// Writes the pixels channels first, in the order R, G, B. One pass splits the colours: cv::split takes four times as
/// long for an image of 224 x 224.
void write_planes(const cv::Mat& image, std::uint8_t* pixels) {
  const auto width = static_cast<std::size_t>(image.cols);
  for (int y = 0; y < image.rows; ++y, pixels += width) {
    const std::uint8_t* __restrict row = image.ptr(y);
    if (image.channels() == 1) {
      std::memcpy(pixels, row, width);
      continue;
    }
    std::uint8_t* __restrict red = pixels;
    std::uint8_t* __restrict green = red + image.total();
    std::uint8_t* __restrict blue = green + image.total();
    for (std::size_t x = 0; x < width; ++x) {
      red[x] = row[3 * x + 2];
      green[x] = row[3 * x + 1];
      blue[x] = row[3 * x];
    }
  }
}

/// The result has an error and no pixels if the file cannot be decoded.
LoadedImage load(const fs::path& path, const Preparation& preparation) {
  const std::string bytes = read_file(path);
  LoadedImage image;
  image.sha256 = sha256(bytes);
  try {
    const auto [decoded, traits] = decode_image(bytes, preparation.decode);
    const cv::Mat sized =
        preparation.side ? resize_to_square(decoded, static_cast<int>(*preparation.side), preparation.decode.max_pixels)
                         : decoded;
    image.resized = sized.size() != decoded.size();
    image.shape = shape_of(sized);
    image.traits = traits;
    image.pixels.resize(static_cast<std::size_t>(image.shape.pixels()));
    write_planes(sized, image.pixels.data());
  } catch (const DecodeError& error) {
    image.error = error.what();
    image.fault = error.fault();
  } catch (const std::bad_alloc&) {
    image.error = "there is not enough memory for its pixels";
    image.fault = ImageFault::no_memory;
  }
  return image;
}

std::string undecodable_text(const fs::path& path, std::string_view why) {
  return fmt::format("'{}' cannot be decoded as an image: {}", path.string(), why);
}

[[noreturn]] void throw_undecodable(const fs::path& path, std::string_view why) {
  throw Error(ErrorKind::data, fmt::format("{}; replace it, or skip such files with {}", undecodable_text(path, why),
                                           option_name("skip_bad")));
}

// ---- all at once

std::string size_text(const ImageShape& shape) { return fmt::format("{} x {}", shape.width, shape.height); }

bool same_size(const ImageShape& a, const ImageShape& b) { return a.height == b.height && a.width == b.width; }

/// The files of both parts, concatenated.
struct AllFiles {
  const ImageFiles& train;
  const ImageFiles& test;

  std::size_t size() const { return train.size() + test.size(); }
  fs::path path(std::size_t i) const { return i < train.size() ? train.path(i) : test.path(i - train.size()); }
};

/// Height and width of the first image, which all images must have; three channels unless all are grey.
ImageShape common_shape(const AllFiles& files, std::span<const LoadedImage> images) {
  ImageShape common;
  std::size_t first = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const ImageShape& shape = images[i].shape;
    if (!images[i].decoded()) continue;
    if (common.channels == 0) {
      common = shape;
      first = i;
    }
    if (!same_size(shape, common))
      throw Error(ErrorKind::data,
                  fmt::format("'{}' is {} but '{}' is {} pixels (width x height); resize all to N x N with {}",
                              files.path(first).string(), size_text(common), files.path(i).string(), size_text(shape),
                              option_name("image_size", "N")));
    common.channels = std::max(common.channels, shape.channels);
  }
  return common;
}

struct Loaded {
  std::vector<LoadedImage> images;  ///< of all files in order
  ImageShape shape;
  ImageNotes notes;
  Preparation preparation;  ///< including the used bits
  bool resized;             ///< whether any image was resized
  bool kept;                ///< whether the pixels of all images fit in the memory limit; otherwise none are kept
};

/// Calls `work` for 0 to `size` on several threads, as many as `wanted` and the machine allow.
template <class Work>
void in_parallel(std::size_t size, int wanted, const Work& work) {
  std::atomic<std::size_t> next{0};
  const std::size_t threads = wanted > 0 ? static_cast<std::size_t>(wanted) : static_cast<std::size_t>(usable_cores());
  run_on_threads(std::min(threads, size), [&] {
    for (std::size_t i = next++; i < size; i = next++) work(i);
  });
}

/// Throws the error of the first failing file, independent of the number of threads.
Loaded load_all(const AllFiles& files, const OpenOptions& options) {
  std::vector<LoadedImage> images(files.size());
  std::atomic<std::size_t> end{files.size()};  // files from here on are not needed, because an earlier one has an error
  std::atomic<std::int64_t> bytes{0};
  std::atomic<bool> first_known{false};
  std::mutex mutex;
  std::exception_ptr failure;
  Preparation preparation(options);

  const auto load_one = [&](std::size_t i) {
    if (i >= end) return;
    try {
      images[i] = load(files.path(i), preparation);
      if (!images[i].decoded() && !options.skip_bad) throw_undecodable(files.path(i), images[i].error);
      bytes += images[i].shape.pixels();
      if (bytes > options.memory_limit) images[i].drop_pixels();
      if (i == 0) first_known = images[0].decoded();
      // common_shape reports a different size as an error, so later images need not be decoded.
      if (first_known && images[i].decoded() && !same_size(images[i].shape, images[0].shape)) {
        const std::lock_guard lock(mutex);
        if (i + 1 < end) end = i + 1;
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (i < end) {
        end = i;
        failure = std::current_exception();
      }
    }
  };
  in_parallel(files.size(), options.threads, load_one);
  const ImageShape shape = common_shape(files, std::span(images).first(end));
  if (failure) std::rethrow_exception(failure);

  ImageNotes notes;
  for (std::size_t i = 0; i < images.size(); ++i) notes.add(images[i].traits, files.path(i));
  const bool fit = bytes <= options.memory_limit;
  if (!fit)
    for (auto& image : images) image.drop_pixels();
  if (options.image_bits == 0 && notes.bits() > 0) {  // only known now
    preparation.decode.bits = notes.bits();
    if (fit && notes.bits() < 16)
      in_parallel(images.size(), options.threads, [&](std::size_t i) {
        if (images[i].traits.bits == 0) return;
        bytes -= images[i].shape.pixels();
        load_one(i);
      });
    if (failure) std::rethrow_exception(failure);
  }
  const bool resized = std::ranges::any_of(images, &LoadedImage::resized);
  return {.images = std::move(images),
          .shape = shape,
          .notes = std::move(notes),
          .preparation = preparation,
          .resized = resized,
          .kept = fit};
}

/// Repeats the plane of a grey image, the first `plane` pixels, for the other channels.
void repeat_planes(std::span<std::uint8_t> pixels, std::size_t plane) {
  for (std::size_t i = plane; i < pixels.size(); i += plane) std::memcpy(pixels.data() + i, pixels.data(), plane);
}

void copy_planes(std::span<const std::uint8_t> planes, std::span<std::uint8_t> out) {
  std::memcpy(out.data(), planes.data(), planes.size());
  repeat_planes(out, planes.size());
}

/// Writes all planes of `out`; the plane of a grey image is repeated.
void write_image(const cv::Mat& image, std::span<std::uint8_t> out) {
  write_planes(image, out.data());
  repeat_planes(out, static_cast<std::size_t>(shape_of(image).pixels()));
}

/// Images that were all decoded when the data were opened.
class CheckedImages : public ImageSource {
 public:
  CheckedImages(const Loaded& loaded)
      : shape_(loaded.shape), preparation_(loaded.preparation), resized_(loaded.resized), kept_(loaded.kept) {}

  /// Appends the next image; takes over its pixels if images are kept in memory.
  void add(fs::path path, std::vector<std::uint8_t>& pixels) {
    paths_.push_back(std::move(path));
    if (kept_) pixels_.push_back(std::move(pixels));
  }

  void read(std::int64_t index, std::span<std::uint8_t> out) const override {
    if (kept_) return copy_planes(pixels_[static_cast<std::size_t>(index)], out);
    decode_again(index, out, [&](std::string_view bytes) { return decode_sized(bytes, preparation_); });
  }

  bool read_crop(std::int64_t index, const CropChooser& choose, std::span<std::uint8_t> out) const override {
    if (!resized_) return false;
    decode_again(index, out,
                 [&](std::string_view bytes) { return decode_crop(bytes, choose, shape_, preparation_.decode); });
    return true;
  }

  std::optional<std::string> file(std::int64_t index) const override {
    return paths_[static_cast<std::size_t>(index)].string();
  }

 private:
  template <class Decode>
  void decode_again(std::int64_t index, std::span<std::uint8_t> out, const Decode& decode) const {
    const fs::path& path = paths_[static_cast<std::size_t>(index)];
    const std::string bytes = read_file(path);
    cv::Mat image;
    try {
      image = decode(bytes).pixels;
    } catch (const DecodeError&) {  // it was decodable when the data were opened
    }
    if (image.empty() || !same_size(shape_of(image), shape_) || image.channels() > shape_.channels)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has changed since the data were opened; open them again", path.string()));
    write_image(image, out);
  }

  ImageShape shape_;
  Preparation preparation_;
  bool resized_;
  bool kept_;
  std::vector<fs::path> paths_;
  std::vector<std::vector<std::uint8_t>> pixels_;  ///< [N] if kept
};

Dataset assemble(const ImageFiles& files, std::span<LoadedImage> images, const Loaded& loaded) {
  DatasetInfo info{.class_names = files.class_names, .shape = loaded.shape};
  auto source = std::make_shared<CheckedImages>(loaded);
  std::string content;
  std::vector<std::int64_t> listed(files.class_names.size(), 0), left = listed;
  for (std::size_t i = 0; i < images.size(); ++i) {
    ++listed[static_cast<std::size_t>(files.labels[i])];
    if (!images[i].decoded()) continue;
    ++left[static_cast<std::size_t>(files.labels[i])];
    info.labels.push_back(files.labels[i]);
    source->add(files.path(i), images[i].pixels);
    content += fmt::format("{}{}{}{}{}\n", files.names[i], '\0', files.labels[i], '\0', images[i].sha256);
  }
  info.sha256 = sha256(content);

  for (std::size_t c = 0; c < left.size(); ++c)
    if (left[c] == 0 && listed[c] > 0)
      throw Error(ErrorKind::data, fmt::format("class '{}' in '{}' has no image left: none of its {} can be decoded; "
                                               "replace them or remove the class",
                                               info.class_names[c], files.root.string(), listed[c]));
  return Dataset(std::move(info), std::shared_ptr<const ImageSource>(std::move(source)));
}

// ---- one at a time

/// Images that are decoded when they are read.
class ImagesOnDemand : public ImageSource {
 public:
  using Pixels = std::vector<std::uint8_t>;

  ImagesOnDemand(ImageFiles files, const OpenOptions& options, bool keep)
      : files_(std::move(files)), preparation_(options), kept_(keep ? files_.size() : 0) {}
  ~ImagesOnDemand() override {
    for (auto& pixels : kept_) delete pixels.load();
  }

  void read(std::int64_t index, std::span<std::uint8_t> out) const override {
    const auto i = static_cast<std::size_t>(index);
    if (!kept_.empty())
      if (const Pixels* pixels = kept_[i].load(std::memory_order_acquire)) return copy_planes(*pixels, out);
    const cv::Mat decoded = decode(i, [&](std::string_view bytes) { return decode_sized(bytes, preparation_); });
    write_image(decoded, out);
    if (kept_.empty()) return;
    const std::int64_t planes = shape_of(decoded).pixels();
    // Two threads may decode the same image; the pixels of the first are kept.
    auto pixels = std::make_unique<const Pixels>(out.begin(), out.begin() + planes);
    if (const Pixels* none = nullptr; kept_[i].compare_exchange_strong(none, pixels.get())) pixels.release();
  }

  bool read_crop(std::int64_t index, const CropChooser& choose, std::span<std::uint8_t> out) const override {
    const auto i = static_cast<std::size_t>(index);
    const ImageShape shape{.channels = 3, .height = *preparation_.side, .width = *preparation_.side};
    write_image(
        decode(i, [&](std::string_view bytes) { return decode_crop(bytes, choose, shape, preparation_.decode); }), out);
    return true;
  }

  std::optional<std::string> file(std::int64_t index) const override {
    return files_.path(static_cast<std::size_t>(index)).string();
  }

 private:
  template <class Decode>
  cv::Mat decode(std::size_t i, const Decode& decode) const {
    const fs::path path = files_.path(i);
    const std::string bytes = read_file(path);
    try {
      auto [pixels, traits] = decode(bytes);
      if (traits.bits > 0 && preparation_.decode.bits == 0)
        throw_undecodable(path, fmt::format("it has 16 bits a sample and the images before have 8; say with {} how "
                                            "many are in use (here {})",
                                            option_name("image_bits"), traits.bits));
      traits.bits = 0;  // already scaled according to the options
      ImageNotes notes;
      notes.add(traits, path);
      for (const std::string& line : notes.lines(0))
        warn_once(line.substr(0, line.find(": '")), line + "; others like it are not named");
      return pixels;
    } catch (const DecodeError& error) {
      throw_undecodable(path, error.what());
    }
  }

  ImageFiles files_;
  Preparation preparation_;
  mutable std::vector<std::atomic<const Pixels*>> kept_;  ///< [N], a cache; empty if images are decoded each time
};

}  // namespace

void ImageNotes::count(bool has, Images& images, const fs::path& path) {
  if (has && images.count++ == 0) images.first = printable(path.string());
}

void ImageNotes::add(const ImageTraits& traits, const fs::path& path) {
  count(traits.transparent, transparent_, path);
  count(traits.paged, paged_, path);
  count(traits.animated, animated_, path);
  count(traits.left_over, left_over_, path);
  count(traits.bits > 0, deep_, path);
  bits_ = std::max(bits_, traits.bits);
}

void ImageNotes::add(const ImageNotes& others) {
  const auto merge = [](Images& images, const Images& more) {
    if (images.count == 0) images.first = more.first;
    images.count += more.count;
  };
  merge(transparent_, others.transparent_);
  merge(paged_, others.paged_);
  merge(animated_, others.animated_);
  merge(left_over_, others.left_over_);
  merge(deep_, others.deep_);
  bits_ = std::max(bits_, others.bits_);
}

std::vector<std::string> ImageNotes::lines(int bits) const {
  std::vector<std::string> lines;
  const auto add = [&](const Images& images, std::string_view one, std::string_view many) {
    if (images.count == 1) lines.push_back(fmt::format("1 image {}: '{}'", one, images.first));
    if (images.count > 1)
      lines.push_back(fmt::format("{} images {}, the first '{}'", images.count, many, images.first));
  };
  add(transparent_, "is transparent and shown on white", "are transparent and shown on white");
  add(paged_, "has several pages, of which the first is used", "have several pages, of which the first is used");
  add(animated_, "is an animation, of which the first frame is used",
      "are animations, of which the first frame is used");
  add(left_over_, "has bytes left over after its pixels and may be damaged",
      "have bytes left over after their pixels and may be damaged");
  const std::string depth = fmt::format("16 bits a sample, of which {} are in use: {} is white", bits, (1 << bits) - 1);
  add(deep_, "has " + depth, "have " + depth);
  return lines;
}

std::string not_images_line(const KindCounts& not_images) {
  return not_images.empty() ? "" : "skipped, not readable as images: " + not_images.text();
}

ImageTraits read_image_as(const fs::path& path, const ReadOptions& options, std::span<std::uint8_t> out) {
  std::error_code ignored;
  if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored))
    throw UnusableImage("no regular file", fmt::format("'{}' is no regular file", path.string()));
  OpenOptions open;
  open.image_size = options.side;
  open.max_pixels = options.decode.max_pixels;
  open.image_bits = options.decode.bits;
  const LoadedImage image = load(path, Preparation(open));
  if (!image.decoded()) throw UnusableImage(name_of(image.fault), undecodable_text(path, image.error));
  const ImageShape& shape = options.shape;
  if (!same_size(image.shape, shape))
    throw UnusableImage(name_of(ImageFault::other_size),
                        fmt::format("'{}' is {} pixels (width x height), the model was trained on {}", path.string(),
                                    size_text(image.shape), size_text(shape)));
  if (shape.channels >= image.shape.channels) {
    copy_planes(image.pixels, out);
    return image.traits;
  }
  const std::size_t plane = out.size();
  for (std::size_t i = 0; i < plane; ++i) {
    const int red = image.pixels[i], green = image.pixels[plane + i], blue = image.pixels[2 * plane + i];
    out[i] = static_cast<std::uint8_t>((299 * red + 587 * green + 114 * blue + 500) / 1000);
  }
  return image.traits;
}

OpenedData open_images(const ImageFiles& train, const ImageFiles& test, const OpenOptions& options) {
  const AllFiles files{train, test};
  Loaded loaded = load_all(files, options);
  OpenedData data;
  for (std::size_t i = 0; i < loaded.images.size(); ++i) {
    if (loaded.images[i].decoded()) continue;
    data.skipped.add(std::string(name_of(loaded.images[i].fault)));
    if (data.skipped_files.size() < k_named_skipped) data.skipped_files.push_back(files.path(i).string());
  }
  data.image_bits = loaded.preparation.decode.bits > 0 ? loaded.preparation.decode.bits : 8;
  data.notes = loaded.notes.lines(data.image_bits);
  const auto images = std::span(loaded.images);
  data.train = assemble(train, images.first(train.size()), loaded);
  if (test.size() > 0) data.test = assemble(test, images.subspan(train.size()), loaded);
  return data;
}

Dataset images_on_demand(ImageFiles files, const std::vector<std::uintmax_t>& bytes, const OpenOptions& options,
                         bool keep) {
  std::string content;
  for (std::size_t i = 0; i < files.size(); ++i)
    fmt::format_to(std::back_inserter(content), "{}{}{}{}{}\n", files.names[i], '\0', files.labels[i], '\0', bytes[i]);
  DatasetInfo info{.class_names = std::move(files.class_names),
                   .shape = {.channels = 3, .height = *options.image_size, .width = *options.image_size},
                   .labels = std::move(files.labels),
                   .sha256 = sha256(content)};
  return Dataset(std::move(info), std::make_shared<const ImagesOnDemand>(std::move(files), options, keep));
}

bool has_deep_samples(const fs::path& path, const OpenOptions& options) {
  try {
    return decode_image(read_file(path), decode_options(options)).traits.bits > 0;
  } catch (const DecodeError&) {
    return false;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace ulmus::detail
