#include "ulmus/report/class_counts_chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "html_template.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/class_counts.hpp"

namespace ulmus {
namespace {

using Counts = std::vector<std::int64_t>;

/// Indices of the counts in descending order; equal ones in label order.
std::vector<std::size_t> by_size(const Counts& counts) {
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t c) { return counts[c]; });
  return order;
}

/// The position of a count on the axis, from 0 to 1. A logarithmic axis starts at one half, so that 1 has a bar.
class Axis {
 public:
  Axis(std::int64_t largest, bool logarithmic) : largest_(static_cast<double>(largest)), logarithmic_(logarithmic) {}

  double operator()(std::int64_t count) const {
    if (count == 0) return 0;
    const auto value = static_cast<double>(count);
    return logarithmic_ ? std::log(2 * value) / std::log(2 * largest_) : value / largest_;
  }

  Counts ticks() const {
    Counts ticks;
    if (logarithmic_) {
      for (double tick = 1; tick <= largest_; tick *= 10) ticks.push_back(static_cast<std::int64_t>(tick));
      return ticks;
    }
    // 1, 2 or 5 times a power of ten: three to seven ticks.
    const double power = std::pow(10, std::floor(std::log10(largest_)));
    const double step = largest_ / power >= 5 ? power : largest_ / power >= 2 ? power / 2 : power / 5;
    for (double tick = std::max(1.0, step); tick <= largest_; tick += std::max(1.0, step))
      ticks.push_back(static_cast<std::int64_t>(std::lround(tick)));
    return ticks;
  }

 private:
  double largest_;
  bool logarithmic_;
};

constexpr std::size_t k_most_bars = 100;
constexpr int k_plot_width = 560;
constexpr int k_plot_top = 56;

/// A horizontal bar with name and count for every class.
std::string bars(const ClassCountsChart& chart, const std::vector<std::size_t>& order, const Axis& axis) {
  constexpr int k_left = 220;
  constexpr int k_row = 18;
  const int height = k_plot_top + k_row * static_cast<int>(order.size());
  std::string body;
  for (const std::int64_t tick : axis.ticks()) {
    const double x = k_left + k_plot_width * axis(tick);
    body +=
        fmt::format("<path class=\"grid\" d=\"M{:.1f} {}V{}\"/><text class=\"axis\" x=\"{:.1f}\" y=\"{}\">{}</text>\n",
                    x, k_plot_top - 4, height, x, k_plot_top - 8, tick);
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::int64_t count = chart.counts[order[i]];
    const int y = k_plot_top + k_row * static_cast<int>(i);
    const double width = k_plot_width * axis(count);
    body += fmt::format(
        "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text><rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\"/><text "
        "x=\"{:.1f}\" y=\"{}\">{}</text>\n",
        k_left - 8, y + 13, html_escape(printable(chart.class_names[order[i]])), k_left, y + 2, width, k_row - 4,
        k_left + width + 6, y + 13, count);
  }
  return fmt::format("width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n{2}", k_left + k_plot_width + 70,
                     height + 12, body);
}

/// The outline of adjacent bars, at most one per pixel, with some of the names below.
std::string outline(const ClassCountsChart& chart, const std::vector<std::size_t>& order, const Axis& axis) {
  constexpr int k_left = 70;
  constexpr int k_height = 320;
  constexpr int k_names = 5;
  const int bottom = k_plot_top + k_height;
  const auto classes = order.size();
  const std::size_t columns = std::min<std::size_t>(classes, k_plot_width);
  std::string body;
  for (const std::int64_t tick : axis.ticks()) {
    const double y = bottom - k_height * axis(tick);
    body +=
        fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text class=\"name\" x=\"{}\" y=\"{:.1f}\">{}</text>\n",
                    k_left, y, k_left + k_plot_width, k_left - 6, y + 4, tick);
  }
  body += fmt::format("<path class=\"area\" d=\"M{} {}", k_left, bottom);
  for (std::size_t i = 0; i < columns; ++i)
    body += fmt::format("V{:.1f}H{:.1f}", bottom - k_height * axis(chart.counts[order[i * classes / columns]]),
                        k_left + static_cast<double>(k_plot_width * (i + 1)) / static_cast<double>(columns));
  body += fmt::format("V{}Z\"/>\n", bottom);
  for (int n = 0; n < k_names; ++n) {
    const std::size_t rank = (classes - 1) * static_cast<std::size_t>(n) / (k_names - 1);
    const double x = k_left + k_plot_width * (static_cast<double>(rank) + 0.5) / static_cast<double>(classes);
    body += fmt::format(
        "<path class=\"grid\" d=\"M{0:.1f} {1}v{2}\"/><text class=\"axis\" x=\"{0:.1f}\" y=\"{3}\">{4}: "
        "{5}</text>\n",
        x, bottom, 8 + 16 * (n % 2), bottom + 20 + 16 * (n % 2), html_escape(printable(chart.class_names[order[rank]])),
        chart.counts[order[rank]]);
  }
  return fmt::format("width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n{2}", k_left + k_plot_width + 70,
                     bottom + 50, body);
}

}  // namespace

std::string to_svg(const ClassCountsChart& chart) {
  constexpr double k_logarithmic_above = 20;
  const double ratio = ClassCounts(chart.counts).imbalance_ratio();
  const bool logarithmic = ratio > k_logarithmic_above;
  const std::vector<std::size_t> order = by_size(chart.counts);
  const Axis axis(chart.counts[order[0]], logarithmic);
  const std::string title =
      html_escape(fmt::format("{}: training samples of {} classes, ratio {:.4g}{}", printable(chart.data), order.size(),
                              ratio, logarithmic ? ", logarithmic" : ""));
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\" font-size=\"12\" {}"
      "<text x=\"12\" y=\"22\" font-size=\"14\">{}</text>\n"
      "<style>svg{{background:#fff}}rect,.area{{fill:#2f6f8f}}.grid{{stroke:#ccc}}.name{{text-anchor:end}}.axis{{text-"
      "anchor:middle}}</style>\n</svg>\n",
      order.size() <= k_most_bars ? bars(chart, order, axis) : outline(chart, order, axis), title);
}

}  // namespace ulmus
