#include <algorithm>

#include "fuzz.hpp"
#include "ulmus/data/table.hpp"

using namespace ulmus;

/// A table and an encoding learnt from every second row, which is applied to the table itself, as test part and without
/// labels, and serialised.
ULMUS_FUZZER(data, size) {
  const std::string_view text = fuzz::text_of(data, size);
  const CsvOptions options{.label = "y"};
  fuzz::allow_errors([&] {
    const Table table = read_csv(text, "table.csv", options);
    fuzz::require(table.ends.size() == table.labels.size() * table.columns.size(), "every row has every cell");
    fuzz::require(table.ends.back() == table.text.size(), "cells are the whole text");
    const Table test = read_test_csv(text, "test.csv", options, table);
    const bool all = std::ranges::all_of(table.columns, &std::string::empty, &TableColumn::left_out);
    fuzz::require((!all || test.text == table.text) && test.labels == table.labels, "a table is its own test part");
    fuzz::require(summarise(table).size() == table.columns.size() + 1, "every column is summarised");

    std::vector<std::int64_t> rows;
    for (std::int64_t row = 0; row < table.size(); row += 2) rows.push_back(row);
    const TableEncoding encoding = learn_encoding(table, rows);
    fuzz::require(encoding_from_json(to_json(encoding)) == encoding, "an encoding is read back the same");
    fuzz::require(std::ssize(encoding.feature_names()) == encoding.features(), "every feature has a name");
    const Dataset encoded = encode(table, encoding);
    const Dataset unlabelled = encode(read_unlabelled_csv(text, "new.csv", '\0', encoding), encoding);
    fuzz::require(unlabelled.size() == encoded.size(), "the label makes no row");
    std::vector<float> values(static_cast<std::size_t>(encoding.features())), same = values;
    for (std::int64_t row = 0; row < encoded.size(); ++row) {
      encoded.read_features(row, values);
      unlabelled.read_features(row, same);
      fuzz::require(values == same, "the label is no feature");
      for (const float value : values) fuzz::require(value - value == 0, "features are finite");
    }
  });
  return 0;
}
