#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "data/cells.hpp"
#include "data/support.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus {
namespace {

using test::expect_error;
using Labels = std::vector<std::int64_t>;
using Names = std::vector<std::string>;
using Rows = std::vector<std::int64_t>;

/// A table with one column `a` and alternating labels p and q.
Table column(const Names& cells, const CsvOptions& options = {.label = "y"}) {
  std::string text = "a,y\n";
  for (std::size_t i = 0; i < cells.size(); ++i) text += cells[i] + (i % 2 == 0 ? ",p\n" : ",q\n");
  return read_csv(text, "t.csv", options);
}

Rows all_of(const Table& table) {
  Rows rows(static_cast<std::size_t>(table.size()));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

std::vector<float> row_of(const Dataset& data, std::int64_t index) {
  std::vector<float> row(static_cast<std::size_t>(data.shape().channels));
  data.read_features(index, row);
  return row;
}

TEST(Encoding, StandardisesANumericColumn) {
  const Table table = column({"1", "2", "3", "6"});
  const TableEncoding encoding = learn_encoding(table, all_of(table));
  const ColumnEncoding& a = encoding.columns[0];
  EXPECT_EQ(a.mean, 3);
  EXPECT_EQ(a.median, 2.5);
  EXPECT_DOUBLE_EQ(a.stddev, std::sqrt(14. / 4));
  EXPECT_FALSE(a.missing);
  const Dataset data = encode(table, encoding);
  EXPECT_EQ(data.shape(), (ImageShape{1, 1, 1}));
  EXPECT_TRUE(data.is_features());
  EXPECT_EQ(data.labels(), table.labels);
  EXPECT_EQ(data.sha256(), table.sha256);
  EXPECT_FLOAT_EQ(row_of(data, 0)[0], static_cast<float>(-2 / std::sqrt(3.5)));
  EXPECT_FLOAT_EQ(row_of(data, 3)[0], static_cast<float>(3 / std::sqrt(3.5)));
}

TEST(Encoding, AMissingNumberIsTheTrainingMedianAndMarked) {
  const Table table = column({"1", "NA", "2", "9"});
  const TableEncoding encoding = learn_encoding(table, all_of(table));
  EXPECT_EQ(encoding.columns[0].median, 2);
  EXPECT_EQ(encoding.columns[0].mean, 3.5) << "of 1, 2, 2, 9";
  EXPECT_DOUBLE_EQ(encoding.columns[0].stddev, std::sqrt((6.25 + 2.25 + 2.25 + 30.25) / 4));
  EXPECT_EQ(encoding.feature_names(), (Names{"a", "a (missing)"}));
  const Dataset data = encode(table, encoding);
  EXPECT_EQ(row_of(data, 0)[1], 0);
  EXPECT_EQ(row_of(data, 1)[1], 1);
  EXPECT_EQ(row_of(data, 1)[0], row_of(data, 2)[0]);
}

TEST(Encoding, AConstantColumnIsZeroWhateverComesLater) {
  const Table table = column({"0.1", "0.1", "0.1", "7"});
  const TableEncoding encoding = learn_encoding(table, Rows{0, 1, 2});
  EXPECT_EQ(encoding.columns[0].stddev, 0);
  EXPECT_EQ(row_of(encode(table, encoding), 0)[0], 0);
  EXPECT_EQ(row_of(encode(table, encoding), 3)[0], 0);
  const Table empty = column({"", "NA", "?", ""});
  const TableEncoding nothing = learn_encoding(empty, all_of(empty));
  EXPECT_EQ(row_of(encode(empty, nothing), 1), (std::vector<float>{0, 1}));
}

TEST(Encoding, IsLearntFromTheTrainingRowsAlone) {
  const Table table = column({"1", "3", "5", "1000", "NA"});
  const Table other = column({"1", "3", "5", "-7", "NA"});
  const Rows rows{0, 1, 2};
  EXPECT_EQ(learn_encoding(table, rows), learn_encoding(other, rows));
  EXPECT_NE(learn_encoding(table, all_of(table)), learn_encoding(table, rows));

  const Table words = column({"x", "x", "z", "z", "new", "NA"});
  const TableEncoding encoding = learn_encoding(words, Rows{0, 1, 2, 3});
  EXPECT_EQ(encoding.columns[0].levels, (Names{"x", "z"}));
  EXPECT_FALSE(encoding.columns[0].missing);
  const Dataset data = encode(words, encoding);
  EXPECT_EQ(row_of(data, 2), (std::vector<float>{0, 1}));
  EXPECT_EQ(row_of(data, 4), (std::vector<float>{0, 0})) << "a level that was in no training row";
  EXPECT_EQ(row_of(data, 5), (std::vector<float>{0, 0})) << "missing, which it never was in training";
}

TEST(Encoding, LevelsAreComparedAsLabelsAre) {
  const Table booleans = column({"TRUE", "True", "false", "FALSE"});
  const TableEncoding learnt = learn_encoding(booleans, all_of(booleans));
  EXPECT_EQ(learnt.columns[0].levels, (Names{"false", "true"}));
  EXPECT_EQ(summarise(booleans)[1].values, "2 levels");
  EXPECT_EQ(row_of(encode(booleans, learnt), 1), (std::vector<float>{0, 1}));

  const Table upper = column({"TRUE", "FALSE", "TRUE", "FALSE"}), other = column({"True", "false", "TRUE", "x"});
  const TableEncoding of_upper = learn_encoding(upper, all_of(upper));
  EXPECT_EQ(of_upper.columns[0].levels, (Names{"FALSE", "TRUE"})) << "as they are written where that is one way";
  EXPECT_EQ(row_of(encode(other, of_upper), 0), (std::vector<float>{0, 1}));
  EXPECT_EQ(row_of(encode(other, of_upper), 3), (std::vector<float>{0, 0}));

  const Table accents = column({"caf\u00e9", "cafe\u0301", "tea", "tea"});
  EXPECT_EQ(learn_encoding(accents, all_of(accents)).columns[0].levels, (Names{"caf\u00e9", "tea"}));

  const CsvOptions codes{.label = "y", .categorical = {"a"}};
  const Table whole = column({"1", "2", "1", "2"}, codes), floats = column({"2.0", "1.0"}, codes);
  EXPECT_EQ(row_of(encode(floats, learn_encoding(whole, all_of(whole))), 0), (std::vector<float>{0, 1}));
}

TEST(Encoding, PeriodsAreTheirFirstDay) {
  const Table table = column({"2021-W05", "2020-W53-7", "2021-Q2", "Q3 2021"});
  const auto day = [&](std::int64_t row) {
    return detail::moment_text(detail::moment_in(table.cell(row, 0), DateOrder::ymd)->days, DateOrder::ymd, false);
  };
  EXPECT_EQ(day(0), "2021-02-01");
  EXPECT_EQ(day(1), "2021-01-03");
  EXPECT_EQ(day(2), "2021-04-01");
  EXPECT_EQ(day(3), "2021-07-01");
  EXPECT_FALSE(detail::moment_in("2021-W54", DateOrder::ymd));
  EXPECT_FALSE(detail::moment_in("2021-Q5", DateOrder::ymd));
  EXPECT_FALSE(detail::moment_in("q 2021", DateOrder::ymd));
  EXPECT_EQ(detail::moment_text(detail::moment_in("36:15:01", DateOrder::clock)->days, DateOrder::clock, true),
            "36:15:01");
  EXPECT_FALSE(detail::moment_in("2021-01-01 36:15:00", DateOrder::ymd));
}

TEST(Encoding, RawValuesAreAsTheyAreAndMissingOnesNaN) {
  const Table table = read_csv(
      "n,k,d,y\n1e3,u,2021-03-01 06:00,p\n-2,v,2021-03-02 18:00,q\nNA,u,NA,p\n7,NA,2022-01-03 12:00,q\n0,v,2021-03-01 "
      "06:00,p\n5,w,2021-03-01 06:00,q\n",
      "t.csv", {.label = "y"});
  const TableEncoding encoding = learn_encoding(table, all_of(table), EncodingStyle::raw);
  EXPECT_EQ(encoding.feature_names(), (Names{"n", "k", "d", "d (year)", "d (month)", "d (weekday)", "d (clock)"}));
  EXPECT_EQ(encoding.feature_codes(), (std::vector<std::int64_t>{0, 3, 0, 0, 0, 0, 0})) << "u, v, and w with others";
  const Dataset data = encode(table, encoding);
  EXPECT_EQ(row_of(data, 0), (std::vector<float>{1000, 0, 18687.25F, 2021, 3, 0, 6}));
  EXPECT_EQ(row_of(data, 1)[1], 1);
  EXPECT_EQ(row_of(data, 5)[1], 2);
  const std::vector<float> missing = row_of(data, 2);
  EXPECT_TRUE(std::isnan(missing[0]));
  EXPECT_EQ(missing[1], 0);
  for (std::size_t i = 2; i < missing.size(); ++i) EXPECT_TRUE(std::isnan(missing[i])) << i;
  EXPECT_TRUE(std::isnan(row_of(data, 3)[1]));
  EXPECT_EQ(encoding_from_json(to_json(encoding)), encoding);
  const Table unseen = read_unlabelled_csv("n,k,d\n1,new,2021-03-01 06:00\n", "new.csv", '\0', encoding);
  EXPECT_TRUE(std::isnan(row_of(encode(unseen, encoding), 0)[1])) << "a level that training has not seen";
  EXPECT_EQ(summarise(table, EncodingStyle::raw)[1].treatment, "as it is");
}

TEST(Encoding, RawColumnsOfManyLevelsHaveACodeForEachOfTheMostFrequent) {
  Names cells;
  for (std::size_t i = 0; i < 2 * 10'000; ++i) cells.push_back("l" + std::to_string(i % 10'000));
  const Table table = column(cells);
  const TableEncoding encoding = learn_encoding(table, all_of(table), EncodingStyle::raw);
  EXPECT_EQ(encoding.features(), 1);
  EXPECT_EQ(encoding.feature_codes()[0], static_cast<std::int64_t>(k_max_raw_levels) + 1);
}

TEST(Encoding, RareLevelsShareAFeature) {
  const Table table = column({"b", "b", "c", "a", "d", "a", "NA"});
  const TableEncoding encoding = learn_encoding(table, all_of(table));
  EXPECT_EQ(encoding.columns[0].levels, (Names{"a", "b"}));
  EXPECT_EQ(encoding.columns[0].other, (Names{"c", "d"}));
  EXPECT_EQ(encoding.feature_names(), (Names{"a=a", "a=b", "a (other)", "a (missing)"}));
  EXPECT_EQ(encoding.features(), 4);
  const Dataset data = encode(table, encoding);
  EXPECT_EQ(row_of(data, 0), (std::vector<float>{0, 1, 0, 0}));
  EXPECT_EQ(row_of(data, 2), (std::vector<float>{0, 0, 1, 0}));
  EXPECT_EQ(row_of(data, 6), (std::vector<float>{0, 0, 0, 1}));
}

TEST(Encoding, TheMostFrequentLevelsHaveAFeatureOfTheirOwn) {
  Names cells;
  for (std::size_t i = 0; i < k_max_levels + 3; ++i)
    for (int repeat = 0; repeat < (i == 1 ? 2 : 3); ++repeat) cells.push_back("l" + std::to_string(1000 + i));
  const Table table = column(cells);
  const TableEncoding encoding = learn_encoding(table, all_of(table));
  EXPECT_EQ(encoding.columns[0].levels.size(), k_max_levels);
  EXPECT_EQ(encoding.columns[0].other, (Names{"l1001", "l1101", "l1102"}));
}

TEST(Encoding, AColumnThatNamesRowsIsAnError) {
  const Table table = column({"ann", "bob", "cid", "dan"});
  expect_error(ErrorKind::data, {"column 'a'", "4 different values in 4 training rows", "&drop=a"},
               [&] { learn_encoding(table, all_of(table)); });
}

TEST(Encoding, AnErrorIsOneLineWhateverTheColumnIsCalled) {
  const Table table = read_csv("\"a\n&b\",y\nu,p\nv,q\n", "t.csv", {.label = "y"});
  expect_error(ErrorKind::data, {R"(column 'a\x0a&b')", R"(&drop=a\x0a%26b)"},
               [&] { learn_encoding(table, all_of(table)); });
}

TEST(Encoding, ColumnsFollowOneAnother) {
  const Table table = read_csv("n,k,m,y\n1,u,5,p\n3,v,NA,q\n1,u,5,p\n3,v,7,q\n", "t.csv", {.label = "y"});
  const TableEncoding encoding = learn_encoding(table, all_of(table));
  EXPECT_EQ(encoding.feature_names(), (Names{"n", "k=u", "k=v", "m", "m (missing)"}));
  const std::vector<float> row = row_of(encode(table, encoding), 1);
  EXPECT_EQ(row[0], 1);
  EXPECT_EQ(row[1], 0);
  EXPECT_EQ(row[2], 1);
  EXPECT_EQ(row[4], 1);
}

TEST(Encoding, AppliesToAnotherTableByNames) {
  const Table table = read_csv("n,k,y\n1,1,p\n3,2x,q\n1,1,r\n3,2x,p\n", "t.csv", {.label = "y"});
  const TableEncoding encoding = learn_encoding(table, all_of(table));
  // On its own, k would be a numeric column and r the first class; the learnt encoding decides.
  const Table later = read_csv("k,y,n\n1,r,3\n1,q,1\n", "later.csv", {.label = "y"});
  EXPECT_EQ(later.columns[0].kind, ColumnKind::numeric);
  const Dataset data = encode(later, encoding);
  EXPECT_EQ(data.class_names(), (Names{"p", "q", "r"}));
  EXPECT_EQ(data.labels(), (Labels{2, 1}));
  EXPECT_EQ(row_of(data, 0), (std::vector<float>{1, 1, 0}));
}

TEST(Encoding, RefusesATableThatDoesNotFit) {
  const Table table = read_csv("n,k,y\n1,u,p\n3,u,q\n", "t.csv", {.label = "y"});
  const TableEncoding encoding = learn_encoding(table, all_of(table));
  const auto expect_misfit = [&](const char* text, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::data, parts, [&] { encode(read_csv(text, "l.csv", {.label = "y"}), encoding); });
  };
  expect_misfit("n,y\n1,p\n2,q\n", {"'l.csv'", "no column 'k'"});
  expect_misfit("n,k,z,y\n1,u,1,p\n2,u,1,q\n", {"column 'z'", "&drop=z"});
  expect_misfit("n,k,y\n1,u,p\n2,u,s\n", {"line 3", "class 's'", "not trained on"});
  expect_misfit("n,k,y\nabc,u,p\nde,u,q\n", {"line 2", "'abc'", "numeric in training"});
  expect_misfit("n,k,y\n1,u,p\n1e300,u,q\n", {"line 3", "'1e300'", "too far"});
}

TEST(Encoding, RefusesNumbersTooLargeToStandardise) {
  const Table table = column({"1e308", "-1e308", "1"});
  expect_error(ErrorKind::data, {"column 'a'", "1e+308", "too large"}, [&] { learn_encoding(table, all_of(table)); });
}

TEST(Encoding, RefusesRowsThatAreNotThere) {
  const Table table = column({"1", "2"});
  expect_error(ErrorKind::usage, {"at least one training row"}, [&] { learn_encoding(table, {}); });
  expect_error(ErrorKind::usage, {"row 2", "2 rows"}, [&] { learn_encoding(table, Rows{2}); });
  expect_error(ErrorKind::usage, {"row -1"}, [&] { learn_encoding(table, Rows{-1}); });
}

TEST(EncodingJson, ReadsBackTheSame) {
  const Table table =
      read_csv("n,k,m,y\n0.1,\"u \"\"\xc3\xa9\"\"\",5,p\n3e-320,v,NA,q\n1,\"u \"\"\xc3\xa9\"\"\",5,p\n3,w,7,q\n",
               "t.csv", {.label = "y"});
  const TableEncoding encoding = learn_encoding(table, all_of(table));
  const std::string json = to_json(encoding);
  EXPECT_EQ(encoding_from_json(json), encoding);
  EXPECT_EQ(to_json(encoding_from_json(json)), json);
  EXPECT_EQ(json.find('\n'), std::string::npos);
}

TEST(EncodingJson, IsFrozen) {
  // As stored in a checkpoint.
  const TableEncoding encoding{
      .class_names = {"no", "yes"},
      .columns = {{.name = "n", .missing = true, .median = 2, .mean = 2.5, .stddev = 0.5},
                  {.name = "k", .kind = ColumnKind::categorical, .levels = {"u"}, .other = {"v"}}}};
  EXPECT_EQ(to_json(encoding),
            R"({"class_names":["no","yes"],"columns":[)"
            R"({"kind":"numeric","mean":2.5,"median":2.0,"missing":true,"name":"n","stddev":0.5},)"
            R"({"kind":"categorical","levels":["u"],"missing":false,"name":"k","other":["v"]}],"schema_version":1})");
}

TEST(Encoding, DatesGoOnBeyondTheTrainedOnes) {
  const Table table =
      read_csv("d,y\n2020-01-01,p\n2021-01-01,q\n2022-06-15,p\n2030-01-01,q\n,q\n", "t.csv", {.label = "y"});
  const TableEncoding encoding = learn_encoding(table, Rows{0, 1, 2, 4});
  EXPECT_EQ(encoding.feature_names(), (Names{"d", "d (year)", "d (month) (sine)", "d (month) (cosine)",
                                             "d (weekday) (sine)", "d (weekday) (cosine)", "d (missing)"}));
  const Dataset data = encode(table, encoding);
  EXPECT_GT(row_of(data, 3)[0], 2 * row_of(data, 2)[0]);
  EXPECT_GT(row_of(data, 3)[1], row_of(data, 2)[1]);
  EXPECT_FLOAT_EQ(row_of(data, 3)[3], 1) << "January";
  EXPECT_EQ(row_of(data, 4)[6], 1);
  EXPECT_EQ(row_of(data, 4)[0], row_of(data, 1)[0]) << "the median";
  EXPECT_EQ(encoding_from_json(to_json(encoding)), encoding);
  const Table later = read_csv("d,y\n2020-01-01,p\n2021-02-30,q\n", "l.csv", {.label = "y"}, &encoding);
  expect_error(ErrorKind::data, {"'l.csv' line 3", "'2021-02-30'", "year-month-day"}, [&] { encode(later, encoding); });
}

TEST(Encoding, NumbersAreReadLaterAsTheyWereInTraining) {
  const Table table = read_csv("a;b;y\n1.105,5;1;p\n345;2;q\n", "t.csv", {.label = "y"});
  const TableEncoding encoding = learn_encoding(table, all_of(table));
  EXPECT_EQ(encoding_from_json(to_json(encoding)), encoding);
  const Dataset data = encode(read_unlabelled_csv("a;b\n1.105;1\n345;1\n", "l.csv", '\0', encoding), encoding);
  EXPECT_NEAR(row_of(data, 0)[0], (1105 - encoding.columns[0].mean) / encoding.columns[0].stddev, 1e-6);
  expect_error(ErrorKind::data, {"'l.csv' line 2", "'0.5'", "decimal commas"},
               [&] { encode(read_unlabelled_csv("a;b\n0.5;1\n", "l.csv", '\0', encoding), encoding); });
}

TEST(EncodingJson, RefusesWhatIsDamaged) {
  const std::string sound =
      R"({"class_names":["p","q"],"columns":[)"
      R"({"kind":"numeric","mean":1,"median":1,"missing":false,"name":"n","stddev":2},)"
      R"({"kind":"categorical","levels":["u"],"missing":false,"name":"k","other":["v"]}],"schema_version":1})";
  EXPECT_EQ(encoding_from_json(sound).features(), 3);
  for (const auto& [part, other] :
       {std::pair{R"("stddev":2)", R"("stddev":-2)"}, std::pair{R"("stddev":2)", R"("stddev":1e999)"},
        std::pair{R"("stddev":2)", R"("stddev":"2")"}, std::pair{R"("stddev":2)", R"("stddev":2,"more":1)"},
        std::pair{R"("missing":false)", R"("missing":0)"}, std::pair{R"("kind":"numeric")", R"("kind":"other")"},
        std::pair{R"(["p","q"])", R"(["p","p"])"}, std::pair{R"(["p","q"])", R"(["p"])"},
        std::pair{R"(["p","q"])", R"({})"}, std::pair{R"("name":"n")", R"("name":"k")"},
        std::pair{R"(["v"])", R"(["u"])"}, std::pair{R"("columns":)", R"("rows":)"}, std::pair{R"(})", R"()"}}) {
    std::string damaged = sound;
    damaged.replace(damaged.find(part), std::string_view(part).size(), other);
    expect_error(ErrorKind::data, {"table encoding is damaged", "restore"}, [&] { encoding_from_json(damaged); });
  }
  for (const char* text : {"", "[]", "null", "{}"})
    expect_error(ErrorKind::data, {"damaged"}, [&] { encoding_from_json(text); });
  expect_error(ErrorKind::data, {"schema version 4", "reads 1 to 3"},
               [] { encoding_from_json(R"({"schema_version":4})"); });
}

}  // namespace
}  // namespace ulmus
