// The members that are numbers for the kernel and nothing else.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "loss/members/fills.hpp"
#include "loss/members/row_math.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus::detail {
namespace {

/// t in place of z[y], and dt / dz[y].
struct TrueLogit {
  double t, slope;
};

/// A rule made of that of one row: of_row(z[y], the largest wrong logit, y).
template <class OfRow>
TrueLogitRule for_each_row(OfRow of_row) {
  return [of_row = std::move(of_row)](const TrueLogits& rows) {
    for (std::size_t i = 0; i < rows.z.size(); ++i) {
      const TrueLogit moved = of_row(rows.z[i], rows.rival[i], static_cast<std::size_t>(rows.label[i]));
      rows.t[i] = moved.t;
      rows.slope[i] = moved.slope;
    }
  };
}

/// The sine of an angle from its cosine; never 0, so that the angle has a derivative at 0 and pi too.
double sine(double cosine) { return std::sqrt(std::max(1 - cosine * cosine, 1e-12)); }

/// The largest wrong logit is raised by lambda D[m], and the true one lowered by D[y].
KernelParams raise_the_rival(KernelParams params, double lambda, std::vector<double> margins) {
  params.true_margin = margins;
  params.hooks.row_offset = [scale = params.scale, lambda, D = std::move(margins)](
                                const Sample& sample, const LossState&, std::span<double> offset) {
    const auto y = static_cast<std::size_t>(sample.label);
    std::size_t rival = y == 0 ? 1 : 0;
    for (std::size_t j = rival; j < sample.logits.size(); ++j)
      if (j != y && sample.logits[j] > sample.logits[rival]) rival = j;
    offset[rival] += scale * lambda * D[rival];
  };
  return params;
}

}  // namespace

std::vector<double> positive_counts(const ClassCounts& counts) {
  std::vector<double> positive;
  double smallest = static_cast<double>(counts.total());
  for (const std::int64_t n : counts.values())
    if (n > 0) smallest = std::min(smallest, static_cast<double>(n));
  for (const std::int64_t n : counts.values()) positive.push_back(n > 0 ? static_cast<double>(n) : smallest);
  return positive;
}

void require_finite(std::span<const double> of_classes, std::string_view what) {
  for (std::size_t j = 0; j < of_classes.size(); ++j)
    if (!std::isfinite(static_cast<float>(of_classes[j])))
      throw Error(ErrorKind::usage,
                  fmt::format("with these keys and counts the {} of the loss are out of range: that of class {} is {}; "
                              "choose keys nearer to their defaults",
                              what, j, of_classes[j]));
}

std::vector<double> log_prior(const ClassCounts& counts, double tau) {
  std::vector<double> result;
  for (const double n : positive_counts(counts))
    result.push_back(tau * std::log(n / static_cast<double>(counts.total())));
  return result;
}

KernelParams make_ce_params(const KeyValues& keys, const ClassCounts&) { return {.scale = keys["scale"]}; }

KernelParams make_ldam_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"], .true_margin = counts.ldam_margins(keys["max_margin"])};
}

KernelParams make_elm_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"]};
  std::vector<double> margins = counts.ldam_margins(keys["max_margin"]);
  if (keys.word("placement") == "rival") return raise_the_rival(params, keys["lambda"], std::move(margins));
  for (const double margin : margins) params.rival_margin.push_back(-keys["lambda"] * margin);
  params.true_margin = std::move(margins);
  return params;
}

KernelParams make_bs_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"]};
  for (const double n : positive_counts(counts)) params.offset.push_back(std::log(n) / params.scale);
  return params;
}

KernelParams make_la_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"]};
  params.offset = log_prior(counts, keys["tau"]);
  for (double& offset : params.offset) offset /= params.scale;
  return params;
}

KernelParams make_cdt_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"]};
  const auto positive = positive_counts(counts);
  const double largest = *std::max_element(positive.begin(), positive.end());
  for (const double n : positive) params.slope.push_back(std::pow(n / largest, keys["gamma"]));
  return params;
}

KernelParams make_vs_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params = make_cdt_params(keys, counts);
  params.offset = make_la_params(keys, counts).offset;
  return params;
}

KernelParams make_focal_params(const KeyValues& keys, const ClassCounts&) {
  return {
      .scale = keys["scale"], .shape = Shape::focal, .shape_parameter = keys["gamma"], .reduction = Reduction::mean};
}

KernelParams make_poly1_params(const KeyValues& keys, const ClassCounts&) {
  return {
      .scale = keys["scale"], .shape = Shape::poly, .shape_parameter = keys["epsilon"], .reduction = Reduction::mean};
}

KernelParams make_gr_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"]};
  params.class_weight = counts.power_weights(keys["rho"]);
  return params;
}

KernelParams make_mm_params(const KeyValues& keys, const ClassCounts& counts) {
  constexpr double k_released_max_margin = 0.5;  // of the LDAM margins in this loss, whatever max_margin is
  KernelParams params{.scale = keys["scale"]};
  std::vector<double> margins(static_cast<std::size_t>(counts.classes()), keys["max_margin"]);
  if (keys.word("variant") == "ldam") {
    const auto D = counts.ldam_margins(k_released_max_margin);
    for (std::size_t j = 0; j < margins.size(); ++j) margins[j] -= D[j];
  }
  require_finite(margins, "margins");
  params.true_logit =
      for_each_row([gamma = keys["gamma"], M = std::move(margins)](double z, double rival, std::size_t y) {
        const double gap = z - std::max(0.0, rival);
        const double h = gap > 0 ? std::exp(-gap - gamma * M[y]) : gap < 0 ? std::exp(gap - M[y]) : 0;
        return TrueLogit{z - h, 1};
      });
  return params;
}

KernelParams make_ala_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"]};
  std::vector<double> strength = positive_counts(counts);
  const double smallest = *std::min_element(strength.begin(), strength.end());
  for (double& a : strength) a = std::numbers::ln2 / std::log(a / smallest + 1);
  params.true_logit = for_each_row([A = std::move(strength)](double z, double, std::size_t y) {
    return TrueLogit{z - A[y] * (1 - z) / 2, 1};
  });
  return params;
}

KernelParams make_dbm_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"]};
  if (keys.word("base") == "bs") {
    params.offset = log_prior(counts);
    for (double& offset : params.offset) offset /= params.scale;
  }
  std::vector<double> margins = positive_counts(counts);
  const double smallest = *std::min_element(margins.begin(), margins.end());
  for (double& m : margins) m = keys["max_margin"] * std::pow(smallest / m, keys["tau"]);
  constexpr double k_largest_angle = 1000;  // its cosine has digits enough
  for (const double m : margins)
    if (!(m <= k_largest_angle))
      throw Error(ErrorKind::usage,
                  fmt::format("with tau={} and these counts a margin of dbm is {:.3g} radians, expected at most {}; "
                              "choose a tau of at least 0",
                              keys["tau"], m, k_largest_angle));
  params.true_logit = [half = keys["lambda"] / 2, margins = std::move(margins)](const TrueLogits& rows) {
    for (std::size_t i = 0; i < rows.z.size(); ++i) {
      const double margin = margins[static_cast<std::size_t>(rows.label[i])];
      const bool wrong = rows.rival[i] > rows.z[i];  // a factor, because a branch on it would be guessed wrong
      const double difficulty = static_cast<double>(wrong) * half * margin;
      rows.t[i] = margin + difficulty * (1 - rows.z[i]);
      rows.slope[i] = -difficulty;
    }
    turn(rows.z, rows.t, rows.slope);
  };
  return params;
}

KernelParams make_arcface_params(const KeyValues& keys, const ClassCounts&) {
  static constexpr double k_largest_angle = 3.14159;  // of opensphere's code
  KernelParams params{.scale = keys["scale"]};
  const double m = keys["margin"];
  if (keys.word("variant") == "opensphere")
    params.true_logit = [m](const TrueLogits& rows) {
      std::copy(rows.z.begin(), rows.z.end(), rows.t.begin());
      arc_cosines(rows.t);
      for (double& angle : rows.t) angle = std::min(angle + m, k_largest_angle);
      cosines(rows.t);
      std::fill(rows.slope.begin(), rows.slope.end(), 1);
    };
  else
    params.true_logit = for_each_row([m, cos_m = std::cos(m), sin_m = std::sin(m)](double z, double, std::size_t) {
      if (z <= -cos_m) return TrueLogit{z - m * sin_m, 1};
      const double s = sine(z);
      return TrueLogit{z * cos_m - s * sin_m, cos_m + z * sin_m / s};
    });
  return params;
}

KernelParams make_cosface_params(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .true_margin = std::vector<double>(static_cast<std::size_t>(counts.classes()), keys["margin"])};
}

KernelParams make_sphereface_params(const KeyValues& keys, const ClassCounts&) {
  KernelParams params{.scale = keys["scale"]};
  params.true_logit = [m = keys["margin"]](const TrueLogits& rows) {
    std::copy(rows.z.begin(), rows.z.end(), rows.t.begin());
    arc_cosines(rows.t);
    for (std::size_t i = 0; i < rows.t.size(); ++i) rows.slope[i] = rows.t[i] *= m;
    cosines(rows.t);
    for (std::size_t i = 0; i < rows.t.size(); ++i) {
      const double half_turns = rows.slope[i] * std::numbers::inv_pi;
      const auto k = half_turns >= 0 ? static_cast<std::int64_t>(half_turns) : 0;  // 0 for NaN, which t is already
      rows.t[i] = (k % 2 == 0 ? rows.t[i] : -rows.t[i]) - 2 * static_cast<double>(k);
      rows.slope[i] = 1;
    }
  };
  return params;
}

}  // namespace ulmus::detail
