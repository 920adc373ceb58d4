#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "data/formats.hpp"
#include "data/sources.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t k_images_magic = 0x00000803;  // unsigned bytes, three dimensions
constexpr std::uint32_t k_labels_magic = 0x00000801;  // unsigned bytes, one dimension
constexpr std::int64_t k_classes = 10;

struct FileNames {
  const char* images;
  const char* labels;
};
constexpr FileNames k_train{"train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
constexpr FileNames k_test{"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

std::vector<std::string> class_names(std::string_view name) {
  if (name == "fashion-mnist")
    return {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};
  return {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
}

/// `folder/base` or `folder/base.gz`, whichever exists.
std::optional<fs::path> find_file(const fs::path& folder, const char* base) {
  std::error_code ignored;
  for (const char* ending : {"", ".gz"})
    if (fs::path file = folder / (std::string(base) + ending); fs::is_regular_file(file, ignored)) return file;
  return std::nullopt;
}

/// A folder with only some of the files counts as found, so that a missing file is reported by name.
bool holds_files(const fs::path& folder) {
  return std::ranges::any_of(std::array{k_train.images, k_train.labels, k_test.images, k_test.labels},
                             [&](const char* base) { return find_file(folder, base).has_value(); });
}

fs::path find_folder(std::string_view name, const fs::path& data_root) {
  const std::vector<fs::path> places = search_paths(std::array{std::string(name)}, data_root);
  const auto place = std::ranges::find_if(places, holds_files);
  if (place != places.end()) return *place;
  throw_not_found(
      name, places,
      name == "fashion-mnist"
          ? fmt::format("type 'apt-get install dataset-fashion-mnist', or put its four IDX files in a folder and "
                        "name it by {}",
                        option_name("data_root", "FOLDER"))
          : fmt::format("put its four IDX files (train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
                        "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz) in a folder and name it by {}",
                        option_name("data_root", "FOLDER")));
}

[[noreturn]] void throw_damaged(const fs::path& file, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' {}; get the file again", file.string(), what));
}

/// Reads plain and gzip files: zlib detects the format from the first bytes.
class GzipReader {
 public:
  explicit GzipReader(const fs::path& path) : path_(path), file_(::gzopen(path.c_str(), "rb")) {
    if (file_ == nullptr)
      throw Error(ErrorKind::data, fmt::format("cannot read '{}': {}", path.string(), std::strerror(errno)));
    ::gzbuffer(file_, 1 << 18);
  }
  ~GzipReader() { ::gzclose(file_); }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  /// Appends the next `count` bytes, or fewer at the end of the file. Grows as data arrive, so that a header with an
  /// exaggerated size costs no memory.
  void append(std::string& content, std::size_t count) {
    constexpr std::size_t k_chunk = 1 << 22;
    while (count > 0) {
      const std::size_t size = content.size();
      const std::size_t wanted = std::min(count, k_chunk);
      content.resize(size + wanted);
      const int came = ::gzread(file_, content.data() + size, static_cast<unsigned>(wanted));
      content.resize(size + static_cast<std::size_t>(std::max(came, 0)));
      int code = Z_OK;
      std::string_view message = ::gzerror(file_, &code);
      if (came < 0 || code == Z_BUF_ERROR) {
        if (const std::string prefix = path_.string() + ": "; message.starts_with(prefix))
          message.remove_prefix(prefix.size());
        throw_damaged(path_, fmt::format("is damaged gzip after {} bytes of content ({})", content.size(), message));
      }
      if (came == 0) return;
      count -= static_cast<std::size_t>(came);
    }
  }

 private:
  fs::path path_;
  gzFile file_;
};

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes.substr(0, 4)) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

class IdxImages : public ImageSource {
 public:
  explicit IdxImages(IdxFile file) : file_(std::move(file)) {}

  void read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    std::memcpy(pixels.data(), file_.data().data() + static_cast<std::size_t>(index) * pixels.size(), pixels.size());
  }

 private:
  IdxFile file_;
};

Dataset open_part(const fs::path& folder, const FileNames& part, std::string_view name) {
  const auto read = [&](const char* base, IdxKind kind) {
    const auto path = find_file(folder, base);
    if (!path)
      throw Error(ErrorKind::data, fmt::format("'{}' (or with .gz) is missing; {} needs all four IDX files",
                                               (folder / base).string(), name));
    GzipReader reader(*path);
    return read_idx([&](std::string& content, std::size_t count) { reader.append(content, count); }, *path, kind);
  };
  IdxFile images = read(part.images, IdxKind::images);
  const IdxFile labels = read(part.labels, IdxKind::labels);
  if (images.sizes[0] != labels.sizes[0])
    throw Error(ErrorKind::data,
                fmt::format("'{}' holds {} images but '{}' holds {} labels; take both from the same set",
                            images.path.string(), images.sizes[0], labels.path.string(), labels.sizes[0]));

  DatasetInfo info{.class_names = class_names(name),
                   .shape = {.channels = 1, .height = images.sizes[1], .width = images.sizes[2]},
                   .labels = {labels.data().begin(), labels.data().end()},
                   .sha256 = sha256(sha256(images.content) + sha256(labels.content))};
  for (std::size_t i = 0; i < info.labels.size(); ++i)
    if (info.labels[i] >= k_classes)
      throw_damaged(labels.path,
                    fmt::format("gives image {} the label {}, expected 0 to {}", i, info.labels[i], k_classes - 1));
  return Dataset(std::move(info), std::make_shared<const IdxImages>(std::move(images)));
}

}  // namespace

IdxFile read_idx(const ByteSource& source, const fs::path& path, IdxKind kind) {
  const std::uint32_t magic = kind == IdxKind::images ? k_images_magic : k_labels_magic;
  const std::size_t dimensions = magic & 0xff;
  IdxFile file;
  file.path = path;
  file.header = 4 + 4 * dimensions;
  source(file.content, file.header);

  if (const std::uint32_t came = big_endian(file.content); file.content.size() >= 4 && came != magic)
    throw_damaged(path, fmt::format("is not an IDX file of {}: it begins with {:08x}, expected {:08x}",
                                    dimensions == 1 ? "labels" : "images", came, magic));
  if (file.content.size() < file.header)
    throw_damaged(path, fmt::format("is truncated: {} bytes came, expected a header of {} bytes", file.content.size(),
                                    file.header));

  std::size_t expected = 1;
  for (std::size_t i = 0; i < dimensions; ++i) {
    const std::uint32_t size = big_endian(std::string_view(file.content).substr(4 + 4 * i));
    // With images of at most this side the product of three 32-bit sizes cannot overflow.
    if (i > 0 && (size < 1 || size > k_max_image_side))
      throw_damaged(path, fmt::format("has images with a side of {} pixels, expected 1 to {}", size, k_max_image_side));
    file.sizes.push_back(size);
    expected *= size;
  }
  if (expected == 0) throw_damaged(path, fmt::format("holds no {}", dimensions == 1 ? "labels" : "images"));

  source(file.content, expected);
  if (const std::size_t came = file.data().size(); came < expected)
    throw_damaged(path, fmt::format("is truncated: {} bytes came after the header, expected {}", came, expected));

  std::string more;
  source(more, 1);
  if (!more.empty()) throw_damaged(path, fmt::format("has more than the {} bytes its header announces", expected));
  return file;
}

OpenedData open_idx(std::string_view name, const OpenOptions& options) {
  reject_image_options(options, name);
  const fs::path folder = find_folder(name, options.data_root);
  OpenedData data;
  data.train = open_part(folder, k_train, name);
  data.test = open_part(folder, k_test, name);
  if (data.train.shape() != data.test->shape())
    throw Error(ErrorKind::data,
                fmt::format("{} in '{}' has training images of {} x {} but test images of {} x {} pixels; take both "
                            "from the same set",
                            name, folder.string(), data.train.shape().height, data.train.shape().width,
                            data.test->shape().height, data.test->shape().width));
  return data;
}

}  // namespace ulmus::detail
