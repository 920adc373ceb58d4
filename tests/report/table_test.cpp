#include <gtest/gtest.h>

#include <algorithm>

#include "report/synthetic_run.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/report/report.hpp"

namespace ulmus {
namespace {

Summary synthetic_summary(const test::SyntheticRun& run) {
  const TemporaryFolder folder;
  return summarize(read_run(test::write_synthetic_run(folder.path(), run)));
}

test::SyntheticRun table_run() {
  test::SyntheticRun run;
  run.test_per_class = 20;
  run.epochs = 2;
  return run;
}

std::size_t code_points(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

TEST(Table, FitsTheWidthItIsGiven) {
  test::SyntheticRun run = table_run();
  run.losses.push_back("elm:lambda=0.25,max_margin=0.4,scale=20+drw:from=0.8,beta=0.9999");
  const Summary summary = synthetic_summary(run);
  for (const int width : {50, 80, 100, 200})
    for (const std::string& line : split(terminal_table(summary, {.width = width}), '\n'))
      EXPECT_LE(code_points(line), static_cast<std::size_t>(width)) << line;
}

TEST(Table, ShowsMeansWithIntervals) {
  const Summary summary = synthetic_summary(table_run());
  const std::string table = terminal_table(summary);
  const MetricSummary& metric = summary.losses[0].test.at("balanced_accuracy");
  char expected[32];
  std::snprintf(expected, sizeof expected, "%.1f ±%.1f", 100 * *metric.mean,
                50 * (metric.interval->high - metric.interval->low));
  EXPECT_NE(table.find(expected), std::string::npos) << expected << "\n" << table;
  EXPECT_NE(table.find("mean of 3 seeds"), std::string::npos) << table;
  EXPECT_NE(table.find("nothing was chosen on the test set"), std::string::npos) << table;
}

TEST(Table, ColumnsAreAligned) {
  const std::vector<std::string> lines = split(terminal_table(synthetic_summary(table_run()), {.width = 200}), '\n');
  const std::size_t end_of_title = lines[0].find("top-1") + 5;
  for (std::size_t i = 1; i <= 3; ++i) {
    std::size_t column = 0, at = 0;
    while (column < end_of_title) column += (static_cast<unsigned char>(lines[i][at++]) & 0xC0) != 0x80;
    EXPECT_TRUE(std::isdigit(static_cast<unsigned char>(lines[i][at - 1]))) << lines[i];
    EXPECT_TRUE(lines[i][at] == ' ' || lines[i][at] == '*') << lines[i];
  }
}

TEST(Table, BestIsMarkedByAStarOrInBold) {
  const Summary summary = synthetic_summary(table_run());
  const std::string plain = terminal_table(summary), coloured = terminal_table(summary, {.colour = true});
  EXPECT_NE(plain.find('*'), std::string::npos);
  EXPECT_EQ(plain.find('\x1b'), std::string::npos);
  EXPECT_EQ(coloured.find('*'), std::string::npos);
  EXPECT_NE(coloured.find("\x1b[1m"), std::string::npos);
}

TEST(Table, OneLossIsNotMarked) {
  test::SyntheticRun run = table_run();
  run.losses = {"ce"};
  run.seeds = 1;
  const std::string table = terminal_table(synthetic_summary(run));
  EXPECT_EQ(table.find('*'), std::string::npos) << table;
  EXPECT_EQ(table.find("±"), std::string::npos) << table;
  EXPECT_NE(table.find("one seed, so no interval"), std::string::npos) << table;
}

TEST(Table, GroupWithoutClassesIsADash) {
  EXPECT_NE(terminal_table(synthetic_summary(table_run()), {.width = 200}).find("  - "), std::string::npos);
}

TEST(Table, ControlCharactersAreNotPrinted) {
  test::SyntheticRun run = table_run();
  run.class_names = {"often", "\x1b[31mred\n"};
  const std::string table = terminal_table(synthetic_summary(run), {.width = 200});
  EXPECT_EQ(table.find('\x1b'), std::string::npos);
  EXPECT_NE(table.find("\\x1b[31mred\\x0a"), std::string::npos) << table;
}

TEST(Table, MarkdownHasALineForEachLossAndLeavesOutEmptyGroups) {
  const Summary summary = synthetic_summary(table_run());
  const std::string table = markdown_table(summary);
  EXPECT_EQ(static_cast<std::size_t>(std::count(table.begin(), table.end(), '\n')), 2 + summary.losses.size());
  EXPECT_NE(table.find("| `" + summary.losses[0].loss + "` | "), std::string::npos) << table;
  EXPECT_NE(table.find(" ±"), std::string::npos) << table;
  EXPECT_EQ(table.find("medium-shot") != std::string::npos, summary.losses[0].test.at("medium_shot").mean.has_value());
}

}  // namespace
}  // namespace ulmus
