#include "ulmus/loss/family.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
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

constexpr Key k_scale{"scale", 1, k_positive, "multiplies the logits before the softmax", "definition"};

/// Counts as numbers to take logarithms and powers of: a class without samples counts like the rarest one that has
/// some, as it does for the margins of LDAM.
std::vector<double> positive_counts(const ClassCounts& counts) {
  std::vector<double> positive;
  double smallest = static_cast<double>(counts.total());
  for (const std::int64_t n : counts.values())
    if (n > 0) smallest = std::min(smallest, static_cast<double>(n));
  for (const std::int64_t n : counts.values()) positive.push_back(n > 0 ? static_cast<double>(n) : smallest);
  return positive;
}

RowTerms fill_ce(const KeyValues& keys, const ClassCounts&) { return {.scale = keys["scale"]}; }

RowTerms fill_ldam(const KeyValues& keys, const ClassCounts& counts) {
  return {.scale = keys["scale"], .true_margin = counts.ldam_margins(keys["max_margin"])};
}

RowTerms fill_elm(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms = fill_ldam(keys, counts);
  for (const double margin : terms.true_margin) terms.rival_margin.push_back(-keys["lambda"] * margin);
  return terms;
}

RowTerms fill_bs(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  for (const double n : positive_counts(counts)) terms.offset.push_back(std::log(n) / terms.scale);
  return terms;
}

RowTerms fill_la(const KeyValues& keys, const ClassCounts& counts) {
  RowTerms terms{.scale = keys["scale"]};
  for (const double n : positive_counts(counts))
    terms.offset.push_back(keys["tau"] * std::log(n / static_cast<double>(counts.total())) / terms.scale);
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
  return {.scale = keys["scale"], .focal_gamma = keys["gamma"]};
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
          .keys = {k_scale},
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
      {
          .name = "bs",
          .title = "balanced softmax",
          .equation = "l = log sum_j exp(s z[j] + log n[j]) - s z[y] - log n[y]",
          .paper =
              "Ren, Yu, Sheng, Ma, Zhao, Yi, Li: Balanced Meta-Softmax for Long-Tailed Visual Recognition, NeurIPS "
              "2020, arXiv 2007.10740",
          .advice = "A strong first choice on a linear head, with nothing to tune.",
          .pitfalls = "Predict with z, not with z + log n. With class weights too (+cb, +drw) rare classes are counted "
                      "twice. A class without samples counts like the rarest one that has some.",
          .head = Head::linear,
          .keys = {k_scale},
          .fill = fill_bs,
      },
      {
          .name = "la",
          .title = "logit adjustment",
          .equation = "l = log sum_j exp(s z[j] + tau log pi[j]) - s z[y] - tau log pi[y],  pi[j] = n[j] / sum n",
          .paper = "Menon, Jayasumana, Rawat, Jain, Veit, Kumar: Long-tail Learning via Logit Adjustment, ICLR 2021, "
                   "arXiv 2007.07314",
          .advice = "Balanced softmax with a dial: tau = 1 is bs, 0 is ce, more helps the rare classes more.",
          .pitfalls = "Predict with z. A class without samples counts like the rarest one that has some; released code "
                      "adds 1e-12 to its prior instead.",
          .head = Head::linear,
          .keys = {{"tau", 1, k_any, "strength of the adjustment", "Menon et al."}, k_scale},
          .fill = fill_la,
      },
      {
          .name = "vs",
          .title = "vector scaling",
          .equation = "l = log sum_j exp(v[j]) - v[y],  v[j] = s (n[j] / n_max)^gamma z[j] + tau log pi[j]",
          .paper = "Kini, Paraskevas, Oymak, Thrampoulidis: Label-Imbalanced and Group-Sensitive Classification under "
                   "Overparameterization, NeurIPS 2021, arXiv 2103.01550",
          .advice = "Logit adjustment that also changes the slope of rare logits; gamma = 0 is la.",
          .pitfalls =
              "Predict with z. Copies of the code interchange gamma and tau: gamma is the small one. With gamma "
              "other than 0 a common offset of the logits changes the loss.",
          .head = Head::linear,
          .keys = {{"gamma", 0.3, k_any, "exponent of the slopes; 0: all 1", "VS code"},
                   {"tau", 1, k_any, "strength of the adjustment by the prior", "VS code"},
                   k_scale},
          .fill = fill_vs,
      },
      {
          .name = "cdt",
          .title = "class-dependent temperatures",
          .equation = "l = log sum_j exp(v[j]) - v[y],  v[j] = s z[j] / (n_max / n[j])^gamma",
          .paper =
              "Ye, Chen, Zhan, Chao: Identifying and Compensating for Feature Deviation in Imbalanced Deep Learning, "
              "arXiv 2001.01385",
          .advice = "Vector scaling without the prior; raise gamma until the rare classes stop gaining.",
          .pitfalls = "Predict with z. A common offset of the logits changes the loss.",
          .head = Head::linear,
          .keys = {{"gamma", 0.2, k_any, "exponent of the temperatures", "Bag of Tricks code"}, k_scale},
          .fill = fill_cdt,
      },
      {
          .name = "focal",
          .title = "focal loss, softmax form",
          .equation = "l = (1 - p)^gamma c,  c = log sum_j exp(s z[j]) - s z[y],  p = exp(-c)",
          .paper =
              "Lin, Goyal, Girshick, He, Dollar: Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002",
          .advice = "Turns away from samples that are right already; a mild help against imbalance on its own.",
          .pitfalls =
              "Class weights multiply the whole loss; released long-tailed code puts them inside p, which is then "
              "no probability. Its mean is over the batch even with weights: use the reduction mean to match it.",
          .head = Head::linear,
          .keys = {{"gamma", 1, k_not_negative, "exponent of 1 - p; 0 is ce", "LDAM-DRW code, CIFAR"}, k_scale},
          .fill = fill_focal,
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
