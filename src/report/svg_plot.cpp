#include "svg_plot.hpp"

#include <fmt/format.h>

#include "html_template.hpp"

namespace ulmus {
namespace {

constexpr double k_width = 440, k_height = 400, k_left = 56, k_right = 16, k_top = 12, k_bottom = 52;
constexpr int k_steps = 5;

double x_of(double share) { return k_left + share * (k_width - k_left - k_right); }
double y_of(double share) { return k_height - k_bottom - share * (k_height - k_top - k_bottom); }

}  // namespace

SvgPlot::SvgPlot(std::string_view x_title, std::string_view y_title, std::string_view description)
    : text_(fmt::format(R"(<svg viewBox="0 0 {} {}" role="img" aria-label="{}">)", k_width, k_height,
                        html_escape(description))) {
  for (int i = 0; i <= k_steps; ++i) {
    const double share = static_cast<double>(i) / k_steps, x = x_of(share), y = y_of(share);
    text_ += fmt::format(R"(<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>)"
                         R"(<text x="{0:.1f}" y="{3}" text-anchor="middle">{4:.0f}</text>)",
                         x, k_top, k_height - k_bottom, k_height - k_bottom + 18, 100 * share);
    text_ += fmt::format(R"(<line class="grid" x1="{1}" x2="{2}" y1="{0:.1f}" y2="{0:.1f}"/>)"
                         R"(<text x="{3}" y="{4:.1f}" text-anchor="end">{5:.0f}</text>)",
                         y, k_left, k_width - k_right, k_left - 8, y + 4, 100 * share);
  }
  text_ += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)", (k_left + k_width - k_right) / 2,
                       k_height - 12, html_escape(x_title));
  text_ += fmt::format(R"-(<text transform="translate(14 {:.1f}) rotate(-90)" text-anchor="middle">{}</text>)-",
                       (k_top + k_height - k_bottom) / 2, html_escape(y_title));
}

void SvgPlot::line(std::span<const std::pair<double, double>> points, std::string_view style) {
  std::string places;
  for (const auto& [x, y] : points) places += fmt::format("{:.1f},{:.1f} ", x_of(x), y_of(y));
  text_ += fmt::format(R"(<polyline class="{}" points="{}"/>)", style, places);
}

void SvgPlot::point(double x, double y, std::string_view style, std::string_view title, double radius) {
  text_ += fmt::format(R"(<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>)", style,
                       x_of(x), y_of(y), radius, html_escape(title));
}

std::string SvgPlot::finish() && { return std::move(text_) + "</svg>"; }

}  // namespace ulmus
