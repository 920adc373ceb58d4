#include "loss/losses/fce.hpp"

namespace ulmus::detail::lafce {
namespace {

constexpr Key k_keys[] = {{"temperature", 6, k_positive, "divides the logits", "ELM authors' code"}};

KernelParams make_params(const KeyValues& keys, const ClassCounts&) {
  return {.scale = 1 / keys["temperature"], .reduction = Reduction::mean};
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  return fce::false_cross_entropy(keys["temperature"], log_prior(counts), counts);
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "lafce",
    .class_name = "LAFCE",
    .title = "logit-adjusted false cross entropy",
    .equation = "fce with p = softmax(z / temperature + log pi)",
    .paper = "In the code of Kato, Hotta (ELM), usagisukisuki/Imbalanced-Classification; in no paper we know of",
    .advice = "fce on top of logit adjustment.",
    .pitfalls = "As fce. Predict with z.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .shardable = false,
};

}  // namespace ulmus::detail::lafce
