#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The file formats the sources are made of, read from memory: the whole of what is parsed from bytes that others
/// wrote. `path` is for messages. Whatever the bytes are, the outcome is a value or an Error{data} naming the file,
/// what is wrong and where, and memory in proportion to the bytes.
namespace ulmus::detail {

// ---- IDX

/// Appends the next `count` bytes of a file to `content`, fewer at its end.
using ByteSource = std::function<void(std::string& content, std::size_t count)>;

struct IdxFile {
  std::filesystem::path path;
  std::string content;  ///< header and data
  std::vector<std::int64_t> sizes;
  std::size_t header = 0;

  std::span<const std::uint8_t> data() const {
    return {reinterpret_cast<const std::uint8_t*>(content.data()) + header, content.size() - header};
  }
};

enum class IdxKind { images, labels };
IdxFile read_idx(const ByteSource& source, const std::filesystem::path& path, IdxKind kind);

// ---- CIFAR, binary version

/// One image: 32 x 32, red, green and blue plane.
constexpr std::int64_t k_cifar_pixels = 3 * 32 * 32;
/// A record is a label, or with 100 classes a coarse and a fine label, and an image.
constexpr std::int64_t cifar_record(std::int64_t classes) { return (classes == 100 ? 2 : 1) + k_cifar_pixels; }

/// The (fine) label of every record.
std::vector<std::int64_t> read_cifar_labels(std::string_view bytes, const std::filesystem::path& path,
                                            std::int64_t classes);

// ---- lists of images

struct ListLines {
  std::vector<std::string> names;
  std::vector<std::int64_t> labels;  ///< none negative
  std::vector<std::int64_t> lines;   ///< number of the line in the file, from 1
};

/// Lines `path label`: the label is the last field, the path, which may have spaces, stays below its root. Blank lines
/// and white space around a line are passed over.
ListLines read_list(std::string_view text, const std::filesystem::path& path);

// ---- NumPy .npy, versions 1 to 3

struct NpyArray {
  std::filesystem::path path;
  char kind = 'f';        ///< 'f', 'i' or 'u', little-endian
  std::size_t width = 4;  ///< bytes of a value
  std::int64_t rows = 0;  ///< at least 1
  std::int64_t columns = 1;
  std::string_view values;  ///< inside the bytes that were read; rows * columns values, not aligned
};

/// Of shape [N, D], of 16, 32 or 64-bit floats.
NpyArray read_npy_features(std::string_view bytes, const std::filesystem::path& path);
/// Throws for the first value that is not finite, or not as a float.
void check_npy_features(const NpyArray& array);
/// Row `row` as floats; `out` is `columns` long.
void read_npy_row(const NpyArray& array, std::int64_t row, std::span<float> out);
/// Of shape [N] or [N, 1], of integers, none negative.
std::vector<std::int64_t> read_npy_labels(std::string_view bytes, const std::filesystem::path& path);

}  // namespace ulmus::detail
