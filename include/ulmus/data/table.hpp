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
  bool grouped = false;  ///< thousands may be grouped by a space, an apostrophe or the other of ',' and '.'
  std::string prefix;    ///< a currency
  std::string suffix;    ///< a unit, '%' or a currency

  /// True for digits with a decimal point and nothing else.
  bool plain() const { return *this == NumberFormat{}; }
  friend bool operator==(const NumberFormat&, const NumberFormat&) = default;
};

/// The order of the parts of a column's dates; `clock` is a time of day without a date.
enum class DateOrder { ymd, dmy, mdy, clock };

struct TableColumn {
  std::string name;
  ColumnKind kind = ColumnKind::numeric;
  NumberFormat number = {};          ///< format of a numeric column
  DateOrder order = DateOrder::ymd;  ///< order of a date column
  std::string left_out = {};         ///< why it is not used as a feature, "counts up row by row"; empty: it is used
};

/// A description of a table column and its treatment.
struct ColumnSummary {
  std::string name;
  std::string kind;         ///< "label", "number", "date", "time of day", "category" or "dropped"
  std::string values;       ///< "1 to 9", "2018-01-03 to 2023-12-28", "3 levels"
  double missing = 0;       ///< share of the rows
  std::string treatment;    ///< "standardised", "left out: counts up row by row; &keep=id uses it"
  bool noteworthy = false;  ///< it is not read as plain numbers or categories
};

/// The cells of a table as text, with a label per row. It is encoded as a data set once the training rows are known.
/// Immutable after construction.
struct Table {
  std::string name;                      ///< the address from which it was opened
  std::filesystem::path file;            ///< for messages
  std::string label;                     ///< name of the label column
  std::vector<TableColumn> columns;      ///< [F], without the label column, with those left out by default
  std::vector<std::string> dropped;      ///< columns that the options drop
  std::vector<std::string> class_names;  ///< [C]
  std::vector<std::int64_t> labels;      ///< [N], each in [0, C)
  /// Hash of the label column's name, the kinds, formats and names of the columns that are not left out, and the
  /// SHA-256 of the (decompressed) file: equal for the same file read the same way.
  std::string sha256;
  std::string text;                 ///< all cells, row by row, without separators
  std::vector<std::uint64_t> ends;  ///< [N * F], the end of each cell in `text`
  std::vector<std::int64_t> lines;  ///< [N], line of the file where the row begins, from 1
  std::vector<std::string> notes;   ///< "'t.csv': 2 blank lines were skipped"

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  std::string_view cell(std::int64_t row, std::size_t column) const {
    const std::size_t i = static_cast<std::size_t>(row) * columns.size() + column;
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::string_view(text).substr(begin, ends[i] - begin);
  }
};

struct CsvOptions {
  std::string label;  ///< name of the column to predict
  /// '\0': the most frequent of , ; tab | in the header outside quotes, or white space if there is none. ' ' stands for
  /// white space of any length.
  char delimiter = '\0';
  std::vector<std::string> drop;         ///< columns to leave out
  std::vector<std::string> categorical;  ///< columns to treat as categorical whatever they contain
  std::vector<std::string> literal;      ///< labels that are classes although they look missing or similar to others
  std::vector<std::string> classes;      ///< as in OpenOptions
  std::vector<std::string> keep = {};    ///< columns to use although they look like row numbers or identifiers
  char decimal = '\0';                   ///< '.' or ',' for ambiguous columns; '\0': determined from the file
  std::optional<DateOrder> dates = {};   ///< the same for 03/04/2021: dmy or mdy
};

/// Reads CSV according to RFC 4180: quoted fields may contain delimiters, line breaks and doubled quotes. A header line
/// is required; preceding lines that begin with `#`, and `sep=;`, are accepted. CRLF, LF, CR and CRCRLF end a line; a
/// byte order mark (UTF-8, UTF-16) and white space around a field are ignored. Blank lines are skipped and counted; in
/// a file of one column each is a row with a missing cell. gzip is decompressed.
///
/// A cell is missing if it is empty or contains `NA`, `N/A`, `NaN`, `NaT`, `null`, `nil`, `None`, `\N` (in any case) or
/// `?`. A column is numeric if every other cell is a finite decimal number, or all are numbers of one NumberFormat; a
/// date if all are dates of one order; otherwise categorical. A column with more numbers than text is an error, and so
/// is an ambiguous column if nothing in the file decides. A column of integers that count up, and one whose values
/// identify the rows, is left out unless `keep` or `categorical` name it. With an encoding, columns have the same kinds
/// as in training.
///
/// Classes are the distinct labels, in numerical order if all are numbers, otherwise in byte order. Equal numbers are
/// one class if all labels are numbers (`1`, `01`, `1.0`), and `TRUE` is `True` if all are booleans. A label that marks
/// a missing value (also `None`, `N/A`, `-` ...) is an error, unless it is in `literal`.
///
/// Throws Error{usage} for a column that does not exist (with the nearest name), and Error{data} naming file and line:
/// not UTF-8, a quote that is not closed or is followed by text, a row of another length, an empty or duplicate column
/// name, a header of numbers, no rows, no column besides the label, a missing label, labels that look alike, fewer than
/// two classes, labels that are a quantity.
Table read_csv(std::string_view bytes, const std::filesystem::path& file, const CsvOptions& options,
               const TableEncoding* trained = nullptr);

/// The same for the test part of `training`: the columns must have the same names, in any order, and have the same
/// kinds. A class that training lacks is an Error{data}; a class without rows is allowed.
Table read_test_csv(std::string_view bytes, const std::filesystem::path& file, const CsvOptions& options,
                    const Table& training);

/// How an encoding represents cells.
enum class EncodingStyle {
  standardised,  ///< for networks: numbers of mean 0 and deviation 1, categories one-hot
  raw,           ///< for trees: the value of a column, or of each part of a date, unchanged; NaN if it is missing
};

/// Describes every column: the label, the columns in order, the dropped ones; `style` is that of the encoding.
std::vector<ColumnSummary> summarise(const Table& table, EncodingStyle style = EncodingStyle::standardised);

/// The descriptions as terminal lines, each preceded by `indent`. If there are more than 40 columns, plain numbers and
/// categories are counted instead, unless `all` is set.
std::string to_text(std::span<const ColumnSummary> columns, std::string_view indent, bool all = false);

/// As a JSON array of objects with name, kind, values, missing and treatment.
std::string to_json(std::span<const ColumnSummary> columns);

/// Reads a table for prediction with a model of this encoding: finds the columns used in training wherever they are,
/// and ignores others, including the label column. No label is read: all are 0; there is no hash. Throws as read_csv
/// does for faults that do not concern the label, and Error{data} for a missing column.
Table read_unlabelled_csv(std::string_view bytes, const std::filesystem::path& file, char delimiter,
                          const TableEncoding& encoding);

/// A level of a categorical column gets its own feature if it occurs in at least this many training rows,
constexpr std::int64_t k_min_level_rows = 2;
/// and is among this many most frequent levels (ties in byte order).
constexpr std::size_t k_max_levels = 100;
/// With EncodingStyle::raw, where a level is a code and no feature.
constexpr std::size_t k_max_raw_levels = 1000;

/// Features of a date: its position in time and its year, which are standardised, so that later dates extrapolate; and
/// the month, the weekday and the time of day as sine and cosine of their cycle.
enum class DatePart { time, year, month, weekday, clock };

struct DatePartEncoding {
  DatePart part = DatePart::time;
  double median = 0, mean = 0, stddev = 0;  ///< of `time`, in days, and of `year`, as for a numeric column

  std::int64_t features() const { return part == DatePart::time || part == DatePart::year ? 1 : 2; }
  friend bool operator==(const DatePartEncoding&, const DatePartEncoding&) = default;
};

/// The encoding of one column.
struct ColumnEncoding {
  std::string name;
  ColumnKind kind = ColumnKind::numeric;
  bool missing = false;  ///< a training cell is missing: adds a last feature, 1 if a cell is missing, else 0
  /// EncodingStyle::raw: one feature, or one for each part of a date; `missing` is false and the numbers below are 0.
  bool raw = false;

  // numeric
  NumberFormat number = {};
  double median = 0;  ///< median of the present training cells; replaces a missing cell
  double mean = 0;    ///< mean of the training cells, with missing ones replaced by the median
  double stddev = 0;  ///< likewise, over N; 0 for a constant column, whose feature is always 0

  // categorical
  std::vector<std::string> levels;  ///< levels with their own feature, in byte order
  std::vector<std::string> other;   ///< the remaining training levels, which share one feature; in byte order

  // date
  DateOrder order = DateOrder::ymd;
  std::vector<DatePartEncoding> parts = {};  ///< `time`, and the others that have at least two values in training

  std::int64_t features() const;
  /// Different values of a categorical column with `raw`: the levels, and one code for `other`; 0 for other columns.
  std::int64_t codes() const;
  friend bool operator==(const ColumnEncoding&, const ColumnEncoding&) = default;
};

/// Converts the rows of a table to feature vectors; learnt only from training rows and stored in the checkpoint.
struct TableEncoding {
  std::vector<std::string> class_names;    ///< [C], classes of the training part
  std::vector<ColumnEncoding> columns;     ///< [F], without left-out columns
  std::vector<std::string> left_out = {};  ///< names of columns that are optional in later tables

  /// Length D of a feature vector.
  std::int64_t features() const;
  /// [D]: "age", "age (missing)", "colour=red", "colour (other)".
  std::vector<std::string> feature_names() const;
  /// [D]: of the categories of a raw encoding ColumnEncoding::codes(), 0 for a number.
  std::vector<std::int64_t> feature_codes() const;
  friend bool operator==(const TableEncoding&, const TableEncoding&) = default;
};

/// Learns an encoding only from the given rows. A numeric cell becomes (x - mean) / stddev. A categorical cell becomes
/// a one-hot vector, all zeros if it is missing or its level was in no training row. A date becomes its parts; a
/// missing one the median and zeros. With EncodingStyle::raw a number stays unchanged, a level becomes its code, its
/// position among the levels (those of `other` share the last one), a date its parts as numbers (days since 1970-01-01,
/// year, month 1 to 12, weekday 0 to 6 from Monday, hour with fraction); NaN stands for a missing cell and for a level
/// that was in no training row. Throws Error{usage} without rows or for a row out of range; Error{data} for a
/// categorical column in which no level gets its own feature (its values identify rows), and for numbers so large that
/// their mean is not finite.
TableEncoding learn_encoding(const Table& table, std::span<const std::int64_t> train_indices,
                             EncodingStyle style = EncodingStyle::standardised);

/// Encodes the table as feature vectors in memory, of shape {D, 1, 1}; columns and classes are matched by name. The
/// column kinds are those of the encoding. Throws Error{data} for a column that the table or the encoding lacks, a
/// class that the encoding lacks, or a cell of a numeric or date column that has another format or, once standardised,
/// is not a finite float.
Dataset encode(const Table& table, const TableEncoding& encoding);

/// Replaces both parts of opened tables by their feature vectors, with an encoding learnt from the given rows of the
/// training part, which is returned. Throws as the two functions above, and Error{usage} if the data are not a table.
TableEncoding encode_tables(OpenedData& data, std::span<const std::int64_t> train_indices,
                            EncodingStyle style = EncodingStyle::standardised);
/// The same with an existing encoding.
void encode_tables(OpenedData& data, const TableEncoding& encoding);

/// Opens samples for prediction with a model of features: a CSV, read as above, if there is an encoding; otherwise a
/// NumPy array [N, D], read row by row. `address` is that of the training data, for its delimiter; the class names are
/// those of the encoding, or `class_names` without one. The labels are all 0 and meaningless. Throws Error{data} naming
/// the file and its fault.
Dataset open_unlabelled(const std::filesystem::path& file, std::string_view address, const TableEncoding* encoding,
                        std::vector<std::string> class_names = {});

/// One line of JSON with `schema_version` 1, 2 if a column is a date, has a number format or is left out, or 3 if
/// columns are raw; keys in
/// alphabetical order; the same bytes for the same encoding.
std::string to_json(const TableEncoding& encoding);
/// Throws Error{data} for anything that `to_json` does not write.
TableEncoding encoding_from_json(std::string_view json);

}  // namespace ulmus
