#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/labels.hpp"

/// Parsers of file formats. They read memory, so fuzzers need no files. `path` is used in messages. For any input the
/// result is a value or an Error{data} naming the file, the fault and its position, and memory use is proportional to
/// the input.
namespace ulmus::detail {

// ---- IDX

/// Appends the next `count` bytes of a file to `content`, or fewer at its end.
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
/// A record is a label (for 100 classes a coarse and a fine label) and an image.
constexpr std::int64_t cifar_record(std::int64_t classes) { return (classes == 100 ? 2 : 1) + k_cifar_pixels; }

/// The (fine) label of every record.
std::vector<std::int64_t> read_cifar_labels(std::string_view bytes, const std::filesystem::path& path,
                                            std::int64_t classes);

// ---- lists of images

struct ListLines {
  std::vector<std::string> names;  ///< relative to the root
  LabelTexts labels;
  std::vector<std::int64_t> lines;  ///< line number in the file, from 1
};

/// Reads lines `path label`, separated by tabs, commas, semicolons or white space; a field may be quoted. The path may
/// contain spaces and must be below `root`, an absolute folder: an absolute path inside it is made relative. MXNet
/// lines, `number TAB label TAB path`, are also supported. A header line, lines that begin with `#` and blank lines are
/// skipped.
ListLines read_list(std::string_view text, const std::filesystem::path& path, const std::filesystem::path& root);

// ---- NumPy .npy, versions 1 to 3

struct NpyHeader {
  std::filesystem::path path;
  char kind = 'f';                  ///< 'f', 'i', 'u', 'b' (bool), 'S' (bytes) or 'U' (UCS-4)
  std::size_t width = 4;            ///< bytes per value
  bool swapped = false;             ///< big-endian
  bool by_columns = false;          ///< Fortran order
  std::vector<std::int64_t> shape;  ///< each at least 1
  std::size_t begin = 0;            ///< position of the values in the file
  std::int64_t rows() const { return shape[0]; }
  /// Values per row.
  std::int64_t columns() const { return shape.size() == 1 ? 1 : shape[1]; }
  std::size_t row_bytes() const { return static_cast<std::size_t>(columns()) * width; }
};

/// Maximum size of a header, in bytes.
constexpr std::size_t k_npy_header_limit = std::size_t{1} << 20;

/// `beginning` contains the first k_npy_header_limit bytes of the file, or all of its `size` bytes if there are fewer.
/// Throws unless the array has one or two dimensions of numbers, booleans or texts, and if the size does not match the
/// header. An array of features is [N, D] of numbers; one of labels has any type.
enum class NpyKind { features, labels };
NpyHeader read_npy_header(std::string_view beginning, std::size_t size, const std::filesystem::path& path,
                          NpyKind kind);

/// Converts the values of `row`, row_bytes() long in C order, to floats; `out` has columns() elements.
void decode_npy_row(const NpyHeader& header, std::string_view row, std::span<float> out);
/// Throws for the first value that is not finite, also as float; `index` is that of the row.
void check_npy_row(const NpyHeader& header, std::string_view row, std::int64_t index);
/// Converts `values`, all values of an array from header.begin on, to C order.
std::string npy_by_rows(const NpyHeader& header, std::string_view values);

/// Reads the labels of an array [N] or [N, 1] of integers, booleans or texts, or of one-hot rows [N, C]. Throws for
/// numbers with NaN; fractions stay text for classes_of.
LabelTexts read_npy_labels(std::string_view bytes, const std::filesystem::path& path);

}  // namespace ulmus::detail
