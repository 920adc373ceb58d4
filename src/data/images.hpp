#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ulmus/data/dataset.hpp"

namespace ulmus::detail {

/// Image files of one part, each with its label.
struct ImageFiles {
  std::filesystem::path root;
  std::vector<std::string> names;  ///< [N], below `root`
  std::vector<std::int64_t> labels;
  std::vector<std::string> class_names;

  std::size_t size() const { return names.size(); }
  std::filesystem::path path(std::size_t i) const { return root / names[i]; }
};

/// Whether the name is that of an image file: .jpg, .jpeg, .png, .bmp, .webp, .tif, .tiff, .pgm or .ppm, in any case.
bool has_image_extension(const std::filesystem::path& path);

/// Decodes one file for a model of images of `shape`, 1 or 3 channels, into `out`, shape.pixels() long: resized to
/// `side` as OpenOptions::image_size says, grey planes repeated, colours made grey by (299 R + 587 G + 114 B) / 1000.
/// Throws Error{data} naming the file when it cannot be read or decoded, or has another size.
void read_image_as(const std::filesystem::path& path, const ImageShape& shape, std::optional<std::int64_t> side,
                   std::span<std::uint8_t> out);

/// Decodes every image: they must have one size, or get it from `options.image_size`; three channels unless all are
/// grey. Kept in memory when all fit in the limit, otherwise decoded again when they are read. Undecodable ones are
/// passed over and counted with `options.skip_bad`. `test` may be empty. The data sets' `sha256` is that of a line
/// "NAME \0 LABEL \0 sha256(file)" per image, in order.
///
/// Throws Error{data} for the first file in order that cannot be read or decoded or has another size than the first,
/// whatever the number of threads, and for a class of which nothing is left.
OpenedData open_images(const ImageFiles& train, const ImageFiles& test, const OpenOptions& options);

/// Decodes no image before it is read; with `keep` those that were read stay in memory. Three channels, `side` x
/// `side`. `bytes` are the sizes of the files; `sha256` is that of a line "NAME \0 LABEL \0 BYTES" per image, in order.
/// An image that cannot be decoded is an Error{data} when it is read.
Dataset images_on_demand(ImageFiles files, const std::vector<std::uintmax_t>& bytes, std::int64_t side, bool keep);

}  // namespace ulmus::detail
