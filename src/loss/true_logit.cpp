#include "loss/true_logit.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "loss/row_math.hpp"

namespace ulmus::detail {
namespace {

/// t, which replaces z[y], and dt / dz[y].
struct TrueLogit {
  double t, slope;
};

/// Applies a rule row by row: of_row(z[y], the largest incorrect logit, y).
template <class OfRow>
void each_row(const TrueLogits& rows, OfRow of_row) {
  for (std::size_t i = 0; i < rows.z.size(); ++i) {
    const TrueLogit moved = of_row(rows.z[i], rows.rival[i], static_cast<std::size_t>(rows.label[i]));
    rows.t[i] = moved.t;
    rows.slope[i] = moved.slope;
  }
}

/// The sine of an angle from its cosine; never 0, so that the angle has a derivative also at 0 and pi.
double sine(double cosine) { return std::sqrt(std::max(1 - cosine * cosine, 1e-12)); }

void add_class_angle(const TrueLogitRule& rule, const TrueLogits& rows) {
  for (std::size_t i = 0; i < rows.z.size(); ++i) {
    const double margin = rule.of_class[static_cast<std::size_t>(rows.label[i])];
    const bool wrong = rows.rival[i] > rows.z[i];  // a factor, because a branch would often be mispredicted
    const double difficulty = static_cast<double>(wrong) * rule.a * margin;
    rows.t[i] = margin + difficulty * (1 - rows.z[i]);
    rows.slope[i] = -difficulty;
  }
  turn(rows.z, rows.t, rows.slope);
}

void add_angle(double m, const TrueLogits& rows) {
  each_row(rows, [m, cos_m = std::cos(m), sin_m = std::sin(m)](double z, double, std::size_t) {
    if (z <= -cos_m) return TrueLogit{z - m * sin_m, 1};
    const double s = sine(z);
    return TrueLogit{z * cos_m - s * sin_m, cos_m + z * sin_m / s};
  });
}

void add_stopped_angle(double m, const TrueLogits& rows) {
  constexpr double k_largest_angle = 3.14159;  // from opensphere's code
  std::copy(rows.z.begin(), rows.z.end(), rows.t.begin());
  arc_cosines(rows.t);
  for (double& angle : rows.t) angle = std::min(angle + m, k_largest_angle);
  cosines(rows.t);
  std::fill(rows.slope.begin(), rows.slope.end(), 1);
}

void multiply_angle(double m, const TrueLogits& rows) {
  std::copy(rows.z.begin(), rows.z.end(), rows.t.begin());
  arc_cosines(rows.t);
  for (std::size_t i = 0; i < rows.t.size(); ++i) rows.slope[i] = rows.t[i] *= m;
  cosines(rows.t);
  for (std::size_t i = 0; i < rows.t.size(); ++i) {
    const double half_turns = rows.slope[i] * std::numbers::inv_pi;
    const auto k = half_turns >= 0 ? static_cast<std::int64_t>(half_turns) : 0;  // 0 for NaN; t is already NaN
    rows.t[i] = (k % 2 == 0 ? rows.t[i] : -rows.t[i]) - 2 * static_cast<double>(k);
    rows.slope[i] = 1;
  }
}

}  // namespace

void move_true_logits(const TrueLogitRule& rule, const TrueLogits& rows) {
  using Kind = TrueLogitRule::Kind;
  const std::vector<double>& A = rule.of_class;
  switch (rule.kind) {
    case Kind::margins:
      return;
    case Kind::gap_decay:
      return each_row(rows, [&](double z, double rival, std::size_t y) {
        const double gap = z - std::max(0.0, rival);
        const double h = gap > 0 ? std::exp(-gap - rule.a * A[y]) : gap < 0 ? std::exp(gap - A[y]) : 0;
        return TrueLogit{z - h, 1};
      });
    case Kind::difficulty:
      return each_row(rows, [&](double z, double, std::size_t y) { return TrueLogit{z - A[y] * (1 - z) / 2, 1}; });
    case Kind::class_angle:
      return add_class_angle(rule, rows);
    case Kind::angle:
      return add_angle(rule.a, rows);
    case Kind::stopped_angle:
      return add_stopped_angle(rule.a, rows);
    case Kind::multiplied_angle:
      return multiply_angle(rule.a, rows);
  }
}

}  // namespace ulmus::detail
