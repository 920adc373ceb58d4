#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace ulmus {

/// A plot of two shares, both axes from 0 to 100 %, as an SVG image whose colours come from the page's style.
class SvgPlot {
 public:
  /// `description` is for readers who cannot see the image. Texts are escaped.
  SvgPlot(std::string_view x_title, std::string_view y_title, std::string_view description);

  /// A line through points (x, y) in [0, 1]; `style` are classes of CSS.
  void line(std::span<const std::pair<double, double>> points, std::string_view style);
  /// A point with a text that appears under the pointer.
  void point(double x, double y, std::string_view style, std::string_view title, double radius = 5.5);

  std::string finish() &&;

 private:
  std::string text_;
};

}  // namespace ulmus
