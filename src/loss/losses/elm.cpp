#include "loss/definition.hpp"

namespace ulmus::detail::elm {
namespace {

constexpr double k_lambdas[] = {0, 0.25, 0.5, 0.75, 1};
constexpr std::string_view k_placements[] = {"true", "rival"};
constexpr Key k_keys[] = {
    {"lambda",
     1,
     k_any,
     "weight of the rival's margin; 0 is LDAM; auto: the trainer chooses 0, 0.25, 0.5, 0.75 or 1 on the "
     "validation part",
     "released ELM code",
     {},
     {},
     k_lambdas},
    k_max_margin,
    {"placement",
     "true",
     {},
     "of the rival's margin: in the true logit, or added to the rival's own",
     "true: released ELM code; rival: our other reading of the paper",
     k_placements},
    k_margin_scale,
    k_smoothing};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"],
                      .true_margin = counts.ldam_margins(keys["max_margin"]),
                      .smoothing = same_smoothing(counts, keys["smoothing"])};
  if (keys.word("placement") == "true")
    for (const double margin : params.true_margin) params.rival_margin.push_back(-keys["lambda"] * margin);
  return params;
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  if (keys.word("placement") == "true") return {};
  // Raises the rival's logit by lambda D[m].
  return {.row_offset = [scale = keys["scale"], lambda = keys["lambda"], D = counts.ldam_margins(keys["max_margin"])](
                            const Sample& sample, const LossState&, std::span<double> offset) {
    const auto y = static_cast<std::size_t>(sample.label);
    std::size_t rival = y == 0 ? 1 : 0;
    for (std::size_t j = rival; j < sample.logits.size(); ++j)
      if (j != y && sample.logits[j] > sample.logits[rival]) rival = j;
    offset[rival] += scale * lambda * D[rival];
  }};
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "elm",
    .class_name = "ELM",
    .title = "Enlarged Large Margin loss",
    .equation =
        "l = log(exp(s t) + sum_{j != y} exp(s z[j])) - s t,  t = z[y] - D[y] + lambda D[m],  "
        "m = argmax_{j != y} z[j],  D[j] = max_margin (n_min / n[j])^(1/4)",
    .paper = "Kato, Hotta: Enlarged Large Margin Loss for Imbalanced Classification, IEEE SMC 2023, arXiv 2306.09132",
    .advice =
        "With +drw, where the rare classes matter most. lambda is a head-tail dial: 0 is LDAM, 0.25 to 0.5 "
        "is a good "
        "start; choose it on validation data: `ulmus tune`, or lambda=auto.",
    .pitfalls =
        "The default lambda = 1 is the authors'; it can shift too far: a frequent class whose look-alike "
        "is rare is "
        "given up. The sign is the released code's, in which lambda > 0 lowers the margin against a rare "
        "rival; the "
        "abstract's wording matches lambda < 0, or placement=rival: the rival's logit raised by lambda "
        "D[m] and the true one lowered by D[y]. Ties of the rival go to the lowest class index.",
    .head = Head::cosine,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .shardable = false,
    .takes_soft_targets = true,
};

}  // namespace ulmus::detail::elm
