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
RowTerms raise_the_rival(RowTerms terms, double lambda, std::vector<double> margins) {
  terms.true_margin = margins;
  terms.parts.row_offset = [scale = terms.scale, lambda, D = std::move(margins)](const Sample& sample, const LossState&,
                                                                                 std::span<double> offset) {
    const auto y = static_cast<std::size_t>(sample.label);
    std::size_t rival = y == 0 ? 1 : 0;
    for (std::size_t j = rival; j < sample.logits.size(); ++j)
      if (j != y && sample.logits[j] > sample.logits[rival]) rival = j;
    offset[rival] += scale * lambda * D[rival];
  };
  return terms;
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

RowTerms fill_ce(const KeyValues& keys, const ClassCounts&) { return {.scale = keys["scale"]}; }

RowTerms fill_ldam(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"], .true_margin = counts.ldam_margins(keys["max_margin"])};
}

RowTerms fill_elm(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  std::vector<double> margins = counts.ldam_margins(keys["max_margin"]);
  if (keys.word("placement") == "rival") return raise_the_rival(terms, keys["lambda"], std::move(margins));
  for (const double margin : margins) terms.rival_margin.push_back(-keys["lambda"] * margin);
  terms.true_margin = std::move(margins);
  return terms;
}

RowTerms fill_bs(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  for (const double n : positive_counts(counts)) terms.offset.push_back(std::log(n) / terms.scale);
  return terms;
}

RowTerms fill_la(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  terms.offset = log_prior(counts, keys["tau"]);
  for (double& offset : terms.offset) offset /= terms.scale;
  return terms;
}

RowTerms fill_cdt(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  const auto positive = positive_counts(counts);
  const double largest = *std::max_element(positive.begin(), positive.end());
  for (const double n : positive) terms.slope.push_back(std::pow(n / largest, keys["gamma"]));
  return terms;
}

RowTerms fill_vs(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms = fill_cdt(keys, counts);
  terms.offset = fill_la(keys, counts).offset;
  return terms;
}

RowTerms fill_focal(const KeyValues& keys, const ClassCounts&) {
  return {
      .scale = keys["scale"], .shape = Shape::focal, .shape_parameter = keys["gamma"], .reduction = Reduction::mean};
}

RowTerms fill_poly1(const KeyValues& keys, const ClassCounts&) {
  return {
      .scale = keys["scale"], .shape = Shape::poly, .shape_parameter = keys["epsilon"], .reduction = Reduction::mean};
}

RowTerms fill_gr(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  terms.class_weight = counts.power_weights(keys["rho"]);
  return terms;
}

RowTerms fill_mm(const KeyValues& keys, const ClassCounts& counts) {
  constexpr double k_released_max_margin = 0.5;  // of the LDAM margins in this loss, whatever max_margin is
  RowTerms terms{.scale = keys["scale"]};
  std::vector<double> margins(static_cast<std::size_t>(counts.classes()), keys["max_margin"]);
  if (keys.word("variant") == "ldam") {
    const auto D = counts.ldam_margins(k_released_max_margin);
    for (std::size_t j = 0; j < margins.size(); ++j) margins[j] -= D[j];
  }
  require_finite(margins, "margins");
  terms.true_logit =
      for_each_row([gamma = keys["gamma"], M = std::move(margins)](double z, double rival, std::size_t y) {
        const double gap = z - std::max(0.0, rival);
        const double h = gap > 0 ? std::exp(-gap - gamma * M[y]) : gap < 0 ? std::exp(gap - M[y]) : 0;
        return TrueLogit{z - h, 1};
      });
  return terms;
}

RowTerms fill_ala(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  std::vector<double> strength = positive_counts(counts);
  const double smallest = *std::min_element(strength.begin(), strength.end());
  for (double& a : strength) a = std::numbers::ln2 / std::log(a / smallest + 1);
  terms.true_logit = for_each_row([A = std::move(strength)](double z, double, std::size_t y) {
    return TrueLogit{z - A[y] * (1 - z) / 2, 1};
  });
  return terms;
}

RowTerms fill_dbm(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  if (keys.word("base") == "bs") {
    terms.offset = log_prior(counts);
    for (double& offset : terms.offset) offset /= terms.scale;
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
  terms.true_logit = [half = keys["lambda"] / 2, margins = std::move(margins)](const TrueLogits& rows) {
    for (std::size_t i = 0; i < rows.z.size(); ++i) {
      const double margin = margins[static_cast<std::size_t>(rows.label[i])];
      const bool wrong = rows.rival[i] > rows.z[i];  // a factor, because a branch on it would be guessed wrong
      const double difficulty = static_cast<double>(wrong) * half * margin;
      rows.t[i] = margin + difficulty * (1 - rows.z[i]);
      rows.slope[i] = -difficulty;
    }
    turn(rows.z, rows.t, rows.slope);
  };
  return terms;
}

RowTerms fill_arcface(const KeyValues& keys, const ClassCounts&) {
  static constexpr double k_largest_angle = 3.14159;  // of opensphere's code
  RowTerms terms{.scale = keys["scale"]};
  const double m = keys["margin"];
  if (keys.word("variant") == "opensphere")
    terms.true_logit = [m](const TrueLogits& rows) {
      std::copy(rows.z.begin(), rows.z.end(), rows.t.begin());
      arc_cosines(rows.t);
      for (double& angle : rows.t) angle = std::min(angle + m, k_largest_angle);
      cosines(rows.t);
      std::fill(rows.slope.begin(), rows.slope.end(), 1);
    };
  else
    terms.true_logit = for_each_row([m, cos_m = std::cos(m), sin_m = std::sin(m)](double z, double, std::size_t) {
      if (z <= -cos_m) return TrueLogit{z - m * sin_m, 1};
      const double s = sine(z);
      return TrueLogit{z * cos_m - s * sin_m, cos_m + z * sin_m / s};
    });
  return terms;
}

RowTerms fill_cosface(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .true_margin = std::vector<double>(static_cast<std::size_t>(counts.classes()), keys["margin"])};
}

RowTerms fill_sphereface(const KeyValues& keys, const ClassCounts&) {
  RowTerms terms{.scale = keys["scale"]};
  terms.true_logit = [m = keys["margin"]](const TrueLogits& rows) {
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
  return terms;
}

}  // namespace ulmus::detail
