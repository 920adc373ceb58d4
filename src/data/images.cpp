#include "data/images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <thread>

#include "data/jpeg.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// An image as it is kept: channels first, RGB or grey.
struct Image {
  std::vector<std::uint8_t> pixels;
  ImageShape shape;
  std::string sha256;  ///< of the file
  bool resized = false;

  bool decoded() const { return shape.channels > 0; }
  /// Gives the memory back, which `pixels = {}` would keep.
  void drop_pixels() { std::vector<std::uint8_t>().swap(pixels); }
};

// ---- from bytes to pixels

/// OpenCV fills the missing part of a truncated JPEG with grey and reports success. Such a file has no end-of-image
/// marker after its last start-of-scan marker; neither can occur inside entropy-coded data. The search from the end
/// stops at the first of either, in a whole file almost at once.
bool is_truncated_jpeg(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (!bytes.starts_with("\xff\xd8"sv)) return false;
  for (std::size_t i = bytes.size() - 1; i-- > 0;)
    if (bytes[i] == '\xff' && (bytes[i + 1] == '\xd9' || bytes[i + 1] == '\xda')) return bytes[i + 1] == '\xda';
  return true;
}

/// Empty when the bytes are no image. Grey files stay grey; an orientation in EXIF is applied.
cv::Mat decode(std::string& bytes) {
  if (cv::Mat image = decode_clean_jpeg(bytes); !image.empty()) return image;
  if (bytes.empty() || bytes.size() > std::numeric_limits<int>::max() || is_truncated_jpeg(bytes)) return {};
  try {
    return cv::imdecode(cv::Mat(1, static_cast<int>(bytes.size()), CV_8UC1, bytes.data()), cv::IMREAD_ANYCOLOR);
  } catch (const cv::Exception&) {
    return {};
  }
}

/// The shorter side to `side`, then the centre.
cv::Mat resize_to_square(const cv::Mat& image, int side) {
  const int shorter = std::min(image.rows, image.cols);
  cv::Mat resized = image;
  if (shorter != side) {
    const auto scaled = [&](int length) {
      return std::max(side, static_cast<int>(std::lround(static_cast<double>(length) * side / shorter)));
    };
    cv::resize(image, resized, {scaled(image.cols), scaled(image.rows)}, 0, 0,
               side < shorter ? cv::INTER_AREA : cv::INTER_LINEAR);
  }
  return resized(cv::Rect((resized.cols - side) / 2, (resized.rows - side) / 2, side, side));
}

/// Empty when the bytes are no image.
cv::Mat decode(std::string& bytes, std::optional<std::int64_t> side) {
  const cv::Mat decoded = decode(bytes);
  return decoded.empty() || !side ? decoded : resize_to_square(decoded, static_cast<int>(*side));
}

/// The part of the whole image that `choose` wants, scaled to the size of `shape`; empty when the bytes are no image.
cv::Mat decode_part(std::string& bytes, const Dataset::PartChoice& choose, const ImageShape& shape) {
  const cv::Mat decoded = decode(bytes);
  if (decoded.empty()) return {};
  const ImagePart part = choose(decoded.rows, decoded.cols);
  const bool shrinks = part.height >= shape.height && part.width >= shape.width;
  cv::Mat scaled;
  cv::resize(decoded(cv::Rect(static_cast<int>(part.left), static_cast<int>(part.top), static_cast<int>(part.width),
                              static_cast<int>(part.height))),
             scaled, {static_cast<int>(shape.width), static_cast<int>(shape.height)}, 0, 0,
             shrinks ? cv::INTER_AREA : cv::INTER_LINEAR_EXACT);
  return scaled;
}

ImageShape shape_of(const cv::Mat& image) {
  return {.channels = image.channels(), .height = image.rows, .width = image.cols};
}

/// Writes the pixels channels first, in the order R, G, B. Colours are taken apart in one sweep: cv::split needs four
/// times as long for an image of 224 x 224.
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

Image load(const fs::path& path, std::optional<std::int64_t> side) {
  std::string bytes = read_file(path);
  Image image;
  image.sha256 = sha256(bytes);
  const cv::Mat decoded = decode(bytes);
  if (decoded.empty()) return image;
  const cv::Mat sized = side ? resize_to_square(decoded, static_cast<int>(*side)) : decoded;
  image.resized = sized.size() != decoded.size();
  image.shape = shape_of(sized);
  image.pixels.resize(static_cast<std::size_t>(image.shape.pixels()));
  write_planes(sized, image.pixels.data());
  return image;
}

[[noreturn]] void undecodable(const fs::path& path) {
  throw Error(ErrorKind::data,
              fmt::format("'{}' cannot be decoded as an image (empty, truncated or damaged); replace it, or pass over "
                          "such files with --skip-bad",
                          path.string()));
}

// ---- all at once

std::string size_text(const ImageShape& shape) { return fmt::format("{} x {}", shape.width, shape.height); }

bool same_size(const ImageShape& a, const ImageShape& b) { return a.height == b.height && a.width == b.width; }

/// The files of both parts, one after the other.
struct AllFiles {
  const ImageFiles& train;
  const ImageFiles& test;

  std::size_t size() const { return train.size() + test.size(); }
  fs::path path(std::size_t i) const { return i < train.size() ? train.path(i) : test.path(i - train.size()); }
};

/// Height and width of the first image, which all must have; three channels unless all are grey.
ImageShape common_shape(const AllFiles& files, std::span<const Image> images) {
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
                  fmt::format("'{}' is {} but '{}' is {} pixels (width x height); pass --image-size N to resize all to "
                              "N x N",
                              files.path(first).string(), size_text(common), files.path(i).string(), size_text(shape)));
    common.channels = std::max(common.channels, shape.channels);
  }
  return common;
}

struct Loaded {
  std::vector<Image> images;  ///< of all files in order
  ImageShape shape;
  bool resized;  ///< whether any of them was
  bool kept;     ///< whether the pixels of all of them fit in the memory limit; none is kept otherwise
};

/// The error thrown is that of the first file that has one, whatever the number of threads.
Loaded load_all(const AllFiles& files, const OpenOptions& options) {
  std::vector<Image> images(files.size());
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> end{files.size()};  // no file from here on is needed: one before it has an error
  std::atomic<std::int64_t> bytes{0};
  std::atomic<bool> first_known{false};
  std::mutex mutex;
  std::exception_ptr failure;

  const auto work = [&] {
    for (std::size_t i = next++; i < end; i = next++) try {
        images[i] = load(files.path(i), options.image_size);
        if (!images[i].decoded() && !options.skip_bad) undecodable(files.path(i));
        bytes += images[i].shape.pixels();
        if (bytes > options.memory_limit) images[i].drop_pixels();
        if (i == 0) first_known = images[0].decoded();
        // Another size is an error that common_shape reports; there is no use in decoding what comes after it.
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
  const unsigned wanted =
      options.threads > 0 ? static_cast<unsigned>(options.threads) : std::max(1u, std::thread::hardware_concurrency());
  {
    std::vector<std::jthread> workers;
    for (std::size_t i = 1; i < std::min<std::size_t>(wanted, files.size()); ++i) workers.emplace_back(work);
    work();
  }
  const ImageShape shape = common_shape(files, std::span(images).first(end));
  if (failure) std::rethrow_exception(failure);

  const bool fit = bytes <= options.memory_limit;
  if (!fit)
    for (auto& image : images) image.drop_pixels();
  const bool resized = std::ranges::any_of(images, &Image::resized);
  return {.images = std::move(images), .shape = shape, .resized = resized, .kept = fit};
}

/// A grey image among coloured ones has its plane, the first `plane` pixels, repeated.
void repeat_planes(std::span<std::uint8_t> pixels, std::size_t plane) {
  for (std::size_t i = plane; i < pixels.size(); i += plane) std::memcpy(pixels.data() + i, pixels.data(), plane);
}

void copy_planes(std::span<const std::uint8_t> planes, std::span<std::uint8_t> out) {
  std::memcpy(out.data(), planes.data(), planes.size());
  repeat_planes(out, planes.size());
}

/// Writes all planes of `out`, to which a grey image among coloured ones is repeated.
void write_image(const cv::Mat& image, std::span<std::uint8_t> out) {
  write_planes(image, out.data());
  repeat_planes(out, static_cast<std::size_t>(shape_of(image).pixels()));
}

/// What `Dataset::read` works on when all images have been seen.
struct SeenImages {
  std::vector<fs::path> paths;
  std::vector<std::vector<std::uint8_t>> pixels;  ///< empty when the images are decoded again
  ImageShape shape;
  std::optional<std::int64_t> image_size;

  void read(std::int64_t index, std::span<std::uint8_t> out) const {
    const auto i = static_cast<std::size_t>(index);
    if (!pixels.empty()) return copy_planes(pixels[i], out);
    std::string bytes = read_file(paths[i]);
    write(i, decode(bytes, image_size), out);
  }

  void read_part(std::int64_t index, const Dataset::PartChoice& choose, std::span<std::uint8_t> out) const {
    const auto i = static_cast<std::size_t>(index);
    std::string bytes = read_file(paths[i]);
    write(i, decode_part(bytes, choose, shape), out);
  }

  void write(std::size_t i, const cv::Mat& image, std::span<std::uint8_t> out) const {
    if (image.empty() || !same_size(shape_of(image), shape) || image.channels() > shape.channels)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has changed since the data were opened; open them again", paths[i].string()));
    write_image(image, out);
  }
};

Dataset assemble(const ImageFiles& files, std::span<Image> images, const Loaded& loaded, const OpenOptions& options) {
  Dataset data;
  data.class_names = files.class_names;
  data.shape = loaded.shape;
  auto store = std::make_shared<SeenImages>();
  store->shape = loaded.shape;
  store->image_size = options.image_size;

  std::string content;
  std::vector<std::int64_t> listed(files.class_names.size(), 0);
  for (std::size_t i = 0; i < images.size(); ++i) {
    ++listed[static_cast<std::size_t>(files.labels[i])];
    if (!images[i].decoded()) continue;
    data.labels.push_back(files.labels[i]);
    store->paths.push_back(files.path(i));
    if (loaded.kept) store->pixels.push_back(std::move(images[i].pixels));
    content += fmt::format("{}{}{}{}{}\n", files.names[i], '\0', files.labels[i], '\0', images[i].sha256);
  }
  data.sha256 = sha256(content);

  const std::vector<std::int64_t> counts = data.counts();
  for (std::size_t c = 0; c < counts.size(); ++c)
    if (counts[c] == 0 && listed[c] > 0)
      throw Error(ErrorKind::data, fmt::format("class '{}' in '{}' has no image left: none of its {} can be decoded; "
                                               "replace them or remove the class",
                                               data.class_names[c], files.root.string(), listed[c]));
  const std::shared_ptr<const SeenImages> seen(std::move(store));
  data.read = [seen](std::int64_t index, std::span<std::uint8_t> pixels) { seen->read(index, pixels); };
  if (loaded.resized)
    data.read_part = [seen](std::int64_t index, const Dataset::PartChoice& choose, std::span<std::uint8_t> pixels) {
      seen->read_part(index, choose, pixels);
    };
  data.file = [seen](std::int64_t index) { return seen->paths[static_cast<std::size_t>(index)].string(); };
  return data;
}

// ---- one at a time

/// What `Dataset::read` works on when images are decoded as they are asked for.
class ImagesOnDemand {
 public:
  using Pixels = std::vector<std::uint8_t>;

  ImagesOnDemand(ImageFiles files, std::int64_t side, bool keep)
      : files_(std::move(files)), side_(side), kept_(keep ? files_.size() : 0) {}
  ~ImagesOnDemand() {
    for (auto& pixels : kept_) delete pixels.load();
  }
  ImagesOnDemand(const ImagesOnDemand&) = delete;
  ImagesOnDemand& operator=(const ImagesOnDemand&) = delete;

  void read(std::int64_t index, std::span<std::uint8_t> out) {
    const auto i = static_cast<std::size_t>(index);
    if (!kept_.empty())
      if (const Pixels* pixels = kept_[i].load(std::memory_order_acquire)) return copy_planes(*pixels, out);
    std::string bytes = read_file(files_.path(i));
    const cv::Mat decoded = decode(bytes, side_);
    if (decoded.empty()) undecodable(files_.path(i));
    write_image(decoded, out);
    if (kept_.empty()) return;
    const std::int64_t planes = shape_of(decoded).pixels();
    // Two threads may decode the same image; the first one's pixels stay.
    auto pixels = std::make_unique<const Pixels>(out.begin(), out.begin() + planes);
    if (const Pixels* none = nullptr; kept_[i].compare_exchange_strong(none, pixels.get())) pixels.release();
  }

  void read_part(std::int64_t index, const Dataset::PartChoice& choose, std::span<std::uint8_t> out) const {
    const auto i = static_cast<std::size_t>(index);
    std::string bytes = read_file(files_.path(i));
    const cv::Mat part = decode_part(bytes, choose, {.channels = 3, .height = side_, .width = side_});
    if (part.empty()) undecodable(files_.path(i));
    write_image(part, out);
  }

  std::string file(std::int64_t index) const { return files_.path(static_cast<std::size_t>(index)).string(); }

 private:
  ImageFiles files_;
  std::int64_t side_;
  std::vector<std::atomic<const Pixels*>> kept_;  ///< [N]; empty when the images are decoded again
};

}  // namespace

bool has_image_extension(const fs::path& path) {
  static constexpr std::array<std::string_view, 9> k_extensions{".jpg", ".jpeg", ".png", ".bmp", ".webp",
                                                                ".tif", ".tiff", ".pgm", ".ppm"};
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::ranges::find(k_extensions, extension) != k_extensions.end();
}

void read_image_as(const fs::path& path, const ImageShape& shape, std::optional<std::int64_t> side,
                   std::span<std::uint8_t> out) {
  const Image image = load(path, side);
  if (!image.decoded())
    throw Error(ErrorKind::data,
                fmt::format("'{}' cannot be decoded as an image (empty, truncated or damaged)", path.string()));
  if (!same_size(image.shape, shape))
    throw Error(ErrorKind::data, fmt::format("'{}' is {} pixels (width x height), the model was trained on {}",
                                             path.string(), size_text(image.shape), size_text(shape)));
  if (shape.channels >= image.shape.channels) return copy_planes(image.pixels, out);
  const std::size_t plane = out.size();
  for (std::size_t i = 0; i < plane; ++i) {
    const int red = image.pixels[i], green = image.pixels[plane + i], blue = image.pixels[2 * plane + i];
    out[i] = static_cast<std::uint8_t>((299 * red + 587 * green + 114 * blue + 500) / 1000);
  }
}

OpenedData open_images(const ImageFiles& train, const ImageFiles& test, const OpenOptions& options) {
  const AllFiles files{train, test};
  Loaded loaded = load_all(files, options);
  OpenedData data;
  for (std::size_t i = 0; i < loaded.images.size(); ++i) {
    if (loaded.images[i].decoded()) continue;
    if (++data.skipped <= std::int64_t{k_named_skipped}) data.skipped_files.push_back(files.path(i).string());
  }
  const auto images = std::span(loaded.images);
  data.train = assemble(train, images.first(train.size()), loaded, options);
  if (test.size() > 0) data.test = assemble(test, images.subspan(train.size()), loaded, options);
  return data;
}

Dataset images_on_demand(ImageFiles files, const std::vector<std::uintmax_t>& bytes, std::int64_t side, bool keep) {
  Dataset data;
  data.class_names = files.class_names;
  data.shape = {.channels = 3, .height = side, .width = side};
  data.labels = files.labels;
  std::string content;
  for (std::size_t i = 0; i < files.size(); ++i)
    fmt::format_to(std::back_inserter(content), "{}{}{}{}{}\n", files.names[i], '\0', files.labels[i], '\0', bytes[i]);
  data.sha256 = sha256(content);
  auto store = std::make_shared<ImagesOnDemand>(std::move(files), side, keep);
  data.read = [store](std::int64_t index, std::span<std::uint8_t> pixels) { store->read(index, pixels); };
  data.read_part = [store](std::int64_t index, const Dataset::PartChoice& choose, std::span<std::uint8_t> pixels) {
    store->read_part(index, choose, pixels);
  };
  data.file = [store](std::int64_t index) { return store->file(index); };
  return data;
}

}  // namespace ulmus::detail
