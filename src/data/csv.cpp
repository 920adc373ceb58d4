#include <fmt/format.h>

#include <utility>

#include "data/csv_rows.hpp"
#include "data/gzip.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

/// The rows of a table before the training rows are known.
class UnencodedRows : public FeatureSource {
 public:
  explicit UnencodedRows(std::shared_ptr<const Table> table) : table_(std::move(table)) {}

  void read(std::int64_t, std::span<float>) const override {
    throw Error(ErrorKind::usage, fmt::format("'{}' is a table whose encoding is not learnt yet; call encode_tables "
                                              "after the split is made",
                                              table_->file.string()));
  }
  std::optional<std::int64_t> line(std::int64_t index) const override {
    return table_->lines[static_cast<std::size_t>(index)];
  }

 private:
  std::shared_ptr<const Table> table_;
};

Dataset unencoded(const std::shared_ptr<const Table>& table) {
  return Dataset(
      {.class_names = table->class_names, .labels = table->labels, .sha256 = table->sha256, .notes = table->notes},
      std::make_shared<const UnencodedRows>(table));
}

CsvOptions csv_options(const Address& address) {
  CsvOptions options{.label = address.find("label").value_or(""),
                     .drop = address.list("drop"),
                     .categorical = address.list("categorical"),
                     .literal = literal_names(address),
                     .keep = address.list("keep")};
  if (const auto decimal = address.find("decimal")) {
    if (*decimal != "," && *decimal != ".")
      throw Error(ErrorKind::usage, fmt::format("decimal is '{}' in data address '{}', expected , or .",
                                                printable(*decimal), address.text));
    options.decimal = (*decimal)[0];
  }
  if (const auto dates = address.find("dates")) {
    if (*dates != "dmy" && *dates != "mdy")
      throw Error(ErrorKind::usage, fmt::format("dates is '{}' in data address '{}', expected dmy (day first) or mdy "
                                                "(month first)",
                                                printable(*dates), address.text));
    options.dates = *dates == "dmy" ? DateOrder::dmy : DateOrder::mdy;
  }
  if (const auto delimiter = address.find("delimiter")) {
    if (*delimiter == "tab" || *delimiter == "\\t")
      options.delimiter = '\t';
    else if (*delimiter == "space")
      options.delimiter = k_space;
    else if (delimiter->size() == 1 && std::string_view("\"\r\n").find((*delimiter)[0]) == std::string_view::npos)
      options.delimiter = (*delimiter)[0];
    else
      throw Error(ErrorKind::usage, fmt::format("delimiter is '{}' in data address '{}', expected one character (no "
                                                "quote), tab or space",
                                                printable(*delimiter), address.text));
  }
  return options;
}

}  // namespace

OpenedData open_csv(const Address& address, const OpenOptions& options) {
  reject_image_options(options, "csv:FILE");
  CsvOptions csv_options = ulmus::detail::csv_options(address);
  csv_options.classes = options.classes;
  const fs::path file = address.file();
  const auto share = [&](Table table) {
    table.name = address.text;
    return std::make_shared<const Table>(std::move(table));
  };
  OpenedData data;
  data.train_table = share(read_csv(read_text_file(file), file, csv_options, options.encoding.get()));
  data.train = unencoded(data.train_table);
  if (const auto test = address.find("test")) {
    data.test_table = share(read_test_csv(read_text_file(*test), *test, csv_options, *data.train_table));
    data.test = unencoded(data.test_table);
  }
  return data;
}

Dataset open_unlabelled_csv(const fs::path& file, const Address& training, const TableEncoding& encoding) {
  Table table = read_unlabelled_csv(read_text_file(file), file, csv_options(training).delimiter, encoding);
  table.name = file.string();
  return encode(table, encoding);
}

}  // namespace ulmus::detail
