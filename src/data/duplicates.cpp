#include "data/duplicates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <exception>
#include <mutex>
#include <unordered_map>

#include "data/cells.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/threads.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus::detail {
namespace {

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

/// One part of the data; `table` is set only for `csv:`.
struct DataPart {
  const Dataset& data;
  const Table* table;
  std::string_view sample;  ///< what messages call one of its samples
};

/// Canonical content of a table row, with columns in the order of `columns`. -0 is written as 0, and all spellings of a
/// missing cell are equal.
std::string row_bytes(const Table& table, std::int64_t row, std::span<const std::size_t> columns) {
  std::string bytes;
  for (const std::size_t column : columns) {
    const std::string_view cell = table.cell(row, column);
    if (is_missing(cell))
      bytes += '?';
    else if (const TableColumn& of = table.columns[column]; of.kind == ColumnKind::numeric)
      fmt::format_to(std::back_inserter(bytes), "={:016x}",
                     std::bit_cast<std::uint64_t>(number_in(cell, of.number).value() + 0.0));
    else if (of.kind == ColumnKind::date)
      fmt::format_to(std::back_inserter(bytes), "@{:016x}",
                     std::bit_cast<std::uint64_t>(moment_in(cell, of.order).value().days + 0.0));
    else
      fmt::format_to(std::back_inserter(bytes), "\"{}:{}", cell.size(), cell);
  }
  return bytes;
}

std::string feature_bytes(const Dataset& data, std::int64_t index) {
  std::vector<float> values(at(data.shape().pixels()));
  data.read_features(index, values);
  for (float& value : values) value += 0.0F;  // converts -0 to 0
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string pixel_bytes(const Dataset& data, std::int64_t index) {
  std::string pixels(at(data.shape().pixels()), '\0');
  data.read(index, {reinterpret_cast<std::uint8_t*>(pixels.data()), pixels.size()});
  return pixels;
}

/// Indices in `table` of the columns of `order` that are not left out.
std::vector<std::size_t> columns_in_order(const Table& table, const Table& order) {
  std::vector<std::size_t> columns;
  for (const TableColumn& wanted : order.columns)
    if (wanted.left_out.empty())
      columns.push_back(
          at(std::distance(table.columns.begin(), std::ranges::find(table.columns, wanted.name, &TableColumn::name))));
  return columns;
}

/// SHA-256 of each sample's content, [N]. Throws the error of the first failing sample, independent of the number of
/// threads.
std::vector<std::string> digests_of(const DataPart& part, const Table* order, int threads) {
  const std::vector<std::size_t> columns =
      part.table ? columns_in_order(*part.table, *order) : std::vector<std::size_t>{};
  std::vector<std::string> digests(at(part.data.size()));
  std::atomic<std::int64_t> next{0};
  std::atomic<std::int64_t> end{part.data.size()};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::int64_t i = next++; i < end; i = next++) try {
        digests[at(i)] = sha256(part.table                ? row_bytes(*part.table, i, columns)
                                : part.data.is_features() ? feature_bytes(part.data, i)
                                                          : pixel_bytes(part.data, i));
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < end) {
          end = i;
          failure = std::current_exception();
        }
      }
  };
  const std::int64_t wanted = threads > 0 ? threads : usable_cores();
  detail::run_on_threads(at(std::min(wanted, part.data.size())), work);
  if (failure) std::rethrow_exception(failure);
  return digests;
}

std::string name_of(const DataPart& part, std::int64_t index) {
  if (part.table) return fmt::format("'{}' line {}", part.table->file.string(), part.table->lines[at(index)]);
  if (const auto file = part.data.file(index)) return fmt::format("'{}'", *file);
  return fmt::format("{} {}", part.sample, index);
}

using FirstSeen = std::unordered_map<std::string_view, std::int64_t>;

/// Records that sample `copy` has the same content as `original`.
void add_copy(Duplicates& found, const DataPart& part, std::int64_t copy, const DataPart& of, std::int64_t original) {
  if (found.copies++ == 0) found.pair = {name_of(part, copy), name_of(of, original)};
  if (part.data.labels()[at(copy)] != of.data.labels()[at(original)]) ++found.contradicting;
}

/// Finds the copies inside a part. `first` receives the first sample with each content.
Duplicates duplicates_in(const DataPart& part, const std::vector<std::string>& digests, FirstSeen& first) {
  Duplicates found;
  for (std::int64_t i = 0; i < part.data.size(); ++i)
    if (const auto [seen, is_new] = first.emplace(digests[at(i)], i); !is_new)
      add_copy(found, part, i, part, seen->second);
  return found;
}

}  // namespace

void find_duplicates(const OpenedData& data, int threads, Inspection& inspection) {
  const DataPart train{data.train, data.train_table.get(), "training sample"};
  const std::vector<std::string> train_digests = digests_of(train, train.table, threads);
  FirstSeen in_train;
  inspection.in_train = duplicates_in(train, train_digests, in_train);
  if (!data.test) return;

  const DataPart test{*data.test, data.test_table.get(), "test sample"};
  const std::vector<std::string> test_digests = digests_of(test, train.table, threads);
  FirstSeen in_test;
  inspection.in_test = duplicates_in(test, test_digests, in_test);
  inspection.leak.emplace();
  for (std::int64_t i = 0; i < test.data.size(); ++i)
    if (const auto twin = in_train.find(test_digests[at(i)]); twin != in_train.end())
      add_copy(*inspection.leak, test, i, train, twin->second);
}

}  // namespace ulmus::detail
