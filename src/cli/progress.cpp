#include "cli/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "cli/streams.hpp"

namespace ulmus::cli {
namespace {

constexpr double k_redraw_seconds = 0.2;

int terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string duration_text(double seconds) {
  const auto total = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  if (total >= 3600) return fmt::format("{} h {:02} min", total / 3600, total / 60 % 60);
  if (total >= 60) return fmt::format("{} min {:02} s", total / 60, total % 60);
  return fmt::format("{} s", total);
}

ProgressPrinter::ProgressPrinter(bool quiet) : quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressPrinter::~ProgressPrinter() { clear_bar(); }

void ProgressPrinter::operator()(const Progress& progress) {
  if (quiet_) return;
  if (progress.epoch_done) {
    const bool member_done = progress.epoch + 1 == progress.epochs;
    if (!terminal_ || member_done) {
      clear_bar();
      print_stderr(fmt::format(
          "{:3.0f} %  {} seed {}: epoch {}/{}, train loss {:.3f}, test balanced accuracy {:.1f} %, {} left\n",
          100 * progress.fraction, progress.trial->loss.text(), progress.trial->seed, progress.epoch + 1,
          progress.epochs, progress.train_loss, 100 * progress.balanced_accuracy,
          duration_text(progress.remaining_seconds)));
    }
  }
  if (terminal_ && (progress.epoch_done || progress.elapsed_seconds - last_drawn_ > k_redraw_seconds))
    draw_bar(progress);
}

void ProgressPrinter::draw_bar(const Progress& progress) {
  last_drawn_ = progress.elapsed_seconds;
  const std::string after =
      fmt::format(" {:3.0f} %  {} left  {} seed {}, epoch {}/{}, loss {:.3f}", 100 * progress.fraction,
                  duration_text(progress.remaining_seconds), progress.trial->loss.text(), progress.trial->seed,
                  progress.epoch + 1, progress.epochs, progress.train_loss);
  draw_bar(progress.fraction, after);
}

void ProgressPrinter::operator()(const FeatureProgress& progress) {
  if (quiet_) return;
  const bool done = progress.done == progress.samples;
  // Without a terminal, a line every half a minute is sufficient.
  const double interval = terminal_ ? k_redraw_seconds : 30;
  if (!done && progress.elapsed_seconds - last_drawn_ < interval) return;
  last_drawn_ = done ? -1 : progress.elapsed_seconds;
  const std::string text =
      fmt::format("features of {} of {} images, {:.0f} a second, {} left", progress.done, progress.samples,
                  progress.samples_per_second, duration_text(progress.remaining_seconds));
  if (terminal_ && !done)
    return draw_bar(static_cast<double>(progress.done) / static_cast<double>(progress.samples), " " + text);
  clear_bar();
  print_stderr(text + "\n");
}

void ProgressPrinter::draw_bar(double fraction, const std::string& after) {
  const int width = terminal_width();
  const int room = std::clamp(width - static_cast<int>(after.size()) - 3, 10, 30);
  const int filled = static_cast<int>(std::lround(fraction * room));
  std::string line = "[" + std::string(static_cast<std::size_t>(filled), '#') +
                     std::string(static_cast<std::size_t>(room - filled), '.') + "]" + after;
  line.resize(std::min(line.size(), static_cast<std::size_t>(width - 1)));
  print_stderr("\r\x1b[K" + line);
  bar_shown_ = true;
}

void ProgressPrinter::clear_bar() {
  if (bar_shown_) print_stderr("\r\x1b[K");
  bar_shown_ = false;
}

}  // namespace ulmus::cli
