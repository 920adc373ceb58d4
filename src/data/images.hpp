#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/decode.hpp"
#include "data/image_walker.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/data/dataset.hpp"

namespace ulmus::detail {

/// Image files of one part with their labels.
struct ImageFiles {
  std::filesystem::path root;
  std::vector<std::string> names;  ///< [N], relative to `root`
  std::vector<std::int64_t> labels;
  std::vector<std::string> class_names;

  std::size_t size() const { return names.size(); }
  std::filesystem::path path(std::size_t i) const { return root / names[i]; }
};

/// Counts properties of files that are not visible in their decoded pixels.
class ImageNotes {
 public:
  void add(const ImageTraits& traits, const std::filesystem::path& path);
  void add(const ImageNotes& others);
  int bits() const { return bits_; }  ///< used bits of samples with more than 8 bits; 0: there are none
  /// One line per kind; `bits` is the scaling of images with more than 8 bits.
  std::vector<std::string> lines(int bits) const;

 private:
  struct Images {
    std::int64_t count = 0;
    std::string first;
  };
  static void count(bool has, Images& images, const std::filesystem::path& path);

  Images transparent_, paged_, animated_, left_over_, deep_;
  int bits_ = 0;
};

/// The line of `OpenedData::notes` about files that are not images; empty if there are none.
std::string not_images_line(const KindCounts& not_images);

/// How files are converted to images for a model of `shape`, 1 or 3 channels.
struct ReadOptions {
  ImageShape shape;
  std::optional<std::int64_t> side;  ///< as OpenOptions::image_size
  DecodeOptions decode = {};
};

/// An image file that cannot be used, with the kind of reason for counting.
class UnusableImage : public Error {
 public:
  UnusableImage(std::string_view reason, const std::string& message)
      : Error(ErrorKind::data, message), reason_(reason) {}
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};

/// Decodes one file into `out`, shape.pixels() long, with grey planes repeated, or colours converted to grey by (299
/// R + 587 G + 114 B) / 1000. Throws UnusableImage if it cannot be decoded or has another size, and Error naming it if
/// it cannot be read.
ImageTraits read_image_as(const std::filesystem::path& path, const ReadOptions& options, std::span<std::uint8_t> out);

/// Decodes every image: all must have one size, or get it from `options.image_size`; three channels unless all are
/// grey. Images are kept in memory if all fit in the limit, otherwise decoded again when they are read. With
/// `options.skip_bad`, undecodable images are skipped and counted. `test` may be empty. The data sets' `sha256` is that
/// of a line "NAME \0 LABEL \0 sha256(file)" per image, in order. Images of more than 8 bits are scaled by the bits
/// that the largest of all their samples needs, unless `options.image_bits` is set.
///
/// Throws Error{data} for the first file in order that cannot be read or decoded or has another size than the first,
/// independent of the number of threads, and for a class without any usable image.
OpenedData open_images(const ImageFiles& train, const ImageFiles& test, const OpenOptions& options);

/// Decodes an image only when it is read; with `keep`, decoded images stay in memory. Three channels, `side` x `side`.
/// `bytes` are the sizes of the files; `sha256` is that of a line "NAME \0 LABEL \0 BYTES" per image, in order. Reading
/// throws Error{data} for an image that cannot be decoded, or has more than 8 bits while `options.image_bits` is 0.
Dataset images_on_demand(ImageFiles files, const std::vector<std::uintmax_t>& bytes, const OpenOptions& options,
                         bool keep);

/// Returns whether the file has samples of more than 8 bits; false if it cannot be decoded.
bool has_deep_samples(const std::filesystem::path& path, const OpenOptions& options);

}  // namespace ulmus::detail
