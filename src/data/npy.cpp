#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include "data/formats.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/narrow.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in the file");

constexpr std::string_view k_save = "save it with np.save(path, np.ascontiguousarray(x))";

[[noreturn]] void refuse(const fs::path& path, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' {}", path.string(), what));
}

/// The literal of a Python dict in a header, as far as headers go: {'descr': '<f4', 'fortran_order': False,
/// 'shape': (3, 4), }.
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
    refuse(path_, fmt::format("has a damaged header, '{}'; get the file again or {}", printable(text_), k_save));
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
      refuse(path_, fmt::format("is an array of records, expected one of numbers; take one field and {}", k_save));
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
      accept_word("L");  // of Python 2
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

/// Kind and width of the values; sizes are not checked yet.
void read_dtype(const std::string& descr, std::string_view kinds, NpyArray& array) {
  const std::string_view wanted =
      kinds == "f" ? "float16, float32 or float64" : "signed integers, or unsigned ones up to 32 bits";
  const std::string dtype = kinds == "f" ? "np.float32" : "np.int64";
  if (descr.find('O') != std::string::npos)
    refuse(array.path, fmt::format("holds pickled Python objects, which are not read because they could run code; save "
                                   "it with np.save(path, np.ascontiguousarray(x, dtype={}))",
                                   dtype));
  const auto fail = [&](const std::string& what) {
    refuse(array.path, fmt::format("holds values of dtype '{}'{}, expected {}; save it with np.save(path, "
                                   "np.ascontiguousarray(x, dtype={}))",
                                   printable(descr), what, wanted, dtype));
  };
  if (descr.size() != 3) fail("");
  if (descr[0] == '>' && descr[2] != '1') fail(" (big-endian)");
  const bool known_order = descr[0] == '<' || ((descr[0] == '|' || descr[0] == '>') && descr[2] == '1');
  array.kind = descr[1];
  array.width = static_cast<std::size_t>(descr[2] - '0');
  // There is no f1, and a u8 may not fit into a label.
  static constexpr std::array<std::string_view, 10> k_types{"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4"};
  const bool known = std::ranges::find(k_types, std::string_view(descr).substr(1)) != k_types.end();
  const bool asked = kinds.find(array.kind) != std::string_view::npos;
  if (!known_order || !known || !asked) fail("");
}

/// Header and values; `kinds` are those that will do.
NpyArray read_array(std::string_view bytes, const fs::path& path, std::string_view kinds) {
  using namespace std::string_view_literals;
  if (!bytes.starts_with("\x93NUMPY"sv))
    refuse(path, fmt::format("is not a .npy file: it begins with '{}'; {}", printable(bytes.substr(0, 6)), k_save));
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i])); };
  if (bytes.size() < 12) refuse(path, "is truncated inside its header; get the file again");
  const std::size_t version = byte(6);
  if (version < 1 || version > 3)
    refuse(path, fmt::format("is a .npy file of version {}, expected 1 to 3; {}", version, k_save));
  const std::size_t begin = version == 1 ? 10 : 12;
  const std::size_t length = byte(8) | byte(9) << 8 | (version == 1 ? 0 : byte(10) << 16 | byte(11) << 24);
  if (bytes.size() - begin < length) refuse(path, "is truncated inside its header; get the file again");

  HeaderParser header(bytes.substr(begin, length), path);
  header.parse();
  NpyArray array;
  array.path = path;
  read_dtype(header.descr, kinds, array);
  if (*header.fortran_order)
    refuse(path, fmt::format("is in Fortran order (column by column), expected C order; {}", k_save));

  const std::vector<std::int64_t>& shape = *header.shape;
  const bool features = kinds == "f";
  const bool right = features ? shape.size() == 2 : shape.size() == 1 || (shape.size() == 2 && shape[1] == 1);
  if (!right)
    refuse(path, fmt::format("has the shape {}, expected {}", shape_text(shape),
                             features ? "[N, D]: a row of features per sample" : "[N] or [N, 1]: a label per sample"));
  array.rows = shape[0];
  array.columns = shape.size() == 2 ? shape[1] : 1;
  if (array.rows == 0 || array.columns == 0)
    refuse(path, fmt::format("has the shape {}, expected at least one sample and one value", shape_text(shape)));

  array.values = bytes.substr(begin + length);
  std::size_t expected = 0;
  const bool overflow = __builtin_mul_overflow(static_cast<std::size_t>(array.rows),
                                               static_cast<std::size_t>(array.columns), &expected) ||
                        __builtin_mul_overflow(expected, array.width, &expected);
  if (overflow || array.values.size() < expected)
    refuse(path, fmt::format("is truncated: {} bytes came after the header, expected {} for the shape {}; get the file "
                             "again",
                             array.values.size(), overflow ? "more than a file can have" : fmt::format("{}", expected),
                             shape_text(shape)));
  if (array.values.size() > expected)
    refuse(path, fmt::format("has {} bytes after the header, more than the {} of its shape {}; get the file again",
                             array.values.size(), expected, shape_text(shape)));
  return array;
}

template <class Stored>
Stored value_at(const NpyArray& array, std::size_t i) {
  Stored value;
  std::memcpy(&value, array.values.data() + i * sizeof(Stored), sizeof(Stored));
  return value;
}

template <class Stored>
void convert_row(const NpyArray& array, std::size_t begin, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(value_at<Stored>(array, begin + i));
}

template <class Stored>
std::vector<std::int64_t> labels_of(const NpyArray& array) {
  std::vector<std::int64_t> labels;
  for (std::size_t i = 0; i < static_cast<std::size_t>(array.rows); ++i)
    labels.push_back(static_cast<std::int64_t>(value_at<Stored>(array, i)));
  return labels;
}

/// A file mapped into memory: read on demand, and given back when memory is short.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat status {};
    if (file < 0 || ::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
      const std::string reason = file < 0 ? std::strerror(errno) : "it is not a file";
      if (file >= 0) ::close(file);
      throw Error(ErrorKind::data, fmt::format("cannot read '{}': {}", path.string(), reason));
    }
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ > 0) data_ = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file, 0);
    const int code = errno;
    ::close(file);
    if (data_ == MAP_FAILED)
      throw Error(ErrorKind::environment,
                  fmt::format("cannot map '{}' ({} bytes) into memory: {}", path.string(), size_, std::strerror(code)));
  }
  ~MappedFile() {
    if (size_ > 0) ::munmap(data_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Features and their labels; without a file of labels all are 0, and nothing is hashed.
Dataset open_part(const fs::path& features, const std::optional<fs::path>& labels) {
  auto file = std::make_shared<const MappedFile>(features);
  const NpyArray array = read_npy_features(file->bytes(), features);
  Dataset data;
  std::string label_bytes;
  if (labels) {
    label_bytes = read_file(*labels);
    data.labels = read_npy_labels(label_bytes, *labels);
  } else {
    data.labels.assign(static_cast<std::size_t>(array.rows), 0);
  }
  if (array.rows != data.size())
    throw Error(ErrorKind::data,
                fmt::format("'{}' holds {} rows of features but '{}' holds {} labels; take both from the same set",
                            features.string(), array.rows, labels->string(), data.size()));
  check_npy_features(array);
  data.shape = {.channels = array.columns, .height = 1, .width = 1};
  if (labels) data.sha256 = sha256(sha256(file->bytes()) + sha256(label_bytes));
  data.read_features = [file = std::move(file), array](std::int64_t index, std::span<float> values) {
    read_npy_row(array, index, values);
  };
  return data;
}

std::array<fs::path, 2> two_files(std::span<const std::string> files, const Address& address) {
  if (files.size() != 2 || files[0].empty() || files[1].empty())
    throw Error(
        ErrorKind::usage,
        fmt::format("data address '{}' needs two files, features and labels: npy:FEATURES,LABELS, and for a test "
                    "part ?test=FEATURES,LABELS (a comma in a name is %2C)",
                    address.text));
  return {files[0], files[1]};
}

}  // namespace

NpyArray read_npy_features(std::string_view bytes, const fs::path& path) { return read_array(bytes, path, "f"); }

void check_npy_features(const NpyArray& array) {
  std::vector<float> row(static_cast<std::size_t>(array.columns));
  for (std::int64_t r = 0; r < array.rows; ++r) {
    read_npy_row(array, r, row);
    for (std::size_t c = 0; c < row.size(); ++c)
      if (!std::isfinite(row[c])) {
        const double stored =
            array.width == 8 ? value_at<double>(array, static_cast<std::size_t>(r) * row.size() + c) : row[c];
        refuse(array.path, fmt::format("has {} in row {}, column {} (from 0); {}", stored, r, c,
                                       std::isfinite(stored) ? "scale the features to the range of float32"
                                                             : "replace it, features must be finite"));
      }
  }
}

void read_npy_row(const NpyArray& array, std::int64_t row, std::span<float> out) {
  const std::size_t begin = static_cast<std::size_t>(row) * static_cast<std::size_t>(array.columns);
  if (array.width == 4)
    std::memcpy(out.data(), array.values.data() + begin * sizeof(float), out.size_bytes());
  else if (array.width == 8)
    convert_row<double>(array, begin, out);
  else
    convert_row<Half>(array, begin, out);
}

std::vector<std::int64_t> read_npy_labels(std::string_view bytes, const fs::path& path) {
  const NpyArray array = read_array(bytes, path, "iu");
  const bool with_sign = array.kind == 'i';
  std::vector<std::int64_t> labels;
  switch (array.width) {
    case 1:
      labels = with_sign ? labels_of<std::int8_t>(array) : labels_of<std::uint8_t>(array);
      break;
    case 2:
      labels = with_sign ? labels_of<std::int16_t>(array) : labels_of<std::uint16_t>(array);
      break;
    case 4:
      labels = with_sign ? labels_of<std::int32_t>(array) : labels_of<std::uint32_t>(array);
      break;
    default:
      labels = labels_of<std::int64_t>(array);
  }
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] < 0) refuse(path, fmt::format("gives sample {} the label {}, expected 0 or more", i, labels[i]));
  return labels;
}

Dataset open_unlabelled_npy(const fs::path& file) { return open_part(file, std::nullopt); }

OpenedData open_npy(const Address& address, const OpenOptions& options) {
  refuse_image_options(options, "npy:FEATURES,LABELS");
  const auto [features, labels] = two_files(address.files(), address);
  OpenedData data;
  data.train = open_part(features, labels);
  data.train.class_names = classes_of_labels(data.train.labels, labels, address.find("classes"));
  if (!address.find("test")) return data;

  const std::array<fs::path, 2> test = two_files(address.list("test"), address);
  data.test = open_part(test[0], test[1]);
  data.test->class_names = data.train.class_names;
  if (data.test->shape != data.train.shape)
    throw Error(
        ErrorKind::data,
        fmt::format("'{}' has {} features per row but the training part '{}' has {}; take both from the same set",
                    test[0].string(), data.test->shape.channels, features.string(), data.train.shape.channels));
  check_test_labels(data.test->labels, data.train.classes(),
                    [&](std::size_t i) { return fmt::format("'{}' sample {}", test[1].string(), i); });
  return data;
}

}  // namespace ulmus::detail
