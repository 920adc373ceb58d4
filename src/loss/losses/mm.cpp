#include <utility>

#include "loss/definition.hpp"

namespace ulmus::detail::mm {
namespace {

constexpr std::string_view k_mm_variants[] = {"plain", "ldam"};
constexpr Key k_keys[] = {{"max_margin", 0.5, k_not_negative, "M, in cosine units", "released code"},
                          {"gamma", 1.1, k_any, "weight of M where the sample is right", "released code"},
                          {"variant", "plain", {}, "of M", "released code", k_mm_variants},
                          k_margin_scale,
                          k_smoothing};

constexpr double k_released_max_margin = 0.5;  // of the LDAM margins in this loss, independent of the key max_margin

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  std::vector<double> margins(static_cast<std::size_t>(counts.classes()), keys["max_margin"]);
  if (keys.word("variant") == "ldam") {
    const auto D = counts.ldam_margins(k_released_max_margin);
    for (std::size_t j = 0; j < margins.size(); ++j) margins[j] -= D[j];
  }
  require_finite(margins, "margins");
  return {.scale = keys["scale"],
          .true_logit = {.kind = TrueLogitRule::Kind::gap_decay, .of_class = std::move(margins), .a = keys["gamma"]},
          .smoothing = same_smoothing(counts, keys["smoothing"])};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "mm",
    .class_name = "MM",
    .title = "maximum margin (HMM)",
    .equation =
        "l = ce of s z with t = z[y] - h for z[y],  g = z[y] - max(0, max_{j != y} z[j]),  "
        "h = exp(-g - gamma M) if g > 0, exp(-|g| - M) if g < 0, 0 if g = 0;  M = max_margin, or "
        "max_margin - D[y] (variant ldam)",
    .paper = "Kang, Vu, Yoo: Learning Imbalanced Datasets With Maximum Margin Loss, ICIP 2021, arXiv 2206.05380",
    .advice = "A margin that follows how far the sample is from the boundary; with +drw.",
    .pitfalls =
        "h is constant for the gradient. Released code takes the true score of every row from the first "
        "label of the batch; this is the version for each sample. Its D is made with max_margin 0.5 "
        "whatever max_margin is.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .has_constant_part = true,
    .ignores_offset = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::mm
