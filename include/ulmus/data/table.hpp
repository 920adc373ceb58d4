#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/data/dataset.hpp"

namespace ulmus {

struct TableEncoding;

enum class ColumnKind { numeric, categorical, date };

/// The format of the numbers of a column: prefix, digits, suffix, with a sign before or after them.
struct NumberFormat {
  char decimal = '.';    ///< or ','
  bool grouped = false;  ///< thousands may stand in groups, by a space, an apostrophe or the other of ',' and '.'
  std::string prefix;    ///< a currency
  std::string suffix;    ///< a unit, '%' or a currency

  /// Digits with a decimal point, and nothing else.
  bool plain() const { return *this == NumberFormat{}; }
  friend bool operator==(const NumberFormat&, const NumberFormat&) = default;
};

/// The order of the parts of a column's dates; `clock` is a time of day without a date.
enum class DateOrder { ymd, dmy, mdy, clock };

struct TableColumn {
  std::string name;
  ColumnKind kind = ColumnKind::numeric;
  NumberFormat number = {};          ///< of a numeric column
  DateOrder order = DateOrder::ymd;  ///< of a date column
  std::string left_out = {};         ///< why no feature is made of it, "counts up row by row"; empty: one is
};

/// A column of a table and its treatment, in words.
struct ColumnSummary {
  std::string name;
  std::string kind;         ///< "label", "number", "date", "time of day", "category" or "dropped"
  std::string values;       ///< "1 to 9", "2018-01-03 to 2023-12-28", "3 levels"
  double missing = 0;       ///< share of the rows
  std::string treatment;    ///< "standardised", "left out: counts up row by row; &keep=id uses it"
  bool noteworthy = false;  ///< it is read otherwise than as plain numbers or categories
};

/// The cells of a table as text, with a label for every row. Once the training rows are known, it is encoded as a data
/// set. Immutable after it is made.
struct Table {
  std::string name;                      ///< the address it was opened from
  std::filesystem::path file;            ///< for messages
  std::string label;                     ///< the label's column
  std::vector<TableColumn> columns;      ///< [F], without the label's; those that are left out by default are here
  std::vector<std::string> dropped;      ///< columns left out because the options say so
  std::vector<std::string> class_names;  ///< [C]
  std::vector<std::int64_t> labels;      ///< [N], each in [0, C)
  /// Of the label's name, the kinds, formats and names of the columns that are not left out and the SHA-256 of the file
  /// (decompressed): equal for the same file read the same way.
  std::string sha256;
  std::string text;                 ///< all cells, row by row, without separators
  std::vector<std::uint64_t> ends;  ///< [N * F], where in `text` each cell ends
  std::vector<std::int64_t> lines;  ///< [N], line of the file where the row begins, from 1
  std::vector<std::string> notes;   ///< "'t.csv': 2 blank lines were passed over"

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  std::string_view cell(std::int64_t row, std::size_t column) const {
    const std::size_t i = static_cast<std::size_t>(row) * columns.size() + column;
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(text).substr(begin, ends[i] - begin);
  }
};

struct CsvOptions {
  std::string label;  ///< name of the column to predict
  /// '\0': the most frequent of , ; tab | in the header, outside quotes, or where none is there white space. ' ' stands
  /// for white space of any length.
  char delimiter = '\0';
  std::vector<std::string> drop;         ///< columns left out
  std::vector<std::string> categorical;  ///< columns that are categorical whatever they hold
  std::vector<std::string> literal;      ///< labels that are classes though they read as missing or alike
  std::vector<std::string> classes;      ///< as in OpenOptions
  std::vector<std::string> keep = {};    ///< columns that are used though they look like row numbers or identifiers
  char decimal = '\0';                   ///< '.' or ',' where a column can be read either way; '\0': by the file
  std::optional<DateOrder> dates = {};   ///< likewise of 03/04/2021: dmy or mdy
};

/// Reads CSV by RFC 4180: quoted fields may hold delimiters, line breaks and doubled quotes. A header line is needed;
/// lines before it that begin with `#`, and `sep=;`, are understood. CRLF, LF, CR and CRCRLF end a line; a byte order
/// mark (UTF-8, UTF-16) and white space around a field are passed over. Blank lines are passed over and counted; in a
/// file of one column each is a row whose cell is missing. gzip is decompressed.
///
/// A cell that is empty or reads `NA`, `N/A`, `NaN`, `NaT`, `null`, `nil`, `None`, `\N` (in any case) or `?` is
/// missing. A column is numeric when every other cell is a finite decimal number, or all are numbers of one
/// NumberFormat; a date when all are dates of one order; otherwise categorical. One that has more numbers than text is
/// an error, and so is one that can be read in two ways between which nothing in the file decides. A column of whole
/// numbers that count up, and one whose values name the rows, is left out unless `keep` or `categorical` name it. With
/// an encoding, columns are what they were in training.
///
/// Classes are the different labels, in numerical order when all are numbers, otherwise in byte order. Equal numbers
/// are one class where all labels are numbers (`1`, `01`, `1.0`), and `TRUE` is `True` where all are booleans. A label
/// that is a mark of a missing value (also `None`, `N/A`, `-` ...) is an error, unless it is in `literal`.
///
/// Throws Error{usage} for a column that is not there (with the nearest name), Error{data} naming file and line: not
/// UTF-8, a quote without its end or with text after it, a row of another length, a column name that is empty or comes
/// twice, a header of numbers, no row, no column beside the label, a missing label, labels that look alike, fewer than
/// two classes, labels that are a quantity.
Table read_csv(std::string_view bytes, const std::filesystem::path& file, const CsvOptions& options,
               const TableEncoding* trained = nullptr);

/// The same for the test part of `training`: the columns must have the same names, in any order, and are of the same
/// kinds; a class that training lacks is an Error{data}, one without a row is none.
Table read_test_csv(std::string_view bytes, const std::filesystem::path& file, const CsvOptions& options,
                    const Table& training);

/// What an encoding makes of the cells.
enum class EncodingStyle {
  standardised,  ///< for networks: numbers of mean 0 and deviation 1, categories one-hot
  raw,           ///< for trees: one value a column or part of a date, as it is; NaN where it is missing
};

/// A summary of every column: the label, the columns in order, the dropped ones; `style` is that of the encoding.
std::vector<ColumnSummary> summarise(const Table& table, EncodingStyle style = EncodingStyle::standardised);

/// The summaries as lines of a terminal, each behind `indent`. Of more than 40 columns those that are read as plain
/// numbers and categories are counted instead, unless `all`.
std::string to_text(std::span<const ColumnSummary> columns, std::string_view indent, bool all = false);

/// As a JSON array of objects with name, kind, values, missing and treatment.
std::string to_json(std::span<const ColumnSummary> columns);

/// A table to predict, for a model of this encoding: the columns that were trained on, wherever they are; others, the
/// label's among them, are passed over. No label is read: all are 0; there is no hash. Throws as read_csv does for what
/// can be wrong without a label, and Error{data} for a column that is missing.
Table read_unlabelled_csv(std::string_view bytes, const std::filesystem::path& file, char delimiter,
                          const TableEncoding& encoding);

/// A level of a categorical column gets a feature of its own when it is in this many training rows or more,
constexpr std::int64_t k_min_level_rows = 2;
/// and is among this many most frequent ones (the first in byte order of equally frequent ones).
constexpr std::size_t k_max_levels = 100;
/// With EncodingStyle::raw, where a level is a code and no feature.
constexpr std::size_t k_max_raw_levels = 1000;

/// What is learnt of a date: where it lies in time and its year, which are standardised, so that later dates go on from
/// the trained ones; and the month, the weekday and the time of day as sine and cosine of their cycle.
enum class DatePart { time, year, month, weekday, clock };

struct DatePartEncoding {
  DatePart part = DatePart::time;
  double median = 0, mean = 0, stddev = 0;  ///< of `time`, in days, and of `year`, as those of a numeric column

  std::int64_t features() const { return part == DatePart::time || part == DatePart::year ? 1 : 2; }
  friend bool operator==(const DatePartEncoding&, const DatePartEncoding&) = default;
};

/// The encoding of one column.
struct ColumnEncoding {
  std::string name;
  ColumnKind kind = ColumnKind::numeric;
  bool missing = false;  ///< a training cell is missing: one more feature, last, 1 where a cell is missing, else 0
  /// EncodingStyle::raw: one feature, or one for each part of a date; `missing` is false and the numbers below are 0.
  bool raw = false;

  // numeric
  NumberFormat number = {};
  double median = 0;  ///< of the training cells that are there; stands in for a missing one
  double mean = 0;    ///< of the training cells, medians included
  double stddev = 0;  ///< likewise, over N; 0 for a column that is constant, whose feature is always 0

  // categorical
  std::vector<std::string> levels;  ///< with a feature of their own, in byte order
  std::vector<std::string> other;   ///< the remaining training levels, which share one feature; in byte order

  // date
  DateOrder order = DateOrder::ymd;
  std::vector<DatePartEncoding> parts = {};  ///< `time`, and the others of which training has two values or more

  std::int64_t features() const;
  /// Different values of a categorical column with `raw`: the levels, and one code for `other`; 0 for other columns.
  std::int64_t codes() const;
  friend bool operator==(const ColumnEncoding&, const ColumnEncoding&) = default;
};

/// Turns the rows of a table into feature vectors; learnt from training rows alone and stored in the checkpoint.
struct TableEncoding {
  std::vector<std::string> class_names;    ///< [C], of the training part
  std::vector<ColumnEncoding> columns;     ///< [F], without those that are left out
  std::vector<std::string> left_out = {};  ///< names of columns that later tables may have or not

  /// Length D of a feature vector.
  std::int64_t features() const;
  /// [D]: "age", "age (missing)", "colour=red", "colour (other)".
  std::vector<std::string> feature_names() const;
  /// [D]: of the categories of a raw encoding ColumnEncoding::codes(), 0 for a number.
  std::vector<std::int64_t> feature_codes() const;
  friend bool operator==(const TableEncoding&, const TableEncoding&) = default;
};

/// Learns from the given rows alone. A numeric cell becomes (x - mean) / stddev; a categorical one a one-hot vector,
/// all zeros when it is missing or its level was in no training row; a date its parts, those of a missing one the
/// median and zeros. With EncodingStyle::raw a number stays as it is, a level becomes its code, its place among the
/// levels (those of `other` share the last one), a date its parts as numbers (days since 1970-01-01, year, month 1 to
/// 12, weekday 0 to 6 from Monday, hour with fraction); NaN stands for a missing cell and for a level that was in no
/// training row. Throws Error{usage} without rows or for a row that is not there; Error{data} for a categorical
/// column without a level of its own (its values name rows), and for numbers too large for their mean to be a number.
TableEncoding learn_encoding(const Table& table, std::span<const std::int64_t> train_indices,
                             EncodingStyle style = EncodingStyle::standardised);

/// The table as feature vectors, in memory, of shape {D, 1, 1}; columns and classes are found by name. The kinds are
/// those of the encoding. Throws Error{data} for a column that the table or the encoding lacks, a class that the
/// encoding lacks, a cell of a numeric or date column that is not of its format or, once standardised, no finite float.
Dataset encode(const Table& table, const TableEncoding& encoding);

/// Replaces both parts of opened tables by their feature vectors, with an encoding learnt from the given rows of the
/// training part, which is returned. Throws as the two functions above, and Error{usage} when the data are no table.
TableEncoding encode_tables(OpenedData& data, std::span<const std::int64_t> train_indices,
                            EncodingStyle style = EncodingStyle::standardised);
/// The same with an encoding learnt before.
void encode_tables(OpenedData& data, const TableEncoding& encoding);

/// Samples to predict with a model of features: a CSV, read as above, for the encoding of a table, or a NumPy array
/// [N, D] without one, read row by row. `address` is that of the training data, for its delimiter; the class names are
/// those of the encoding, or `class_names` without one. The labels are all 0 and mean nothing. Throws Error{data}
/// naming the file and what is wrong with it.
Dataset open_unlabelled(const std::filesystem::path& file, std::string_view address, const TableEncoding* encoding,
                        std::vector<std::string> class_names = {});

/// One line of JSON with `schema_version` 1, 2 where a column is a date, has a number format or is left out, or 3 where
/// columns are raw; keys in
/// alphabetical order; the same bytes for the same encoding.
std::string to_json(const TableEncoding& encoding);
/// Throws Error{data} for anything that `to_json` does not write.
TableEncoding encoding_from_json(std::string_view json);

}  // namespace ulmus
