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

void ProgressPrinter::operator()(const Progress& news) {
  if (quiet_) return;
  if (news.epoch_done) {
    const bool member_done = news.epoch + 1 == news.epochs;
    if (!terminal_ || member_done) {
      clear_bar();
      say(fmt::format(
          "{:3.0f} %  {} seed {}: epoch {}/{}, train loss {:.3f}, test balanced accuracy {:.1f} %, {} left\n",
          100 * news.fraction, news.member->loss.text(), news.member->seed, news.epoch + 1, news.epochs,
          news.train_loss, 100 * news.balanced_accuracy, duration_text(news.remaining_seconds)));
    }
  }
  if (terminal_ && (news.epoch_done || news.elapsed_seconds - last_drawn_ > k_redraw_seconds)) draw_bar(news);
}

void ProgressPrinter::draw_bar(const Progress& news) {
  last_drawn_ = news.elapsed_seconds;
  const std::string after =
      fmt::format(" {:3.0f} %  {} left  {} seed {}, epoch {}/{}, loss {:.3f}", 100 * news.fraction,
                  duration_text(news.remaining_seconds), news.member->loss.text(), news.member->seed, news.epoch + 1,
                  news.epochs, news.train_loss);
  const int width = terminal_width();
  const int room = std::clamp(width - static_cast<int>(after.size()) - 3, 10, 30);
  const int filled = static_cast<int>(std::lround(news.fraction * room));
  std::string line = "[" + std::string(static_cast<std::size_t>(filled), '#') +
                     std::string(static_cast<std::size_t>(room - filled), '.') + "]" + after;
  line.resize(std::min(line.size(), static_cast<std::size_t>(width - 1)));
  say("\r\x1b[K" + line);
  bar_shown_ = true;
}

void ProgressPrinter::clear_bar() {
  if (bar_shown_) say("\r\x1b[K");
  bar_shown_ = false;
}

}  // namespace ulmus::cli
