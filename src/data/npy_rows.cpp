#include "data/npy_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/input_file.hpp"

namespace ulmus::detail {
namespace {

void read_exactly(const InputFile& file, std::size_t begin, std::span<char> out) {
  const std::size_t came = file.read(begin, out);
  if (came < out.size())
    throw Error(ErrorKind::data, fmt::format("'{}' has become shorter while it was in use: {} bytes are expected from "
                                             "position {} on; restore it and do not change it",
                                             file.path().string(), out.size() - came, begin + came));
}

std::string read_exactly(const InputFile& file, std::size_t begin, std::size_t size) {
  std::string bytes(size, '\0');
  read_exactly(file, begin, bytes);
  return bytes;
}

class RowsOnDemand : public FeatureSource {
 public:
  RowsOnDemand(std::unique_ptr<const InputFile> file, const NpyHeader& header)
      : file_(std::move(file)), header_(header) {}

  void read(std::int64_t index, std::span<float> out) const override {
    const std::size_t begin = place_of(index);
    if (header_.kind == 'f' && header_.width == sizeof(float) && !header_.swapped)
      return read_exactly(*file_, begin, {reinterpret_cast<char*>(out.data()), out.size_bytes()});
    thread_local std::string row;
    row.resize(header_.row_bytes());
    read_exactly(*file_, begin, row);
    decode_npy_row(header_, row, out);
  }

  void will_read(std::int64_t first, std::int64_t count) const override {
    file_->will_read(place_of(first), static_cast<std::size_t>(count) * header_.row_bytes());
  }

  std::int64_t bytes_on_disk() const override {
    return header_.rows() * static_cast<std::int64_t>(header_.row_bytes());
  }

 private:
  std::size_t place_of(std::int64_t index) const {
    return header_.begin + static_cast<std::size_t>(index) * header_.row_bytes();
  }

  std::unique_ptr<const InputFile> file_;
  NpyHeader header_;
};

class RowsInMemory : public FeatureSource {
 public:
  RowsInMemory(std::string rows, const NpyHeader& header) : rows_(std::move(rows)), header_(header) {}

  void read(std::int64_t index, std::span<float> out) const override {
    const std::size_t bytes = header_.row_bytes();
    decode_npy_row(header_, std::string_view(rows_).substr(static_cast<std::size_t>(index) * bytes, bytes), out);
  }

 private:
  std::string rows_;
  NpyHeader header_;
};

class ConcatenatedRows : public FeatureSource {
 public:
  explicit ConcatenatedRows(std::vector<NpyRows> parts) : parts_(std::move(parts)) {
    std::int64_t rows = 0;
    for (const NpyRows& part : parts_) ends_.push_back(rows += part.header.rows());
  }

  void read(std::int64_t index, std::span<float> out) const override {
    const std::size_t p = part_of(index);
    parts_[p].features->read(index - begin_of(p), out);
  }

  void will_read(std::int64_t first, std::int64_t count) const override {
    const std::int64_t end = first + count;
    for (std::size_t p = part_of(first); p < parts_.size() && begin_of(p) < end; ++p) {
      const std::int64_t from = std::max(first, begin_of(p));
      parts_[p].features->will_read(from - begin_of(p), std::min(end, ends_[p]) - from);
    }
  }

  std::int64_t bytes_on_disk() const override {
    std::int64_t bytes = 0;
    for (const NpyRows& part : parts_) bytes += part.features->bytes_on_disk();
    return bytes;
  }

 private:
  std::size_t part_of(std::int64_t index) const {
    return static_cast<std::size_t>(std::ranges::upper_bound(ends_, index) - ends_.begin());
  }
  std::int64_t begin_of(std::size_t part) const { return part == 0 ? 0 : ends_[part - 1]; }

  std::vector<NpyRows> parts_;
  std::vector<std::int64_t> ends_;  ///< the row after the last of each part
};

/// Goes once through the rows of `bytes`, of which the first is row `first` of the file.
void check_rows(const NpyHeader& header, std::string_view bytes, std::int64_t first) {
  const std::size_t width = header.row_bytes();
  for (std::size_t begin = 0; begin < bytes.size(); begin += width)
    check_npy_row(header, bytes.substr(begin, width), first++);
}

}  // namespace

NpyRows open_npy_rows(const std::filesystem::path& path) {
  auto file = std::make_unique<const InputFile>(path);
  const NpyHeader header = read_npy_header(read_exactly(*file, 0, std::min(file->size(), k_npy_header_limit)),
                                           file->size(), path, NpyKind::features);
  Sha256 digest;
  digest.add(read_exactly(*file, 0, header.begin));
  if (header.by_columns) {
    const std::string values = read_exactly(*file, header.begin, file->size() - header.begin);
    digest.add(values);
    std::string rows = npy_by_rows(header, values);
    check_rows(header, rows, 0);
    return {std::make_shared<const RowsInMemory>(std::move(rows), header), header, digest.hex()};
  }
  constexpr std::size_t k_chunk = std::size_t{1} << 22;
  const auto most = static_cast<std::int64_t>(std::max<std::size_t>(1, k_chunk / header.row_bytes()));
  std::string chunk;
  for (std::int64_t first = 0; first < header.rows(); first += most) {
    chunk.resize(static_cast<std::size_t>(std::min(most, header.rows() - first)) * header.row_bytes());
    read_exactly(*file, header.begin + static_cast<std::size_t>(first) * header.row_bytes(), std::span(chunk));
    digest.add(chunk);
    check_rows(header, chunk, first);
  }
  return {std::make_shared<const RowsOnDemand>(std::move(file), header), header, digest.hex()};
}

std::shared_ptr<const FeatureSource> concatenate(std::vector<NpyRows> parts) {
  if (parts.size() == 1) return parts[0].features;
  return std::make_shared<const ConcatenatedRows>(std::move(parts));
}

}  // namespace ulmus::detail
