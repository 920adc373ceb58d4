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

#include "ulmus/data/kind_counts.hpp"

namespace ulmus {

struct ImageShape {
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t pixels() const { return channels * height * width; }
  friend bool operator==(const ImageShape&, const ImageShape&) = default;
};

/// A rectangle of an image, in pixels.
struct CropBox {
  std::int64_t top = 0;
  std::int64_t left = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
};

/// Chooses the rectangle to cut out of an image of height x width.
using CropChooser = std::function<CropBox(std::int64_t height, std::int64_t width)>;

/// The source of the samples of a data set: memory, a mapped file, image files. A new source derives from ImageSource
/// or FeatureSource. Several threads call the functions of one object concurrently.
class SampleSource {
 public:
  SampleSource() = default;
  SampleSource(const SampleSource&) = delete;
  SampleSource& operator=(const SampleSource&) = delete;
  virtual ~SampleSource() = default;

  /// Path of the file of sample `index`; nothing if samples have no separate files.
  virtual std::optional<std::string> file(std::int64_t index) const;
  /// Line of the file where sample `index` begins, from 1; nothing if samples have no lines.
  virtual std::optional<std::int64_t> line(std::int64_t index) const;
};

/// Images of one shape, 8 bits per channel, channels first (C, H, W).
class ImageSource : public SampleSource {
 public:
  /// Writes image `index` to `pixels`, [C * H * W].
  virtual void read(std::int64_t index, std::span<std::uint8_t> pixels) const = 0;
  /// Writes the chosen rectangle of image `index` at the resolution of its file, scaled to the shape (by area if both
  /// sides shrink, otherwise linearly). Returns false without calling `choose` if `read` already gives everything in
  /// the file.
  virtual bool read_crop(std::int64_t index, const CropChooser& choose, std::span<std::uint8_t> pixels) const;
};

/// Vectors of D features.
class FeatureSource : public SampleSource {
 public:
  /// Writes the features of sample `index` to `values`, [D]: all finite, but NaN for what is missing in a table that is
  /// encoded raw.
  virtual void read(std::int64_t index, std::span<float> values) const = 0;
  /// Says that the samples [first, first + count) are read soon, so that they can be fetched from a disk meanwhile.
  virtual void will_read(std::int64_t first, std::int64_t count) const;
  /// Bytes of features that are read from files when they are asked for; 0 where all are in memory.
  virtual std::int64_t bytes_on_disk() const;
};

/// Metadata of a data set.
struct DatasetInfo {
  std::string name;                      ///< the address from which it was opened
  std::vector<std::string> class_names;  ///< [C], in label order; may be empty if samples have no labels
  ImageShape shape;                      ///< {D, 1, 1} for features
  std::vector<std::int64_t> labels;      ///< [N], each in [0, C); 0 if samples have no labels
  /// Hash of the content, independent of its location on disk.
  /// - IDX: sha256(sha256(images) + sha256(labels)) of the decompressed files; npy: the same of its two files; a file
  /// in
  ///   several shards counts as the sha256 of the concatenated sha256 of the shards;
  /// - CIFAR, binary: sha256 of the concatenated sha256 of its files;
  /// - folder: sha256 of a line "NAME \0 LABEL \0 sha256(file)" per image, in order;
  /// - list: the same with `image_size` unset or `skip_bad`; otherwise, as the files are too many to be read, of a line
  ///   "NAME \0 LABEL \0 bytes of the file" per image;
  /// - csv: Table::sha256.
  std::string sha256;
  std::vector<std::string> notes;  ///< what was skipped during reading, one line each
};

/// Labelled samples of one shape: images or feature vectors. Immutable and cheap to copy: copies share their content.
/// All functions may be called from any thread.
class Dataset {
 public:
  Dataset();  ///< a data set without samples
  /// Throws Error{data} for a label outside [0, C), unless there are no class names.
  Dataset(DatasetInfo info, std::shared_ptr<const ImageSource> images);
  Dataset(DatasetInfo info, std::shared_ptr<const FeatureSource> features);
  /// The same samples with other metadata, for example labels for a different class order.
  Dataset with_info(DatasetInfo info) const;

  const DatasetInfo& info() const { return content_->info; }
  const std::string& name() const { return info().name; }
  const std::vector<std::string>& class_names() const { return info().class_names; }
  const ImageShape& shape() const { return info().shape; }
  const std::vector<std::int64_t>& labels() const { return info().labels; }
  const std::string& sha256() const { return info().sha256; }
  const std::vector<std::string>& notes() const { return info().notes; }

  bool is_features() const { return content_->features != nullptr; }
  std::int64_t size() const { return static_cast<std::int64_t>(labels().size()); }
  std::int64_t classes() const { return static_cast<std::int64_t>(class_names().size()); }
  /// Samples per class, [C].
  std::vector<std::int64_t> counts() const;

  /// Writes image `index`, [C * H * W]. Throws Error{usage} for features, and Error{data} for a file that has changed
  /// or cannot be decoded.
  void read(std::int64_t index, std::span<std::uint8_t> pixels) const;
  /// As ImageSource::read_crop. Throws as `read`.
  bool read_crop(std::int64_t index, const CropChooser& choose, std::span<std::uint8_t> pixels) const;
  /// Writes the features of sample `index`, [D]. Throws Error{usage} for images, and for a table before encode_tables.
  void read_features(std::int64_t index, std::span<float> values) const;
  /// As in FeatureSource; nothing and 0 for images.
  void will_read(std::int64_t first, std::int64_t count) const;
  std::int64_t bytes_on_disk() const;
  /// As in SampleSource.
  std::optional<std::string> file(std::int64_t index) const;
  std::optional<std::int64_t> line(std::int64_t index) const;

 private:
  struct Content {
    DatasetInfo info;
    std::shared_ptr<const ImageSource> images;  ///< one of the two; neither if there are no samples
    std::shared_ptr<const FeatureSource> features;
  };
  explicit Dataset(std::shared_ptr<const Content> content);
  const ImageSource& images() const;
  const SampleSource* source() const;

  std::shared_ptr<const Content> content_;
};

struct Table;
struct TableEncoding;

/// Default limit of the pixels (width times height) that an image file may declare: 300 MB of RGB.
constexpr std::int64_t k_max_pixels = 100'000'000;
constexpr std::int64_t k_largest_max_pixels = 2'147'483'647;  ///< maximum of that limit

struct OpenOptions {
  std::filesystem::path data_root{};         ///< searched first for named sets; then $ULMUS_DATA, /usr/share/datasets
  bool skip_bad = false;                     ///< skip undecodable images and count them
  std::optional<std::int64_t> image_size{};  ///< resize image files to a square of this side
  std::int64_t memory_limit = std::int64_t{1} << 30;  ///< limit in bytes of the decoded images kept in memory
  int threads = 0;                                    ///< decoding threads; 0: all cores
  std::int64_t max_pixels = k_max_pixels;             ///< an image file that declares more pixels is not decoded
  /// Number of used bits in samples of more than 8 bits, 8 to 16: 2^bits - 1 becomes 255. 0: determined from the data.
  int image_bits = 0;
  /// Classes of a trained run, in its order: labels are matched to them by name, and a class may have no samples.
  /// Empty: the classes come from the data.
  std::vector<std::string> classes{};
  std::shared_ptr<const TableEncoding> encoding{};  ///< encoding of a trained table, whose column types are used again
};

constexpr std::size_t k_named_skipped = 5;

/// The data at an address: a training part, and possibly a test part.
struct OpenedData {
  Dataset train;
  std::optional<Dataset> test;
  KindCounts skipped{};                      ///< skipped undecodable images, by reason
  std::vector<std::string> skipped_files{};  ///< paths of the first skipped images, at most k_named_skipped
  int image_bits = 0;                        ///< used bits per sample of image files, 8 to 16; 0 for other sources
  /// What was ignored or changed while reading image files, one line each.
  std::vector<std::string> notes{};
  /// Only for `csv:`, until `encode_tables` (table.hpp) takes them: the training rows are unknown before the split.
  /// Until then the data sets have labels, class names and counts, but no shape, and their readers throw Error{usage}.
  std::shared_ptr<const Table> train_table;
  std::shared_ptr<const Table> test_table;
};

/// A line about skipped images, if any, then the notes of the data and of both parts; printable.
std::vector<std::string> all_notes(const OpenedData& data);

/// Opens data by their address.
///
///     fashion-mnist, mnist        four IDX files, plain or gzip
///     cifar10, cifar100           the binary version, or folders of images
///     folder:DIR                  a folder of images per class, also below DIR/train and DIR/test
///     list:FILE                   image files, lines `path label`; keys root, test, classes, literal
///     csv:FILE?label=COLUMN       a table; keys label, test, delimiter, drop, categorical, keep, decimal, dates,
///                                 literal
///     npy:FEATURES,LABELS         two NumPy arrays, [N, D] and [N], or with `*` in a name their shards; keys test,
///                                 classes, literal
///
/// Keys follow a `?` and are separated by `&`; `%26`, `%2C`, `%3F`, `%25` stand for `&`, `,`, `?`, `%`. docs/data.md
/// has a section per source.
///
/// Named sets are searched in data_root/NAME, data_root, $ULMUS_DATA/NAME, $ULMUS_DATA and /usr/share/datasets/NAME.
/// Classes are sorted numerically if all names are numbers, otherwise by the bytes of their names. The images of a
/// class of a folder are also sorted by the bytes of their names and include those in sub-folders; files of other kinds
/// are skipped and counted in `notes`. A class may lack test samples, but not training samples. Images of `folder` and
/// `list` have three channels (RGB) unless all files are grey, and one size: that of the files, or `image_size` (the
/// shorter side is scaled to it, by area when shrinking and linearly when enlarging, then the centre is cut out). A
/// `list` with `image_size` and without `skip_bad` is opened without decoding images: it has three channels, and an
/// image that cannot be decoded causes an error when it is read.
///
/// Throws Error{usage} for an unknown address or key (with the nearest name) or an option that does not apply, and
/// Error{data} naming the file and its fault: the first file in order, independent of the number of threads.
OpenedData open_data(std::string_view address, const OpenOptions& options = {});

/// Escapes a path or a column's name for use in an address: `%26`, `%2C`, `%3F` and `%25` for `&`, `,`, `?` and `%`.
std::string escape_address(std::string_view text);

/// Returns the shape of the first image of `folder:` or `list:` data in its file, without reading the others. Tries the
/// first few files until one can be decoded. Nothing for other data or if none can be decoded. Throws as open_data does
/// for an address, a folder or a list that cannot be opened.
std::optional<ImageShape> first_image_shape(std::string_view address, const OpenOptions& options = {});

}  // namespace ulmus
