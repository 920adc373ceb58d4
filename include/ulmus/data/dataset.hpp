#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

struct ImageShape {
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t pixels() const { return channels * height * width; }
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

/// Labelled images of one shape, 8 bits a channel, channels first (C, H, W). Immutable after it is opened; cheap to
/// copy (shares the pixels); `read` may be called from any thread.
class Dataset {
 public:
  /// Writes image `index` to `pixels`, `shape.pixels()` long.
  using Reader = std::function<void(std::int64_t index, std::span<std::uint8_t> pixels)>;

  std::string name;                      ///< the address it was opened from
  std::vector<std::string> class_names;  ///< [C], in label order
  ImageShape shape;
  std::vector<std::int64_t> labels;  ///< [N], each in [0, C)
  /// Of the content, independent of where it lies on disk. IDX: sha256(sha256(images) + sha256(labels)) of the
  /// decompressed files; folder: sha256 of a line "NAME \0 LABEL \0 sha256(file)" per image, in order.
  std::string sha256;
  Reader read;
  /// Set instead of `read` for feature data (embeddings, tables), whose `shape` is {D, 1, 1}: writes the D values of
  /// sample `index`.
  std::function<void(std::int64_t index, std::span<float> values)> read_features;

  bool is_features() const { return static_cast<bool>(read_features); }
  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  std::int64_t classes() const { return static_cast<std::int64_t>(class_names.size()); }
  /// Samples per class, [C].
  std::vector<std::int64_t> counts() const;
};

struct OpenOptions {
  std::filesystem::path data_root{};  ///< where named sets are looked for first; then $ULMUS_DATA, /usr/share/datasets
  bool skip_bad = false;              ///< pass over undecodable images and count them
  std::optional<std::int64_t> image_size{};           ///< resize folder images to a square of this side
  std::int64_t memory_limit = std::int64_t{1} << 30;  ///< decoded images up to this many bytes are kept in memory
  int threads = 0;                                    ///< for decoding; 0: all cores
};

/// What an address holds: a training part, and a test part where the data have one.
struct OpenedData {
  Dataset train;
  std::optional<Dataset> test;
  std::int64_t skipped = 0;  ///< undecodable images passed over
};

/// Opens `fashion-mnist`, `mnist` or `folder:DIR`.
///
/// The first two are four IDX files, plain or gzip, looked for in data_root/NAME, data_root, $ULMUS_DATA/NAME,
/// $ULMUS_DATA and /usr/share/datasets/NAME. A folder holds a folder of images per class, or such folders below `train`
/// and `test`; classes and the images of a class are in the byte order of their names, hidden files and other kinds of
/// file are passed over. A class may lack test images, never training images. The images have three channels (RGB)
/// unless all files are grey, and one size: that of the files, or `image_size` (the shorter side is scaled to it, by
/// area when shrinking and linearly when enlarging, then the centre is cut out).
///
/// Throws Error{usage} for an unknown address (with the nearest name) or an option that does not apply to it,
/// Error{data} naming the file and what is wrong with it: the first file in order, whatever the number of threads.
OpenedData open_data(std::string_view address, const OpenOptions& options = {});

}  // namespace ulmus
