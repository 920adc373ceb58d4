#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/cells.hpp"
#include "data/gzip.hpp"
#include "data/packed.hpp"
#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::packed;
using Labels = std::vector<std::int64_t>;
using Names = std::vector<std::string>;

Table read(std::string_view text, CsvOptions options = {.label = "y"}) { return read_csv(text, "t.csv", options); }

void expect_data_error(std::string_view text, const std::vector<std::string>& parts,
                       const CsvOptions& options = {.label = "y"}) {
  expect_error(ErrorKind::data, parts, [&] { read(text, options); });
}

Names cells(const Table& table) {
  Names cells;
  for (std::int64_t row = 0; row < table.size(); ++row)
    for (std::size_t c = 0; c < table.columns.size(); ++c) cells.emplace_back(table.cell(row, c));
  return cells;
}

Names column_names(const Table& table) {
  Names names;
  for (const TableColumn& column : table.columns) names.push_back(column.name);
  return names;
}

std::vector<ColumnKind> kinds(const Table& table) {
  std::vector<ColumnKind> kinds;
  for (const TableColumn& column : table.columns) kinds.push_back(column.kind);
  return kinds;
}

TEST(Table, ReadsCellsLabelsAndColumns) {
  const Table table = read("a,y,b\n1,no,x\n2,yes,z\n3,no,x\n");
  EXPECT_EQ(column_names(table), (Names{"a", "b"}));
  EXPECT_EQ(kinds(table), (std::vector{ColumnKind::numeric, ColumnKind::categorical}));
  EXPECT_EQ(cells(table), (Names{"1", "x", "2", "z", "3", "x"}));
  EXPECT_EQ(table.class_names, (Names{"no", "yes"}));
  EXPECT_EQ(table.labels, (Labels{0, 1, 0}));
  EXPECT_EQ(table.lines, (Labels{2, 3, 4}));
}

TEST(Table, QuotedFieldsHoldAnything) {
  const Table table = read("a,\"y\"\n\"1,5\nand \"\"more\"\"\", p\n \"\" ,\"q\"\n\"x\r\ny\",q");
  EXPECT_EQ(cells(table), (Names{"1,5\nand \"more\"", "", "x\r\ny"}));
  EXPECT_EQ(table.lines, (Labels{2, 4, 5}));
  EXPECT_EQ(table.class_names, (Names{"p", "q"}));
  EXPECT_EQ(cells(read("a,y\n5\" pipe,p\n6\" pipe,q\n"))[0], "5\" pipe") << "a quote inside a field is text";
}

TEST(Table, LineEndsByteOrderMarkAndBlankLinesDoNotMatter) {
  const Table plain = read("a,y\n1,p\n2,q\n");
  for (const std::string text :
       {"a,y\r\n1,p\r\n2,q\r\n", "a,y\r1,p\r2,q", "\xef\xbb\xbf\na,y\n\n1,p\n \n2,q\n\n", " a , y\n1\t,p\n 2,q "}) {
    const Table table = read(text);
    EXPECT_EQ(column_names(table), column_names(plain)) << text;
    EXPECT_EQ(cells(table), cells(plain)) << text;
    EXPECT_EQ(table.labels, plain.labels) << text;
  }
}

TEST(Table, TheDelimiterIsSeenInTheHeader) {
  for (const char delimiter : {',', ';', '\t', '|'}) {
    std::string text = "a_\"b,c;d\"_x_y\n1_2_3_p\n3_4_5_q\n";
    std::ranges::replace(text, '_', delimiter);
    EXPECT_EQ(column_names(read(text)), (Names{"a", "b,c;d", "x"})) << delimiter;
  }
  EXPECT_EQ(column_names(read("a:b:y\n1:2:p\n3:4:q\n", {.label = "y", .delimiter = ':'})), (Names{"a", "b"}));
}

TEST(Table, AColumnIsNumericWhenEveryCellThatIsThereIsANumber) {
  const Table table = read("a,b,c,d,y\n1,-.5e3,x,NA,p\nNA,?,7,NaN,q\n nan ,null,x,,q\n+3,Null,8,?,p\n,1e-400,x,na,p\n");
  EXPECT_EQ(kinds(table),
            (std::vector{ColumnKind::numeric, ColumnKind::numeric, ColumnKind::categorical, ColumnKind::numeric}));
}

TEST(Table, MoreNumbersThanTextIsAnErrorThatNamesTheText) {
  expect_data_error("age,y\n31,p\n\n40,q\nold,q\n",
                    {"'t.csv' line 5", "column 'age' is 'old'", "2 of its 3", "&categorical=age", "leave it empty"});
  expect_data_error("age,y\n31,p\n40,q\ninf,q\n", {"'inf'"});
  expect_data_error("age,y\n31,p\n40,q\n1e999,q\n", {"'1e999'"});
  EXPECT_EQ(kinds(read("age,y\n31,p\n40,q\nold,q\n", {.label = "y", .categorical = {"age"}}))[0],
            ColumnKind::categorical);
  EXPECT_EQ(kinds(read("cabin,y\n31,p\nB4,q\n"))[0], ColumnKind::categorical);
}

/// A table whose column `a` repeats these values in 20 rows.
Table column_of(const Names& cells, CsvOptions options = {.label = "y"}) {
  std::string text = "a;b;y\n";
  for (std::size_t i = 0; i < 20; ++i)
    text += fmt::format("\"{}\";{};{}\n", cells[i % cells.size()], i % 3, i % 2 == 0 ? "p" : "q");
  return read(text, options);
}

double number_of(const Table& table, std::int64_t row) {
  return detail::number_in(table.cell(row, 0), table.columns[0].number).value();
}

TEST(Table, DecimalCommasAreRead) {
  const Table table = column_of({"3,5", "7", "-0,25", "1e3"});
  EXPECT_EQ(table.columns[0].kind, ColumnKind::numeric);
  EXPECT_EQ(number_of(table, 0), 3.5);
  EXPECT_EQ(number_of(table, 2), -0.25);
  EXPECT_EQ(kinds(read("a;y\n3,5;p\nx;q\n"))[0], ColumnKind::categorical);
}

TEST(Table, ThousandsCurrenciesUnitsAndSignsAreRead) {
  const auto second = [](const Names& cells) {
    const Table table = column_of(cells);
    EXPECT_EQ(table.columns[0].kind, ColumnKind::numeric) << cells[1];
    return number_of(table, 1);
  };
  EXPECT_EQ(second({"$999.50", "$2,429"}), 2429);
  EXPECT_EQ(second({"1.234,50", "7.589,00"}), 7589);
  EXPECT_EQ(second({"1,234,567.5", "345"}), 345);
  EXPECT_EQ(second({"345", "5\u202f170"}), 5170);
  EXPECT_EQ(second({"345", "5\u00a0170"}), 5170);
  EXPECT_EQ(second({"345", "1'234'567"}), 1234567);
  EXPECT_EQ(second({"8%", "12 %"}), 12);
  EXPECT_EQ(second({"6 kg", "-7.5 kg"}), -7.5);
  EXPECT_EQ(second({"1 day", "2 days"}), 2);
  EXPECT_EQ(second({"5", "(1,234.5)"}), -1234.5);
  EXPECT_EQ(second({"5", "\u22123"}), -3);
  EXPECT_EQ(second({"12 \u20ac", "3,50 \u20ac"}), 3.5);
}

TEST(Table, ACommaThatMayBeEitherIsDecidedByTheFileOrRefused) {
  EXPECT_EQ(number_of(read("a,b,y\n\"1,105\",0.5,p\n345,0.5,q\n"), 0), 1105);
  EXPECT_EQ(number_of(read("a;b;y\n1,105;0,5;p\n345;0,5;q\n"), 0), 1.105) << "b has decimal commas";
  EXPECT_EQ(number_of(read("a;b;y\n1.105;0,5;p\n345;0,5;q\n"), 0), 1105);
  EXPECT_EQ(number_of(read("a,y\n1.105,p\n345,q\n"), 0), 1.105);
  expect_data_error("a;y\n1,105;p\n345;q\n", {"line 2", "'1,105'", "&decimal=,", "&decimal=."});
  EXPECT_EQ(number_of(read("a;y\n1,105;p\n345;q\n", {.label = "y", .decimal = '.'}), 0), 1105);
  EXPECT_EQ(number_of(read("a;y\n1,105;p\n345;q\n", {.label = "y", .decimal = ','}), 0), 1.105);
}

TEST(Table, AUnitThatIsNotThroughoutTheColumnIsAnError) {
  EXPECT_EQ(column_of({"12a", "12b", "12a", "13a"}).columns[0].kind, ColumnKind::categorical);
  expect_data_error("a,y\n$5,p\n$6,q\n7,p\n", {"line 4", "'7'", "2 of its 3", "numbers in $"});
}

TEST(Table, DatesAreReadInTheOrderThatTheColumnTells) {
  const auto order = [](const Names& cells) {
    const Table table = column_of(cells);
    EXPECT_EQ(table.columns[0].kind, ColumnKind::date) << cells[0];
    return table.columns[0].order;
  };
  EXPECT_EQ(order({"2021-03-15", "2020-02-29"}), DateOrder::ymd);
  EXPECT_EQ(order({"2021-03-15T08:15:00Z", "2021-03-15 08:15:00.25+01:00"}), DateOrder::ymd);
  EXPECT_EQ(order({"20210315", "19991231"}), DateOrder::ymd);
  EXPECT_EQ(order({"05.03.2021", "1.2.2020"}), DateOrder::dmy);
  EXPECT_EQ(order({"05/03/2021", "15/03/2021"}), DateOrder::dmy);
  EXPECT_EQ(order({"05/03/2021", "03/15/2021 3:15 PM"}), DateOrder::mdy);
  EXPECT_EQ(order({"15 Mar 2021", "3-Oct-19"}), DateOrder::dmy);
  EXPECT_EQ(order({"March 15, 2021", "Oct 3, 2019"}), DateOrder::mdy);
  EXPECT_EQ(order({"08:15", "23:59:59"}), DateOrder::clock);
  EXPECT_EQ(order({"2021-W05", "2020-W53-7"}), DateOrder::ymd);
  EXPECT_EQ(order({"2021-Q1", "2020Q4", "Q2 2019"}), DateOrder::ymd);
  EXPECT_EQ(order({"36:15:00", "8:00:30"}), DateOrder::clock) << "durations";
  EXPECT_EQ(column_of({"2021-13-01", "2021-02-30"}).columns[0].kind, ColumnKind::categorical);
  EXPECT_EQ(column_of({"140/90", "120/80"}).columns[0].kind, ColumnKind::categorical);
  expect_error(ErrorKind::data, {"'03/04/2021'", "&dates=dmy", "&dates=mdy"}, [] { column_of({"03/04/2021"}); });
  EXPECT_EQ(column_of({"03/04/2021"}, {.label = "y", .dates = DateOrder::mdy}).columns[0].order, DateOrder::mdy);
  Names slip(19, "2021-03-15");
  slip.push_back("soon");
  expect_error(ErrorKind::data, {"line 21", "'soon'", "19 of its 20", "dates"}, [&] { column_of(slip); });
}

TEST(Table, RowNumbersAndIdentifiersAreLeftOutUnlessTheyAreKept) {
  std::string text = ",PassengerId,uuid,x,y\n";
  for (int i = 0; i < 30; ++i)
    text += fmt::format("{},{},u{}-{},{},{}\n", i, (i * 7919) % 1000, i, i * i, 0.25 * i, i % 2 == 0 ? "p" : "q");
  const Table table = read(text);
  EXPECT_EQ(column_names(table), (Names{"column 1", "PassengerId", "uuid", "x"}));
  EXPECT_EQ(table.columns[0].left_out, "counts up row by row");
  EXPECT_FALSE(table.columns[1].left_out.empty());
  EXPECT_FALSE(table.columns[2].left_out.empty());
  EXPECT_TRUE(table.columns[3].left_out.empty()) << "real numbers differ in every row";
  EXPECT_TRUE(read(text, {.label = "y", .keep = {"column 1"}}).columns[0].left_out.empty());
  const std::vector<ColumnSummary> summaries = summarise(table);
  EXPECT_EQ(summaries[0].kind, "label");
  EXPECT_NE(summaries[1].treatment.find("&keep=column 1"), std::string::npos) << summaries[1].treatment;
  EXPECT_EQ(summaries[4].values, "0 to 7.25");
}

TEST(Table, BlankLinesAreMissingCellsInAFileOfOneColumnAndElsewhereCounted) {
  const Table table = read("a,y\n\n1,p\n\n2,q\n");
  EXPECT_EQ(table.notes, Names{"'t.csv': 2 blank lines were skipped"});
  EXPECT_EQ(table.lines, (Labels{3, 5}));
  const TableEncoding encoding = learn_encoding(table, Labels{0, 1});
  EXPECT_EQ(read_unlabelled_csv("a\n0.01\n\n2.98\n\n0.05\n3.1\n", "n.csv", '\0', encoding).size(), 6);
  EXPECT_EQ(read_unlabelled_csv("a\r\r\n0.01\r\r\n2.98\r\r\n", "n.csv", '\0', encoding).size(), 2);
  EXPECT_EQ(read_unlabelled_csv("a\n\"\"\n1\n\"\"\n3\n", "n.csv", '\0', encoding).size(), 4);
}

TEST(Table, CommentsAndExcelsSeparatorLineAreUnderstood) {
  const Table table = read("# exported 2024-01-01\n# by tool\na,y\n1,p\n2,q\n");
  EXPECT_EQ(column_names(table), Names{"a"});
  EXPECT_EQ(table.notes, Names{"'t.csv': 2 comment lines were skipped"});
  EXPECT_EQ(table.lines, (Labels{4, 5}));
  EXPECT_EQ(column_names(read("#a,y\n1,p\n2,q\n")), Names{"#a"}) << "a header";
  EXPECT_EQ(column_names(read("sep=;\na,b;y\n1;p\n2;q\n")), Names{"a,b"});
}

TEST(Table, OtherKindsOfFileAreNamedByTheirFirstBytes) {
  using namespace std::string_literals;
  for (const auto& [bytes, name] :
       {std::pair{"PK\x03\x04....xl/workbook.xml"s, "Excel workbook"}, std::pair{"PK\x03\x04....t.csv"s, "zip archive"},
        std::pair{"PAR1\x15\x04\0PAR1"s, "Parquet"}, std::pair{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"s, ".xls"},
        std::pair{"\x80\x04\x95 x"s, "pickle"}, std::pair{"SQLite format 3\0..."s, "SQLite"},
        std::pair{"\n <!DOCTYPE html><p>"s, "web page"}, std::pair{"[{\"a\": 1}]"s, "JSON"},
        std::pair{"BZh91AY&SY\0\x01"s, "bzip2"}, std::pair{"a\0,\0y\0\n\0"s, "UTF-16 without its byte order mark"}})
    expect_data_error(bytes, {"'t.csv'", name});
  EXPECT_EQ(read("\xff\xfe"s + "a\0,\0y\0\n\0"
                               "1\0,\0p\0\n\0"
                               "2\0,\0\xfc\0"s)
                .class_names,
            (Names{"p", "\u00fc"}));
}

TEST(Table, WhiteSpaceAloneMayStandBetweenColumns) {
  for (const std::string text : {"# by hand\na b  y\n1 2   p\n 3\t4 q \n", "a b y\n1 2 \"p\"\n3 4 q"}) {
    const Table table = read(text);
    EXPECT_EQ(column_names(table), (Names{"a", "b"})) << text;
    EXPECT_EQ(cells(table), (Names{"1", "2", "3", "4"})) << text;
    EXPECT_EQ(table.class_names, (Names{"p", "q"})) << text;
  }
  EXPECT_EQ(column_names(read("the a;y\n1;p\n2;q\n")), (Names{"the a"})) << "a delimiter comes first";
  EXPECT_EQ(cells(read("a  y\n1 p\n2 q\n", {.label = "y", .delimiter = ' '})), (Names{"1", "2"}));
  expect_data_error("a b y\n1 2 p\n3 q\n", {"line 3", "2 fields", "expected 3", "delimiter space"});
  expect_data_error("a b y\n1 2 \"p\"x\n3 4 q\n", {"line 2", "after the closing quote"});
  const TableEncoding one{.class_names = {"p", "q"},
                          .columns = {{.name = "car name", .kind = ColumnKind::categorical, .levels = {"red car"}}}};
  const Table words = read_unlabelled_csv("car name\nred car\nblue car\n", "new.csv", '\0', one);
  EXPECT_EQ(cells(words), (Names{"red car", "blue car"})) << "a column of words that was trained on";
}

TEST(Table, TheSummaryShowsWhatIsSpecialInTheNumbers) {
  const auto treatment = [](const std::string& cells) {
    return summarise(read("a;y\n" + cells, {.label = "y"}))[1].treatment;
  };
  EXPECT_EQ(treatment("(3);p\n5;q\n7-;p\n1;q\n"),
            "read as numbers with signs or parentheses ('7-' is -7), standardised");
  EXPECT_EQ(treatment("1'200;p\n5;q\n"), "read as numbers with thousands in groups ('1'200' is 1200), standardised");
  EXPECT_EQ(treatment("3;p\n5;q\n"), "standardised");
}

TEST(Table, ARowNameWithoutATitleIsExplained) {
  expect_data_error("a,b,y\nr1,1,2,p\nr2,3,4,q\n", {"line 2", "4 fields", "expected 3", "put a title first"});
}

TEST(Table, AColumnThatIsMostlyDatesIsNoCategory) {
  std::string text = "when,y\n";
  for (int i = 0; i < 20; ++i)
    text += (i % 4 == 3 ? "0000-00-00" : "2021-03-" + std::to_string(10 + i)) + (i % 2 == 0 ? ",p\n" : ",q\n");
  expect_data_error(text, {"line 5", "'0000-00-00'", "15 of its 20 values are dates"});
}

TEST(Table, NumbersInUnitsThatDifferAreNoNames) {
  std::string text = "size,y\n", codes = "code,y\n";
  for (int i = 0; i < 20; ++i) {
    const std::string end = i % 2 == 0 ? ",p\n" : ",q\n", number = std::to_string(10 + i);
    text += number + (i % 2 == 0 ? "K" : "M") + end;
    codes += number + static_cast<char>('A' + i) + static_cast<char>('Z' - i) + end;
  }
  expect_data_error(text, {"column 'size'", "'11M'", "in several units", "&drop=size"});
  expect_data_error(codes, {"no column to learn from", "'code' has another text in every row"});
}

TEST(Table, GzipIsReadUpToALimit) {
  const auto unpack = [](const std::string& bytes) { return detail::decompressed(bytes, "t.gz", 1000); };
  EXPECT_EQ(unpack("plain"), "plain");
  EXPECT_EQ(unpack(packed("a,y\n1,p\n") + packed("2,q\n")), "a,y\n1,p\n2,q\n") << "members one after the other";
  EXPECT_EQ(unpack(packed(std::string(1000, 'x'))).size(), 1000u);
  expect_error(ErrorKind::data, {"'t.gz'", "more than 1000 bytes", "ULMUS_TEXT_LIMIT"},
               [&] { unpack(packed(std::string(100'000, 'x'))); });
  expect_error(ErrorKind::data, {"damaged gzip", "ends early"}, [&] { unpack(packed("a,y\n1,p\n").substr(0, 20)); });
  expect_error(ErrorKind::data, {"damaged gzip", "after its end"}, [&] { unpack(packed("a,y\n") + "x"); });
}

TEST(Table, ClassesAreInNumericalOrderWhenAllAreWholeNumbers) {
  EXPECT_EQ(read("a,y\n1,10\n1,9\n1,-1\n1,10\n").class_names, (Names{"-1", "9", "10"}));
  EXPECT_EQ(read("a,y\n1,10\n1,9\n1,x\n").class_names, (Names{"10", "9", "x"}));
  EXPECT_EQ(read("a,y\n1,10.5\n1,9\n1,2e1\n").class_names, (Names{"9", "10.5", "2e1"}));
}

TEST(Table, MissingMarksAreNoLabels) {
  for (const std::string mark : {"NA", "nan", "NULL", "?", "None", "N/A", "#N/A", "-", "<NA>", "NaT"})
    expect_data_error("a,y\n1,p\n2," + mark + "\n3,q\n4," + mark + "\n",
                      {"line 3", "'" + mark + "'", "column 'y'", "first of 2", "literal=" + mark});
  expect_data_error("a,y\n1,p\n2,\" \"\n3,q\n", {"line 3", "no label", "column 'y'"});
  EXPECT_EQ(read("a,y\n1,b\n1,NA\n1,B\n", {.label = "y", .literal = {"NA"}}).class_names, (Names{"B", "NA", "b"}));
}

TEST(Table, EqualNumbersAreOneClassWhereAllLabelsAreNumbers) {
  EXPECT_EQ(read("a,y\n1,1.0\n1,2\n1,1\n1,02\n").class_names, (Names{"1", "2"}));
  EXPECT_EQ(read("a,y\n1,1.0\n1,2\n1,1\n1,02\n").labels, (Labels{0, 1, 0, 1}));
  EXPECT_EQ(read("a,y\n1,01\n1,02\n").class_names, (Names{"01", "02"})) << "one spelling each is kept";
  EXPECT_EQ(read("a,y\n1,9007199254740993\n1,9007199254740992\n").class_names.size(), 2u) << "exact";
  const Table floats = read("a,y\n1,1.0\n1,2.0\n");
  EXPECT_EQ(floats.class_names, (Names{"1", "2"}));
  EXPECT_EQ(read_test_csv("a,y\n1,2\n1,1\n", "u.csv", {.label = "y"}, floats).labels, (Labels{1, 0}));
  expect_data_error("a,y\n1,1.0\n1,1\n1,cat\n", {"line 3", "'1'", "line 2", "'1.0'", "look alike"});
}

TEST(Table, LabelsThatLookAlikeAreOneClassOrAnErrorWithThePair) {
  EXPECT_EQ(read("a,y\n1,TRUE\n1,True\n1,FALSE\n").class_names, (Names{"false", "true"}));
  EXPECT_EQ(read("a,y\n1,\"ill \"\n1,ill\n1,\"\xc2\xa0well\"\n").class_names, (Names{"ill", "well"}));
  EXPECT_EQ(read("a,y\n1,caf\xc3\xa9\n1,cafe\xcc\x81\n1,bar\n").class_names, (Names{"bar", "caf\xc3\xa9"}));
  const std::string text = "a,y\n1,Yes\n1,no\n1,yes\n";
  expect_data_error(text, {"line 4", "'yes'", "line 2", "'Yes'", "look alike", "literal=yes"});
  EXPECT_EQ(read(text, {.label = "y", .literal = {"yes"}}).class_names, (Names{"Yes", "no", "yes"}));
  EXPECT_EQ(read("a,y\n1,a\n1,A\n").class_names, (Names{"A", "a"})) << "letters differ by their case";
}

TEST(Table, AQuantityIsNoLabel) {
  std::string text = "a,y\n";
  for (int i = 0; i < 120; ++i) text += std::to_string(i % 7) + "," + std::to_string(0.37 * i - 5) + "\n";
  expect_data_error(text, {"t.csv", "column 'y'", "120 different numbers in 120 samples", "quantity", "label="});
  std::string names = "a,y\n";
  for (int i = 0; i < 40; ++i) names += "1,p" + std::to_string(i) + "\n";
  expect_data_error(names, {"40 different texts in 40 samples", "name the samples"});
  std::string stars = "a,y\n";
  for (int i = 0; i < 40; ++i) stars += "1," + std::to_string(0.5 * (i % 10)) + "\n";
  EXPECT_EQ(read(stars).class_names.size(), 10u) << "ratings are classes";
}

TEST(Table, ClassesOfARunAreFoundByName) {
  const Table table = read("a,y\n1,2\n1,10\n", {.label = "y", .classes = {"1.0", "10.0", "2.0"}});
  EXPECT_EQ(table.class_names, (Names{"1.0", "10.0", "2.0"}));
  EXPECT_EQ(table.labels, (Labels{2, 1}));
  expect_error(ErrorKind::data, {"line 3", "'dgo'", "which the run lacks", "did you mean 'dog'?"}, [] {
    read("a,y\n1,cat\n1,dgo\n", {.label = "y", .classes = {"cat", "dog", "emu"}});
  });
}

TEST(Table, DropsColumns) {
  EXPECT_EQ(column_names(read("id,a,y\nx,1,p\ny,2,q\n", {.label = "y", .drop = {"id"}})), Names{"a"});
}

TEST(Table, NamesAColumnThatIsNotThereWithTheNearest) {
  const std::string text = "alpha,beta,kind\n1,2,p\n3,4,q\n";
  const auto expect_usage_error = [&](const CsvOptions& options, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::usage, parts, [&] { read(text, options); });
  };
  expect_usage_error({.label = "knd"}, {"no column 'knd' (label)", "did you mean 'kind'?"});
  expect_usage_error({.label = "zzzzzz"}, {"its columns are alpha, beta, kind"});
  expect_usage_error({}, {"?label=COLUMN", "alpha, beta, kind"});
  expect_usage_error({.label = "kind", .drop = {"alpa"}}, {"no column 'alpa' (drop)", "did you mean 'alpha'?"});
  expect_usage_error({.label = "kind", .categorical = {"bet"}}, {"(categorical)", "did you mean 'beta'?"});
  expect_usage_error({.label = "kind", .drop = {"kind"}}, {"'kind' is the label"});
  expect_usage_error({.label = "kind", .categorical = {"kind"}}, {"it is the label"});
  expect_usage_error({.label = "kind", .drop = {"beta"}, .categorical = {"beta"}}, {"dropped"});
}

TEST(Table, ListsTheFirstOfManyColumns) {
  std::string text = "y";
  for (int i = 0; i < 30; ++i) text += ",c" + std::to_string(i);
  expect_error(ErrorKind::usage, {"y, c0", "c18 and 11 more"}, [&] { read(text + "\n", {}); });
}

TEST(Table, NamesARaggedRow) {
  expect_data_error("a,b,y\n1,2,p\n1,q\n", {"'t.csv' line 3", "2 fields, expected 3", "delimiter ,"});
  expect_data_error("a,b,y\n\"1\n\n\",2,p\n1,2,3,q\n", {"line 5", "4 fields, expected 3"});
}

TEST(Table, NamesAFaultyHeader) {
  expect_data_error("", {"'t.csv' is empty", "header"});
  expect_data_error("\n\n", {"is empty"});
  expect_data_error("1,2,0\n3,4,1\n", {"line 1", "numbers alone", "header line"});
  expect_error(ErrorKind::usage, {"4 of the 5 names", "header line is probably missing"},
               [] { read("5.1,3.5,1.4,0.2,setosa\n4.9,3,1.4,0.2,setosa\n"); });
  expect_data_error("a,b,a,y\n1,2,3,p\n", {"'a' twice"});
  expect_data_error("y\np\nq\n", {"no column to learn from", "&delimiter="});
  expect_data_error("a,y\n", {"no row"});
}

TEST(Table, NamesAFaultyLabel) {
  expect_data_error("a,y\n1,p\n2,\n", {"line 3", "no label", "'y'"});
  expect_data_error("a,y\n1,p\n2,p\n", {"one class, 'p'", "?label="});
}

TEST(Table, NamesAFaultyQuote) {
  expect_data_error("a,y\n1,p\n\"2,q\n3,q\n", {"line 3", "without its closing quote"});
  expect_data_error("a,y\n\"1\"x,p\n", {"line 2", "after the closing quote", "'x,p"});
}

TEST(Table, NamesTextThatIsNotUtf8) {
  expect_data_error("a,y\n1,p\n2,caf\xe9\n", {"line 3", "not UTF-8", "e9"});
  expect_data_error("a\xff\xfe,y\n", {"line 1", "not UTF-8", "ff"});
}

TEST(Table, ATestPartIsReadLikeItsTrainingPart) {
  const Table training = read("a,b,y\n1,x,p\n2,z,q\n3,z,r\n");
  const auto test = [&](std::string_view text, const CsvOptions& options = {.label = "y"}) {
    return read_test_csv(text, "test.csv", options, training);
  };
  const Table table = test("y;b;a\nr;7;4\n");
  EXPECT_EQ(cells(table), (Names{"4", "7"})) << "columns are found by name";
  EXPECT_EQ(kinds(table), kinds(training));
  EXPECT_EQ(table.class_names, training.class_names);
  EXPECT_EQ(table.labels, Labels{2}) << "a class without test rows is fine";

  const auto expect_test_error = [&](std::string_view text, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::data, parts, [&] { test(text); });
  };
  expect_test_error("a,b,y\n1,x,p\n1,x,s\n", {"'test.csv' line 3", "label 's'", "training part lacks"});
  expect_test_error("a,b,y\n1,x,p\nten,x,p\n", {"line 3", "'ten'", "numeric in the training part", "&categorical=a"});
  expect_test_error("a,y\n1,p\n", {"no column 'b'", "t.csv"});
  expect_test_error("a,y2,b\n1,p,x\n", {"no column 'y'"});
  expect_test_error("a,b,c,y\n1,x,1,p\n", {"column 'c'", "training part 't.csv' lacks", "&drop=c"});
  EXPECT_EQ(test("a,b,c,y\n1,x,1,p\n", {.label = "y", .drop = {"c"}}).size(), 1);
}

TEST(Table, Sha256IsOfTheContentAndHowItIsRead) {
  const std::string text = "a,b,y\n1,1,p\n2,2,q\n";
  const std::string sha = read(text).sha256;
  EXPECT_EQ(read_csv(text, "elsewhere.csv", {.label = "y"}).sha256, sha);
  EXPECT_NE(read("a,b,y\n1,1,p\n2,3,q\n").sha256, sha);
  EXPECT_NE(read(text, {.label = "b"}).sha256, sha);
  EXPECT_NE(read(text, {.label = "y", .drop = {"a"}}).sha256, sha);
  EXPECT_NE(read(text, {.label = "y", .categorical = {"a"}}).sha256, sha);
}

class Csv : public ::testing::Test {
 protected:
  std::string put(const std::string& name, const std::string& text) const {
    write_file(folder_.path() / name, text);
    return (folder_.path() / name).string();
  }

  TemporaryFolder folder_;
};

TEST_F(Csv, OpeningGivesLabelsBeforeTheEncodingIsLearnt) {
  const std::string train = put("train.csv", "a,kind\n1,p\n2,q\n3,q\n");
  const std::string test = put("test.csv", "a,kind\n9,q\n");
  const std::string address = "csv:" + train + "?label=kind&test=" + test;
  OpenedData data = open_data(address);
  EXPECT_EQ(data.train.name(), address);
  EXPECT_EQ(data.train.counts(), (Labels{1, 2}));
  EXPECT_TRUE(data.train.is_features());
  ASSERT_TRUE(data.test);
  EXPECT_EQ(data.test->counts(), (Labels{0, 1}));
  std::vector<float> row(1);
  expect_error(ErrorKind::usage, {train, "encode_tables"}, [&] { data.train.read_features(0, row); });

  const Split split = make_split(data, {});
  const TableEncoding encoding = encode_tables(data, split.train);
  EXPECT_EQ(data.train_table, nullptr);
  EXPECT_EQ(data.test_table, nullptr);
  EXPECT_EQ(data.train.name(), address);
  EXPECT_EQ(data.train.sha256(), split.data_sha256);
  EXPECT_EQ(data.test->sha256(), split.test_sha256);
  EXPECT_EQ(data.train.shape(), (ImageShape{1, 1, 1}));
  data.train.read_features(1, row);
  EXPECT_EQ(row[0], 0) << "2 is the mean";
  data.test->read_features(0, row);
  EXPECT_NEAR(row[0], 7 / std::sqrt(2. / 3), 1e-6);
  expect_error(ErrorKind::usage, {"no table"}, [&] { encode_tables(data, encoding); });
  expect_error(ErrorKind::usage, {"no table"}, [&] { encode_tables(data, split.train); });
}

TEST_F(Csv, WithoutLabelsHasTheTrainedColumnsWhereverTheyAre) {
  const std::string address = "csv:" + put("train.csv", "a;b;y\n1;u;p\n2;v;q\n3;u;q\n4;v;p\n") + "?label=y&delimiter=;";
  OpenedData data = open_data(address);
  const std::vector<std::int64_t> all = {0, 1, 2, 3};
  const TableEncoding encoding = encode_tables(data, all);
  const Dataset rows = open_unlabelled(put("new.csv", "id;b;a;y\nn,1;v;2;\nn,2;u;;what\n"), address, &encoding);
  ASSERT_EQ(rows.size(), 2);
  EXPECT_EQ(rows.shape(), data.train.shape());
  std::vector<float> expected(3), row(3);
  data.train.read_features(1, expected);
  rows.read_features(0, row);
  EXPECT_EQ(row, expected);
  rows.read_features(1, row);
  EXPECT_EQ(row, (std::vector<float>{0, 1, 0})) << "the median, which is the mean here, and the level u";

  const auto open = [&](const std::string& text) {
    return [&, text] { open_unlabelled(put("new.csv", text), address, &encoding); };
  };
  expect_error(ErrorKind::data, {"new.csv", "line 1", "no column 'a'", "trained on"}, open("b;y\nu;p\n"));
  expect_error(ErrorKind::data, {"new.csv", "line 3", "'a' is 'x'", "numeric"}, open("a;b\n1;u\nx;u\n"));
  expect_error(ErrorKind::data, {"new.csv", "line 2", "1 fields", "expected 2"}, open("a;b\n1\n"));
  expect_error(ErrorKind::data, {"new.csv", "no row"}, open("a;b\n"));
}

TEST_F(Csv, TakesItsKeysFromTheAddress) {
  const std::string train = put("train.csv", "id:a:R&D\n1:7:p\n2:8:q\n");
  const OpenedData data = open_data("csv:" + train + "?label=R%26D&delimiter=:&drop=id&categorical=a");
  ASSERT_EQ(data.train_table->columns.size(), 1u);
  EXPECT_EQ(data.train_table->columns[0].name, "a");
  EXPECT_EQ(data.train_table->columns[0].kind, ColumnKind::categorical);
  const std::string tabs = put("tabs.csv", "a,b\ty\n1\tp\n2\tq\n");
  EXPECT_EQ(open_data("csv:" + tabs + "?label=y&delimiter=tab").train_table->columns[0].name, "a,b");
}

TEST_F(Csv, RefusesWhatCannotApply) {
  const std::string train = put("train.csv", "a,y\n1,p\n2,q\n");
  const auto open = [&](const std::string& keys, const OpenOptions& options = {}) {
    return [=] { open_data("csv:" + train + "?" + keys, options); };
  };
  expect_error(ErrorKind::usage, {"delimiter is 'ab'", "one character"}, open("label=y&delimiter=ab"));
  expect_error(ErrorKind::usage, {"delimiter"}, open("label=y&delimiter=\""));
  expect_error(ErrorKind::usage, {"image_size", "csv:FILE"}, open("label=y", {.image_size = 3}));
  expect_error(ErrorKind::usage, {"skip_bad", "csv:FILE"}, open("label=y", {.skip_bad = true}));
  expect_error(ErrorKind::data, {"/nonexistent.csv", "cannot read"}, [] { open_data("csv:/nonexistent.csv?label=y"); });
  expect_error(ErrorKind::data, {"/nonexistent.csv", "cannot read"}, open("label=y&test=/nonexistent.csv"));
}

}  // namespace
}  // namespace ulmus
