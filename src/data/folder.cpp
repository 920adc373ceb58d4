#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <thread>

#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

struct ImageFile {
  fs::path path;
  std::string name;  ///< below the folder of its part
  std::int64_t label;
};

struct Listing {
  std::vector<std::string> classes;
  std::vector<ImageFile> files;  ///< by class, then by name
};

/// An image as it is kept: channels first, RGB or grey.
struct Image {
  std::vector<std::uint8_t> pixels;
  ImageShape shape;
  std::string sha256;  ///< of the file

  bool decoded() const { return shape.channels > 0; }
};

// ---- what is on the disk

std::vector<fs::directory_entry> entries(const fs::path& folder) {
  std::error_code code;
  std::vector<fs::directory_entry> found;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    if (!it->path().filename().string().starts_with('.')) found.push_back(*it);
  if (code)
    throw Error(ErrorKind::data, fmt::format("cannot list the folder '{}': {}", folder.string(), code.message()));
  return found;
}

std::vector<std::string> subfolders(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : entries(folder))
    if (entry.is_directory(ignored)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

bool has_image_extension(const fs::path& path) {
  static constexpr std::array<std::string_view, 9> k_extensions{".jpg", ".jpeg", ".png", ".bmp", ".webp",
                                                                ".tif", ".tiff", ".pgm", ".ppm"};
  std::string extension = path.extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::ranges::find(k_extensions, extension) != k_extensions.end();
}

std::vector<std::string> image_names(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : entries(folder))
    if (has_image_extension(entry.path()) && !entry.is_directory(ignored))
      names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

/// Class names go into JSON files, which hold nothing but UTF-8.
bool is_utf8(const std::string& text) {
  try {
    return !nlohmann::json(text).dump().empty();
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

/// The classes are the subfolders, or the given ones (for a test part).
Listing list_part(const fs::path& folder, std::span<const std::string> known_classes) {
  Listing listing;
  listing.classes = {known_classes.begin(), known_classes.end()};
  const std::vector<std::string> names = subfolders(folder);
  if (known_classes.empty()) {
    if (names.size() < 2)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has {}, expected a folder of images for each of at least two classes",
                              folder.string(), names.empty() ? "no subfolder" : "one class, '" + names[0] + "'"));
    listing.classes = names;
  }
  for (const auto& name : names) {
    const auto position = std::ranges::find(listing.classes, name);
    if (position == listing.classes.end())
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has the class '{}', which the training part lacks; remove the folder or add the "
                              "class to train",
                              folder.string(), name));
    if (!is_utf8(name))
      throw Error(ErrorKind::data,
                  fmt::format("class folder '{}' in '{}' is not named in UTF-8; rename it", name, folder.string()));
    const std::vector<std::string> images = image_names(folder / name);
    if (images.empty())
      throw Error(ErrorKind::data, fmt::format("class folder '{}' has no image; add some or remove the folder",
                                               (folder / name).string()));
    for (const auto& image : images)
      listing.files.push_back(
          {folder / name / image, name + "/" + image, std::distance(listing.classes.begin(), position)});
  }
  if (listing.files.empty())
    throw Error(ErrorKind::data, fmt::format("'{}' has no class folder; add some or remove it", folder.string()));
  return listing;
}

/// Whether the folder is divided into `train` and `test`, rather than being a training part one of whose classes has
/// such a name.
bool is_divided(const fs::path& folder) {
  const std::vector<std::string> names = subfolders(folder);
  const auto is_part = [](const std::string& name) { return name == "train" || name == "val" || name == "test"; };
  const bool only_parts = std::ranges::all_of(names, is_part);
  return std::ranges::any_of(names, [&](const std::string& name) {
    return (name == "train" || name == "test") && (only_parts || !subfolders(folder / name).empty());
  });
}

// ---- from bytes to pixels

/// OpenCV fills the missing part of a truncated JPEG with grey and reports success. Such a file has no end-of-image
/// marker after its last start-of-scan marker; neither can occur inside entropy-coded data.
bool is_truncated_jpeg(std::string_view bytes) {
  using namespace std::string_view_literals;
  if (!bytes.starts_with("\xff\xd8"sv)) return false;
  const std::size_t scan = bytes.rfind("\xff\xda"sv);
  const std::size_t end = bytes.rfind("\xff\xd9"sv);
  return end == std::string_view::npos || (scan != std::string_view::npos && end < scan);
}

/// Empty when the bytes are no image. Grey files stay grey; an orientation in EXIF is applied.
cv::Mat decode(std::string& bytes) {
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

/// Writes the pixels channels first, in the order R, G, B.
void write_planes(const cv::Mat& image, std::uint8_t* pixels) {
  const int channels = image.channels();
  for (int c = channels - 1; c >= 0; --c)
    for (int y = 0; y < image.rows; ++y) {
      const std::uint8_t* row = image.ptr(y) + c;
      for (int x = 0; x < image.cols; ++x) *pixels++ = row[x * channels];
    }
}

Image load(const fs::path& path, std::optional<std::int64_t> side) {
  std::string bytes = read_file(path);
  Image image;
  image.sha256 = sha256(bytes);
  cv::Mat decoded = decode(bytes);
  if (decoded.empty()) return image;
  if (side) decoded = resize_to_square(decoded, static_cast<int>(*side));
  image.shape = {.channels = decoded.channels(), .height = decoded.rows, .width = decoded.cols};
  image.pixels.resize(static_cast<std::size_t>(image.shape.pixels()));
  write_planes(decoded, image.pixels.data());
  return image;
}

[[noreturn]] void undecodable(const fs::path& path) {
  throw Error(ErrorKind::data,
              fmt::format("'{}' cannot be decoded as an image (empty, truncated or damaged); replace it, or pass over "
                          "such files with --skip-bad",
                          path.string()));
}

/// Images of all files in order, and whether the pixels of all of them fit in the memory limit (none is kept
/// otherwise). The error thrown is that of the first file that has one, whatever the number of threads.
std::pair<std::vector<Image>, bool> load_all(std::span<const ImageFile> files, const OpenOptions& options) {
  std::vector<Image> images(files.size());
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> first_failure{files.size()};
  std::atomic<std::int64_t> bytes{0};
  std::mutex mutex;
  std::exception_ptr failure;

  const auto work = [&] {
    for (std::size_t i = next++; i < first_failure; i = next++) try {
        images[i] = load(files[i].path, options.image_size);
        if (!images[i].decoded() && !options.skip_bad) undecodable(files[i].path);
        bytes += images[i].shape.pixels();
        if (bytes > options.memory_limit) images[i].pixels = {};
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < first_failure) {
          first_failure = i;
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
  if (failure) std::rethrow_exception(failure);

  const bool fit = bytes <= options.memory_limit;
  if (!fit)
    for (auto& image : images) image.pixels = {};
  return {std::move(images), fit};
}

// ---- from images to a data set

std::string size_text(const ImageShape& shape) { return fmt::format("{} x {}", shape.width, shape.height); }

/// Height and width of the first image, which all must have; three channels unless all are grey.
ImageShape common_shape(std::span<const ImageFile> files, std::span<const Image> images) {
  ImageShape common;
  std::size_t first = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const ImageShape& shape = images[i].shape;
    if (!images[i].decoded()) continue;
    if (common.channels == 0) {
      common = shape;
      first = i;
    }
    if (shape.height != common.height || shape.width != common.width)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' is {} but '{}' is {} pixels (width x height); pass --image-size N to resize all to "
                              "N x N",
                              files[first].path.string(), size_text(common), files[i].path.string(), size_text(shape)));
    common.channels = std::max(common.channels, shape.channels);
  }
  return common;
}

/// What `Dataset::read` of a folder works on.
struct Store {
  std::vector<fs::path> paths;
  std::vector<std::vector<std::uint8_t>> pixels;  ///< empty when the images are decoded again
  ImageShape shape;
  std::optional<std::int64_t> image_size;

  void read(std::int64_t index, std::span<std::uint8_t> out) const {
    const auto i = static_cast<std::size_t>(index);
    if (!pixels.empty()) return copy(pixels[i], out);
    const Image image = load(paths[i], image_size);
    if (!image.decoded() || image.shape.height != shape.height || image.shape.width != shape.width ||
        image.shape.channels > shape.channels)
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has changed since the data were opened; open them again", paths[i].string()));
    copy(image.pixels, out);
  }

  /// A grey image among coloured ones has its plane repeated.
  static void copy(std::span<const std::uint8_t> planes, std::span<std::uint8_t> out) {
    for (; !out.empty(); out = out.subspan(planes.size())) std::memcpy(out.data(), planes.data(), planes.size());
  }
};

Dataset assemble(const Listing& listing, std::span<Image> images, const ImageShape& shape, bool keep,
                 const OpenOptions& options) {
  Dataset data;
  data.class_names = listing.classes;
  data.shape = shape;
  auto store = std::make_shared<Store>();
  store->shape = shape;
  store->image_size = options.image_size;

  std::string content;
  std::vector<std::int64_t> listed(listing.classes.size(), 0);
  for (std::size_t i = 0; i < images.size(); ++i) {
    const ImageFile& file = listing.files[i];
    ++listed[static_cast<std::size_t>(file.label)];
    if (!images[i].decoded()) continue;
    data.labels.push_back(file.label);
    store->paths.push_back(file.path);
    if (keep) store->pixels.push_back(std::move(images[i].pixels));
    content += fmt::format("{}{}{}{}{}\n", file.name, '\0', file.label, '\0', images[i].sha256);
  }
  data.sha256 = sha256(content);

  const std::vector<std::int64_t> counts = data.counts();
  for (std::size_t c = 0; c < counts.size(); ++c)
    if (counts[c] == 0 && listed[c] > 0) {
      const auto file = std::ranges::find(listing.files, static_cast<std::int64_t>(c), &ImageFile::label);
      throw Error(ErrorKind::data, fmt::format("class folder '{}' has no image left: none of its {} can be decoded; "
                                               "replace them or remove the folder",
                                               file->path.parent_path().string(), listed[c]));
    }
  data.read = [store = std::shared_ptr<const Store>(std::move(store))](
                  std::int64_t index, std::span<std::uint8_t> pixels) { store->read(index, pixels); };
  return data;
}

}  // namespace

OpenedData open_folder(const fs::path& folder, const OpenOptions& options) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw Error(ErrorKind::data,
                fmt::format("'{}' is not a folder; folder:DIR needs a folder with a folder of images per class",
                            folder.string()));
  const bool divided = is_divided(folder);
  const fs::path train_folder = divided ? folder / "train" : folder;
  if (!fs::is_directory(train_folder, ignored))
    throw Error(ErrorKind::data,
                fmt::format("'{}' has a test folder but no train folder beside it; add one", folder.string()));
  if (divided && fs::is_directory(folder / "val", ignored))
    announce_once("folder-val",
                  fmt::format("'{}' is not used: the validation part is held out of train", (folder / "val").string()));

  const Listing train = list_part(train_folder, {});
  Listing test;
  if (divided && fs::is_directory(folder / "test", ignored)) test = list_part(folder / "test", train.classes);

  std::vector<ImageFile> files = train.files;
  files.insert(files.end(), test.files.begin(), test.files.end());
  auto [images, keep] = load_all(files, options);
  const ImageShape shape = common_shape(files, images);

  OpenedData data;
  data.skipped = std::ranges::count_if(images, [](const Image& image) { return !image.decoded(); });
  const auto both = std::span(images);
  data.train = assemble(train, both.first(train.files.size()), shape, keep, options);
  if (!test.files.empty()) data.test = assemble(test, both.subspan(train.files.size()), shape, keep, options);
  return data;
}

}  // namespace ulmus::detail
