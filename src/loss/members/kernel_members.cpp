// The members that are numbers for the kernel and nothing else.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "loss/members/fills.hpp"

namespace ulmus::detail {
namespace {

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
  terms.true_logit = [gamma = keys["gamma"], M = std::move(margins)](double z, double rival, std::int64_t label) {
    const double margin = M[static_cast<std::size_t>(label)], gap = z - std::max(0.0, rival);
    const double h = gap > 0 ? std::exp(-gap - gamma * margin) : gap < 0 ? std::exp(gap - margin) : 0;
    return TrueLogit{z - h, 1};
  };
  return terms;
}

RowTerms fill_ala(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  std::vector<double> strength = positive_counts(counts);
  const double smallest = *std::min_element(strength.begin(), strength.end());
  for (double& a : strength) a = std::numbers::ln2 / std::log(a / smallest + 1);
  terms.true_logit = [A = std::move(strength)](double z, double, std::int64_t label) {
    return TrueLogit{z - A[static_cast<std::size_t>(label)] * (1 - z) / 2, 1};
  };
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
  terms.true_logit = [lambda = keys["lambda"], margins = std::move(margins)](double z, double rival,
                                                                             std::int64_t label) {
    const double m = margins[static_cast<std::size_t>(label)], difficulty = rival > z ? m * lambda / 2 : 0;
    const double angle = m + difficulty * (1 - z), s = sine(z);
    return TrueLogit{z * std::cos(angle) - s * std::sin(angle),
                     (s * std::cos(angle) + z * std::sin(angle)) * (1 / s + difficulty)};
  };
  return terms;
}

RowTerms fill_arcface(const KeyValues& keys, const ClassCounts&) {
  static constexpr double k_largest_angle = 3.14159;  // of opensphere's code
  RowTerms terms{.scale = keys["scale"]};
  const double m = keys["margin"];
  if (keys.word("variant") == "opensphere")
    terms.true_logit = [m](double z, double, std::int64_t) {
      return TrueLogit{std::cos(std::min(std::acos(std::clamp(z, -1.0, 1.0)) + m, k_largest_angle)), 1};
    };
  else
    terms.true_logit = [m, cos_m = std::cos(m), sin_m = std::sin(m)](double z, double, std::int64_t) {
      if (z <= -cos_m) return TrueLogit{z - m * sin_m, 1};
      const double s = sine(z);
      return TrueLogit{z * cos_m - s * sin_m, cos_m + z * sin_m / s};
    };
  return terms;
}

RowTerms fill_cosface(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"],
          .true_margin = std::vector<double>(static_cast<std::size_t>(counts.classes()), keys["margin"])};
}

RowTerms fill_sphereface(const KeyValues& keys, const ClassCounts&) {
  RowTerms terms{.scale = keys["scale"]};
  terms.true_logit = [m = keys["margin"]](double z, double, std::int64_t) {
    const double angle = m * std::acos(std::clamp(z, -1.0, 1.0)), k = std::floor(angle / std::numbers::pi);
    const double sign = static_cast<int>(k) % 2 == 0 ? 1 : -1;
    return TrueLogit{sign * std::cos(angle) - 2 * k, 1};
  };
  return terms;
}

}  // namespace ulmus::detail
