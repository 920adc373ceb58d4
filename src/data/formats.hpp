#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/labels.hpp"

/// Parsers of file formats. They read memory, so the fuzzers need no files. `path` is for messages. Whatever the bytes
/// are, the outcome is a value or an Error{data} naming the file, what is wrong and where, and memory in proportion to
/// the bytes.
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
  std::vector<std::string> names;  ///< relative to the root
  LabelTexts labels;
  std::vector<std::int64_t> lines;  ///< number of the line in the file, from 1
};

/// Lines `path label`, by tabs, commas, semicolons or white space; a field may be quoted. The path, which may have
/// spaces, stays below `root`, an absolute folder: an absolute path inside of it is made relative. Lines of MXNet,
/// `number TAB label TAB path`, are read, too. A first line of titles, lines that begin with `#` and blank ones are
/// passed over.
ListLines read_list(std::string_view text, const std::filesystem::path& path, const std::filesystem::path& root);

// ---- NumPy .npy, versions 1 to 3

struct NpyHeader {
  std::filesystem::path path;
  char kind = 'f';                  ///< 'f', 'i', 'u', 'b' (bool), 'S' (bytes) or 'U' (UCS-4)
  std::size_t width = 4;            ///< bytes of a value
  bool swapped = false;             ///< big-endian
  bool by_columns = false;          ///< Fortran order
  std::vector<std::int64_t> shape;  ///< at least 1 each
  std::size_t begin = 0;            ///< of the values in the file
  std::int64_t rows() const { return shape[0]; }
  /// Values of a row.
  std::int64_t columns() const { return shape.size() == 1 ? 1 : shape[1]; }
  std::size_t row_bytes() const { return static_cast<std::size_t>(columns()) * width; }
};

/// Bytes of a file that a header may have, at most.
constexpr std::size_t k_npy_header_limit = std::size_t{1} << 20;

/// `beginning` has k_npy_header_limit bytes of the file or, if that is less, all of its `size` bytes. Throws for an
/// array that is not of one or two dimensions of numbers, booleans or texts, and for a size that is not what the header
/// says. The one of features is [N, D] of numbers, that of labels anything.
enum class NpyKind { features, labels };
NpyHeader read_npy_header(std::string_view beginning, std::size_t size, const std::filesystem::path& path,
                          NpyKind kind);

/// The values of `row`, row_bytes() long and as they lie in a file in C order, as floats; `out` is columns() long.
void decode_npy_row(const NpyHeader& header, std::string_view row, std::span<float> out);
/// Throws for the first value that is not finite, or not as a float; `index` is that of the row.
void check_npy_row(const NpyHeader& header, std::string_view row, std::int64_t index);
/// `values` are all of an array, from header.begin on.
std::string npy_by_rows(const NpyHeader& header, std::string_view values);

/// The labels of an array [N] or [N, 1] of whole numbers, booleans or texts, or [N, C] of one 1 among zeros a row.
/// Throws for numbers with a NaN; fractions stay text for classes_of.
LabelTexts read_npy_labels(std::string_view bytes, const std::filesystem::path& path);

}  // namespace ulmus::detail
