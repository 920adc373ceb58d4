#pragma once

#include <string>

#include "ulmus/train/run.hpp"

namespace ulmus::cli {

/// Shows the progress of a run on standard error: on a terminal a bar with the remaining time, redrawn in place;
/// otherwise a plain line per epoch.
class ProgressPrinter {
 public:
  explicit ProgressPrinter(bool quiet);
  ~ProgressPrinter();
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  void operator()(const Progress& progress);
  void operator()(const FeatureProgress& progress);

 private:
  void draw_bar(const Progress& progress);
  /// Draws a bar of which `fraction` is filled, followed by `after`.
  void draw_bar(double fraction, const std::string& after);
  void clear_bar();

  bool quiet_;
  bool terminal_;
  bool bar_shown_ = false;
  double last_drawn_ = -1;
};

/// "1 h 02 min", "3 min 05 s", "12 s".
std::string duration_text(double seconds);

}  // namespace ulmus::cli
