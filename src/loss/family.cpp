#include "ulmus/loss/family.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

constexpr double k_infinity = std::numeric_limits<double>::infinity();
constexpr Range k_any{-k_infinity, k_infinity, true, true};
constexpr Range k_not_negative{0, k_infinity, false, true};
constexpr Range k_positive{0, k_infinity, true, true};

constexpr Key k_max_margin{"max_margin", 0.5, k_not_negative, "margin of the rarest class, in cosine units",
                           "LDAM-DRW code, CIFAR"};
constexpr Key k_margin_scale{"scale", 30, k_positive, "multiplies the cosines before the softmax", "LDAM-DRW code"};
constexpr Key k_beta{"beta",
                     0.9999,
                     {0, 1, false, true},
                     "of the effective number; 0 gives equal weights, near 1 inverse frequency",
                     "LDAM-DRW code"};

RowTerms fill_ce(const KeyValues& keys, const ClassCounts&) { return {.scale = keys["scale"]}; }

RowTerms fill_ldam(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"], .true_margin = counts.ldam_margins(keys["max_margin"])};
}

RowTerms fill_elm(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms = fill_ldam(keys, counts);
  for (const double margin : terms.true_margin) terms.rival_margin.push_back(-keys["lambda"] * margin);
  return terms;
}

const std::vector<Member>& members() {
  static const std::vector<Member> table = {
      {
          .name = "ce",
          .title = "softmax cross entropy",
          .equation = "l = log sum_j exp(s z[j]) - s z[y]",
          .paper = "",
          .advice = "The baseline. It learns the frequent classes and gives up the rare ones.",
          .pitfalls = "On a cosine head it needs a scale: cosines of at most 1 cannot make a probability near 1.",
          .head = Head::linear,
          .keys = {{"scale", 1, k_positive, "multiplies the logits before the softmax", "definition"}},
          .fill = fill_ce,
      },
      {
          .name = "ldam",
          .title = "label-distribution-aware margin loss",
          .equation = "l = log(exp(s (z[y] - D[y])) + sum_{j != y} exp(s z[j])) - s (z[y] - D[y]),  "
                      "D[j] = max_margin (n_min / n[j])^(1/4)",
          .paper =
              "Cao, Wei, Gaidon, Arechiga, Ma: Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, "
              "NeurIPS 2019, arXiv 1906.07413",
          .advice = "A strong, stable choice together with +drw.",
          .pitfalls = "Needs the cosine head: without normalised features the margin has no scale. A class without "
                      "samples gets "
                      "max_margin.",
          .head = Head::cosine,
          .keys = {k_max_margin, k_margin_scale},
          .fill = fill_ldam,
      },
      {
          .name = "elm",
          .title = "Enlarged Large Margin loss",
          .equation = "l = log(exp(s t) + sum_{j != y} exp(s z[j])) - s t,  t = z[y] - D[y] + lambda D[m],  "
                      "m = argmax_{j != y} z[j],  D[j] = max_margin (n_min / n[j])^(1/4)",
          .paper =
              "Kato, Hotta: Enlarged Large Margin Loss for Imbalanced Classification, IEEE SMC 2023, arXiv 2306.09132",
          .advice = "With +drw, where the rare classes matter most. lambda is a head-tail dial: 0 is LDAM, 0.25 to 0.5 "
                    "is a good "
                    "start; choose it on validation data.",
          .pitfalls = "The default lambda = 1 is the authors'; it can shift too far: a frequent class whose look-alike "
                      "is rare is "
                      "given up. The sign is the released code's, in which lambda > 0 lowers the margin against a rare "
                      "rival; the "
                      "abstract's wording matches lambda < 0. Ties of the rival go to the lowest class index.",
          .head = Head::cosine,
          .keys = {{"lambda", 1, k_any, "weight of the rival's margin; 0 is LDAM", "released ELM code"},
                   k_max_margin,
                   k_margin_scale},
          .fill = fill_elm,
      },
  };
  return table;
}

const std::vector<WeightRule>& rules() {
  static const auto effective_number = [](const KeyValues& keys, const ClassCounts& counts) {
    return counts.effective_number_weights(keys["beta"]);
  };
  static const std::vector<WeightRule> table = {
      {
          .name = "cb",
          .title = "class-balanced weights from the first epoch on",
          .equation = "w[j] = (1 - beta) / (1 - beta^n[j]), normalised to mean 1",
          .paper =
              "Cui, Jia, Lin, Song, Belongie: Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, "
              "arXiv 1901.05555",
          .keys = {k_beta},
          .weights = effective_number,
      },
      {
          .name = "inverse",
          .title = "inverse-frequency weights from the first epoch on",
          .equation = "w[j] = 1 / n[j], normalised to mean 1",
          .paper = "",
          .keys = {},
          .weights = [](const KeyValues&, const ClassCounts& counts) { return counts.inverse_frequency_weights(); },
      },
      {
          .name = "drw",
          .title = "deferred re-weighting: class-balanced weights from a later epoch on",
          .equation =
              "w[j] = 1 before epoch round(from * epochs), then (1 - beta) / (1 - beta^n[j]), normalised to mean 1",
          .paper = "Cao et al., NeurIPS 2019, arXiv 1906.07413",
          .keys = {{"from",
                    0.8,
                    {0, 1, false, true},
                    "fraction of the epochs after which the weights begin",
                    "LDAM-DRW code: epoch 160 of 200"},
                   k_beta},
          .weights = effective_number,
      },
  };
  return table;
}

}  // namespace

std::string_view name_of(Head head) { return head == Head::linear ? "linear" : "cosine"; }

bool Range::contains(double value) const {
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::text() const {
  if (low == -k_infinity && high == k_infinity) return "any number";
  if (high == k_infinity) return fmt::format("{} {}", low_open ? "above" : "at least", format_number(low));
  return fmt::format("in {}{}, {}{}", low_open ? '(' : '[', format_number(low), format_number(high),
                     high_open ? ')' : ']');
}

KeyValues::KeyValues(std::span<const Key> keys) : keys_(keys) {
  for (const Key& key : keys) values_.push_back(key.default_value);
}

std::size_t KeyValues::index(std::string_view name) const {
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i].name == name) return i;
  throw std::logic_error(fmt::format("the family table has no key '{}' here", name));
}

std::string KeyValues::text(bool all) const {
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (all || values_[i] != keys_[i].default_value)
      pieces.push_back(fmt::format("{}={}", keys_[i].name, format_number(values_[i])));
  return join(pieces, ",");
}

std::span<const Member> family() { return members(); }

std::span<const WeightRule> weight_rules() { return rules(); }

}  // namespace ulmus
