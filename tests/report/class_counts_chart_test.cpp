#include "ulmus/report/class_counts_chart.hpp"

#include <gtest/gtest.h>

#include "has.hpp"
#include "report/synthetic_run.hpp"

namespace ulmus {
namespace {

using Counts = std::vector<std::int64_t>;

ClassCountsChart chart_of(const Counts& counts) {
  return {.data = "synthetic", .class_names = test::numbered_names(counts.size()), .counts = counts};
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(ClassCountsChart, HasABarWithItsNameForEveryClass) {
  ClassCountsChart chart = chart_of({10, 20, 15});
  chart.class_names[1] = "cats & <dogs>";
  const std::string svg = to_svg(chart);
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"")) << svg;
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_EQ(count_of(svg, "<rect "), 3u);
  EXPECT_TRUE(has(svg, ">cats &amp; &lt;dogs&gt;<")) << svg;
  EXPECT_LT(svg.find(">cats"), svg.find(">class 2<"));  // the largest first
  EXPECT_LT(svg.find(">class 2<"), svg.find(">class 0<"));
  EXPECT_TRUE(has(svg, "width=\"560.0\"") && has(svg, "width=\"280.0\"")) << svg;  // 20 and 10
  EXPECT_FALSE(has(svg, "logarithmic"));
}

TEST(ClassCountsChart, IsLogarithmicAboveARatioOfTwenty) {
  EXPECT_FALSE(has(to_svg(chart_of({100, 5})), "logarithmic"));
  const std::string svg = to_svg(chart_of({1000, 10}));
  EXPECT_TRUE(has(svg, "logarithmic")) << svg;
  EXPECT_TRUE(has(svg, "width=\"220.7\"")) << svg;  // 560 log(2 * 10) / log(2 * 1000)
  EXPECT_TRUE(has(svg, ">1</text>") && has(svg, ">100</text>")) << svg;
}

TEST(ClassCountsChart, StaysSmallForManyClasses) {
  Counts counts;
  for (std::int64_t c = 0; c < 20'000; ++c) counts.push_back(1 + c % 50);
  const std::string svg = to_svg(chart_of(counts));
  EXPECT_LT(svg.size(), 20'000u);
  EXPECT_TRUE(has(svg, "class 49: 50")) << svg;  // the largest, and the last of the smallest
  EXPECT_TRUE(has(svg, "class 19950: 1")) << svg;
  EXPECT_EQ(count_of(svg, "<rect "), 0u);
}

}  // namespace
}  // namespace ulmus
