#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <type_traits>

#include "data/formats.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/text_file.hpp"
#include "ulmus/loss/float16.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in the file");

constexpr std::string_view k_save = "save it with np.save(path, x)";

[[noreturn]] void throw_data_error(const fs::path& path, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' {}", path.string(), what));
}

/// Parses the literal of a Python dict as it occurs in headers: {'descr': '<f4', 'fortran_order': False, 'shape': (3,
/// 4), }.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const fs::path& path) : text_(text), path_(path) {}

  std::string descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<std::int64_t>> shape;

  void parse() {
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr")
        read_descr();
      else if (key == "fortran_order")
        fortran_order = read_bool();
      else if (key == "shape")
        read_shape();
      else
        fail();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (descr.empty() || !fortran_order || !shape) fail();
  }

 private:
  [[noreturn]] void fail() const {
    throw_data_error(path_,
                     fmt::format("has a damaged header, '{}'; get the file again or {}", printable(text_), k_save));
  }
  void skip_white() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool accept(char c) {
    skip_white();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail();
  }
  bool accept_word(std::string_view word) {
    skip_white();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  std::string quoted() {
    skip_white();
    if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) fail();
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) fail();
    const std::string text(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return text;
  }
  void read_descr() {
    if (accept('['))
      throw_data_error(path_,
                       fmt::format("is an array of records, expected one of numbers; take one field and {}", k_save));
    descr = quoted();
  }
  bool read_bool() {
    if (accept_word("True")) return true;
    if (!accept_word("False")) fail();
    return false;
  }
  void read_shape() {
    shape.emplace();
    expect('(');
    while (!accept(')')) {
      skip_white();
      std::int64_t size = 0;
      const auto [stopped, status] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (status != std::errc{} || size < 0) fail();
      at_ = static_cast<std::size_t>(stopped - text_.data());
      shape->push_back(size);
      accept_word("L");  // written by Python 2
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  const fs::path& path_;
  std::size_t at_ = 0;
};

std::string shape_text(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

/// Parses kind, width and byte order of the values.
void read_dtype(const std::string& descr, NpyKind kind, NpyHeader& header) {
  const std::string_view wanted = kind == NpyKind::features ? "numbers or booleans" : "numbers, booleans or texts";
  const std::string dtype = kind == NpyKind::features ? "np.float32" : "np.int64";
  if (descr.find('O') != std::string::npos)
    throw_data_error(header.path,
                     fmt::format("holds pickled Python objects, which are not read because they could run code; save "
                                 "it with np.save(path, np.asarray(x{})){}",
                                 kind == NpyKind::features ? ".tolist(), dtype=np.float32" : ".tolist()",
                                 kind == NpyKind::features ? "" : ", which has a type of its own when all are alike"));
  const auto fail = [&] {
    throw_data_error(header.path,
                     fmt::format("holds values of dtype '{}', expected {}; save it with np.save(path, x.astype({}))",
                                 printable(descr), wanted, dtype));
  };
  std::size_t count = 0;
  const auto [stopped, status] =
      std::from_chars(descr.data() + std::min<std::size_t>(2, descr.size()), descr.data() + descr.size(), count);
  if (descr.size() < 3 || status != std::errc{} || stopped != descr.data() + descr.size() ||
      std::string_view("<>|=").find(descr[0]) == std::string_view::npos)
    fail();
  header.kind = descr[1];
  header.width = count;
  header.swapped = descr[0] == '>';
  static constexpr std::array<std::string_view, 12> k_numbers{"f2", "f4", "f8", "i1", "i2", "i4",
                                                              "i8", "u1", "u2", "u4", "u8", "b1"};
  const bool number = std::ranges::find(k_numbers, std::string_view(descr).substr(1)) != k_numbers.end();
  constexpr std::size_t k_longest_text = 1 << 16;
  const bool text = (header.kind == 'S' || header.kind == 'U') && count >= 1 && count <= k_longest_text;
  if (text && kind == NpyKind::features)
    throw_data_error(header.path, fmt::format("holds texts (dtype '{}'), expected numbers; save it with np.save(path, "
                                              "x.astype(np.float32)) if they are numbers, or use csv:",
                                              printable(descr)));
  if (!number && !text) fail();
  if (header.kind == 'U') header.width = 4 * count;
}

template <class Stored>
Stored value_at(const NpyHeader& header, const char* bytes) {
  std::array<char, sizeof(Stored)> raw;
  std::memcpy(raw.data(), bytes, sizeof(Stored));
  if (header.swapped) std::ranges::reverse(raw);
  return std::bit_cast<Stored>(raw);
}

/// Calls `action` with a null pointer to the array's element type.
template <class Action>
auto with_type(const NpyHeader& header, Action action) {
  const bool is_signed = header.kind == 'i';
  if (header.kind == 'f' && header.width == 2) return action(static_cast<const Half*>(nullptr));
  if (header.kind == 'f' && header.width == 4) return action(static_cast<const float*>(nullptr));
  if (header.kind == 'f') return action(static_cast<const double*>(nullptr));
  switch (header.width) {
    case 1:
      return is_signed ? action(static_cast<const std::int8_t*>(nullptr))
                       : action(static_cast<const std::uint8_t*>(nullptr));
    case 2:
      return is_signed ? action(static_cast<const std::int16_t*>(nullptr))
                       : action(static_cast<const std::uint16_t*>(nullptr));
    case 4:
      return is_signed ? action(static_cast<const std::int32_t*>(nullptr))
                       : action(static_cast<const std::uint32_t*>(nullptr));
    default:
      return is_signed ? action(static_cast<const std::int64_t*>(nullptr))
                       : action(static_cast<const std::uint64_t*>(nullptr));
  }
}

/// A text of fixed width, as UTF-8, without trailing zeros.
std::string text_at(const NpyHeader& header, const char* bytes) {
  std::string text;
  if (header.kind == 'S') {
    text.assign(bytes, header.width);
  } else {
    for (std::size_t i = 0; i < header.width; i += 4) append_utf8(text, value_at<std::uint32_t>(header, bytes + i));
  }
  text.erase(text.find_last_not_of('\0') + 1);
  return text;
}

template <class Stored>
double as_double(Stored value) {
  if constexpr (std::is_same_v<Stored, Half>)
    return static_cast<double>(static_cast<float>(value));
  else
    return static_cast<double>(value);
}

/// A numeric label as text; integral floats as integers.
template <class Stored>
std::string number_text(Stored value) {
  if constexpr (std::is_integral_v<Stored>)
    return fmt::format("{}", value);
  else
    return format_number(as_double(value));
}

}  // namespace

NpyHeader read_npy_header(std::string_view beginning, std::size_t size, const fs::path& path, NpyKind kind) {
  using namespace std::string_view_literals;
  if (!beginning.starts_with("\x93NUMPY"sv)) {
    const auto kind_of_it = kind_of_file(beginning);
    throw_data_error(path, kind_of_it ? fmt::format("is {}, expected a NumPy array (.npy); take the array out and {}",
                                                    kind_of_it->name, k_save)
                                      : fmt::format("is not a .npy file: it begins with '{}'; {}",
                                                    printable(beginning.substr(0, 6)), k_save));
  }
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(beginning[i])); };
  if (beginning.size() < 12) throw_data_error(path, "is truncated inside its header; get the file again");
  const std::size_t version = byte(6);
  if (version < 1 || version > 3)
    throw_data_error(path, fmt::format("is a .npy file of version {}, expected 1 to 3; {}", version, k_save));
  const std::size_t begin = version == 1 ? 10 : 12;
  const std::size_t length = byte(8) | byte(9) << 8 | (version == 1 ? 0 : byte(10) << 16 | byte(11) << 24);
  if (size - begin < length) throw_data_error(path, "is truncated inside its header; get the file again");
  if (beginning.size() - begin < length)
    throw_data_error(
        path, fmt::format("has a header of {} bytes, expected less than {}; {}", length, k_npy_header_limit, k_save));

  HeaderParser parser(beginning.substr(begin, length), path);
  parser.parse();
  NpyHeader header;
  header.path = path;
  header.begin = begin + length;
  read_dtype(parser.descr, kind, header);
  header.shape = std::move(*parser.shape);
  header.by_columns = *parser.fortran_order && header.shape.size() > 1;
  const bool features = kind == NpyKind::features;
  if (features && header.shape.size() > 2)
    throw_data_error(
        path, fmt::format("has the shape {}, expected [N, D]: a row of features per sample; save it with np.save(path, "
                          "x.reshape(len(x), -1))",
                          shape_text(header.shape)));
  if (features ? header.shape.size() != 2 : header.shape.empty() || header.shape.size() > 2)
    throw_data_error(path, fmt::format("has the shape {}, expected {}", shape_text(header.shape),
                                       features ? "[N, D]: a row of features per sample"
                                                : "[N] or [N, 1]: a label per sample, or [N, C]: a 1 per sample"));
  if (std::ranges::find(header.shape, 0) != header.shape.end())
    throw_data_error(
        path, fmt::format("has the shape {}, expected at least one sample and one value", shape_text(header.shape)));

  std::size_t expected = header.width;
  bool overflow = false;
  for (const std::int64_t side : header.shape)
    overflow = __builtin_mul_overflow(expected, static_cast<std::size_t>(side), &expected) || overflow;
  const std::size_t came = size - header.begin;
  if (overflow || came < expected)
    throw_data_error(
        path, fmt::format("is truncated: {} bytes came after the header, expected {} for the shape {}; get the file "
                          "again",
                          came, overflow ? "more than a file can have" : fmt::format("{}", expected),
                          shape_text(header.shape)));
  if (came > expected)
    throw_data_error(
        path, fmt::format("has {} bytes after the header, more than the {} of its shape {}; get the file again", came,
                          expected, shape_text(header.shape)));
  return header;
}

void decode_npy_row(const NpyHeader& header, std::string_view row, std::span<float> out) {
  with_type(header, [&]<class Stored>(const Stored*) {
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(value_at<Stored>(header, row.data() + i * sizeof(Stored)));
  });
}

void check_npy_row(const NpyHeader& header, std::string_view row, std::int64_t index) {
  if (header.kind != 'f') return;
  with_type(header, [&]<class Stored>(const Stored*) {
    for (std::size_t c = 0; c < static_cast<std::size_t>(header.columns()); ++c) {
      const auto stored = value_at<Stored>(header, row.data() + c * sizeof(Stored));
      if (std::isfinite(static_cast<float>(stored))) continue;
      const double value = as_double(stored);
      throw_data_error(header.path, fmt::format("has {} in row {}, column {} (from 0); {}", value, index, c,
                                                std::isfinite(value) ? "scale the features to the range of float32"
                                                                     : "replace it, features must be finite"));
    }
  });
}

std::string npy_by_rows(const NpyHeader& header, std::string_view values) {
  if (!header.by_columns) return std::string(values);
  std::string rows(values.size(), '\0');
  const auto height = static_cast<std::size_t>(header.rows());
  const auto columns = static_cast<std::size_t>(header.columns());
  for (std::size_t r = 0; r < height; ++r)
    for (std::size_t c = 0; c < columns; ++c)
      std::memcpy(&rows[(r * columns + c) * header.width], &values[(c * height + r) * header.width], header.width);
  return rows;
}

LabelTexts read_npy_labels(std::string_view bytes, const fs::path& path) {
  const NpyHeader header = read_npy_header(bytes.substr(0, k_npy_header_limit), bytes.size(), path, NpyKind::labels);
  const std::string values = npy_by_rows(header, bytes.substr(header.begin));
  const auto rows = static_cast<std::size_t>(header.rows());
  const auto columns = static_cast<std::size_t>(header.columns());
  LabelTexts labels;
  if (header.kind == 'S' || header.kind == 'U') {
    if (columns > 1)
      throw_data_error(
          path, fmt::format("holds texts of the shape {}, expected [N]: a label per sample", shape_text(header.shape)));
    for (std::size_t i = 0; i < rows; ++i) {
      const std::string text = text_at(header, values.data() + i * header.width);
      if (valid_utf8(text) != text.size())
        throw_data_error(path, fmt::format("has a text that is not UTF-8, '{}', as label of sample {} (from 0)",
                                           printable(text), i));
      labels.add(text);
    }
    return labels;
  }
  with_type(header, [&]<class Stored>(const Stored*) {
    const auto at = [&](std::size_t i) { return value_at<Stored>(header, values.data() + i * sizeof(Stored)); };
    if (columns == 1) {
      for (std::size_t i = 0; i < rows; ++i) labels.add(number_text(at(i)));
      return;
    }
    for (std::size_t i = 0; i < rows; ++i) {
      std::optional<std::size_t> one;
      for (std::size_t c = 0; c < columns; ++c) {
        const double value = as_double(at(i * columns + c));
        if (value == 0) continue;
        if (value != 1 || one)
          throw_data_error(
              path,
              fmt::format("has the shape {}, but row {} (from 0) has {}, expected one 1 among zeros (one-hot); {}",
                          shape_text(header.shape), i, value != 1 ? fmt::format("the value {}", value) : "several ones",
                          value != 1 ? "save the labels with np.save(path, x.argmax(1)) if they are scores"
                                     : "a sample with several classes cannot be used"));
        one = c;
      }
      if (!one)
        throw_data_error(
            path, fmt::format("has the shape {}, but row {} (from 0) has no 1, expected one among zeros (one-hot); "
                              "remove the sample",
                              shape_text(header.shape), i));
      labels.add(fmt::format("{}", *one));
    }
  });
  return labels;
}

}  // namespace ulmus::detail
