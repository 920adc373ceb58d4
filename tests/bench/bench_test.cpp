#include "ulmus/bench/bench.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "ulmus/base/error.hpp"

namespace ulmus::bench {
namespace {

std::vector<Record> small_run() {
  return run({.losses = parse_losses("ce,elm:lambda=0.5"),
              .sizes = {{8, 10}, {4, 40}},
              .dtypes = {Dtype::f32, Dtype::f16},
              .threads = {1},
              .rounds = 3,
              .seconds = 1e-4,
              .peers = false});
}

TEST(Bench, MeasuresEveryCombination) {
  int heard = 0;
  const auto records = run({.sizes = {{8, 10}}, .dtypes = {Dtype::f64}, .threads = {1, 2}, .rounds = 1, .seconds = 0},
                           [&](const Record&) { ++heard; });
  EXPECT_EQ(records.size(), 4u);
  EXPECT_EQ(heard, 4);
  const auto more = small_run();
  ASSERT_EQ(more.size(), 8u);
  EXPECT_EQ(more[1].loss, "elm:lambda=0.5");
  for (const Record& record : more) {
    EXPECT_GT(record.ns_per_element, 0);
    EXPECT_GT(record.ceiling_fraction, 0);
    EXPECT_FALSE(record.ratio_eager_ce);
    if (record.loss == "ce") {
      EXPECT_EQ(record.ratio_ce, 1);
    }
  }
}

TEST(Bench, JsonHasTheFieldsOfTheRecord) {
  const auto list = nlohmann::ordered_json::parse(to_json(small_run()));
  ASSERT_EQ(list.size(), 8u);
  std::vector<std::string> fields;
  for (const auto& [key, value] : list[0].items()) fields.push_back(key);
  EXPECT_EQ(fields, (std::vector<std::string>{"loss", "n", "c", "dtype", "threads", "ns_per_element",
                                              "ceiling_fraction", "ratio_ce", "ratio_eager_ce", "ratio_composed"}));
  EXPECT_EQ(list[2]["dtype"], "f16");
  EXPECT_TRUE(list[0]["ratio_composed"].is_null());
}

TEST(Bench, MarkdownNamesTheMachine) {
  const std::string table = to_markdown(small_run());
  EXPECT_NE(table.find("| elm:lambda=0.5 | 4 | 40 | f16 | 1 |"), std::string::npos);
  EXPECT_NE(table.find(machine()), std::string::npos);
}

TEST(Bench, RefusesWhatCannotBe) {
  EXPECT_THROW(run({.sizes = {{0, 10}}}), Error);
  EXPECT_THROW(run({.threads = {0}}), Error);
  EXPECT_THROW(run({.rounds = 0}), Error);
  EXPECT_THROW(parse_size("128"), Error);
  EXPECT_THROW(parse_size("128xten"), Error);
  EXPECT_THROW(parse_dtype("fp32"), Error);
  EXPECT_EQ(parse_size("4096x8142").c, 8142);
  EXPECT_EQ(parse_dtype("bf16"), Dtype::bf16);
}

}  // namespace
}  // namespace ulmus::bench
