// False cross entropy (by the authors of ELM): also pushes down the probabilities of more frequent classes, each
// through its own logarithm.
#include "loss/losses/fce.hpp"

#include <cmath>
#include <utility>

#include "loss/row_math.hpp"

namespace ulmus::detail::fce {

constexpr double k_floor = 1e-7;  // inside the logarithms, released code

LossHooks false_cross_entropy(double temperature, std::vector<double> offset, const ClassCounts& counts) {
  return {.row_loss = [temperature, offset = std::move(offset),
                       n = std::vector(counts.values().begin(), counts.values().end())](const Sample& sample,
                                                                                        std::span<double> gradient) {
    const auto y = static_cast<std::size_t>(sample.label);
    std::vector<double> p(sample.logits.begin(), sample.logits.end());
    for (std::size_t j = 0; j < p.size(); ++j) p[j] = p[j] / temperature + (offset.empty() ? 0 : offset[j]);
    softmax(p);
    double loss = -std::log(p[y] + k_floor), mean = 0;
    for (std::size_t j = 0; j < p.size(); ++j) {
      double by_p = j == y ? -1 / (p[y] + k_floor) : 0;
      if (n[j] > n[y]) {
        loss -= std::log(1 - p[j] + k_floor);
        by_p += 1 / (1 - p[j] + k_floor);
      }
      gradient[j] = by_p;
      mean += by_p * p[j];
    }
    for (std::size_t j = 0; j < p.size(); ++j) gradient[j] = p[j] * (gradient[j] - mean) / temperature;
    return loss;
  }};
}

namespace {

constexpr Key k_keys[] = {{"temperature", 4, k_positive, "divides the logits", "ELM authors' code"}};

KernelParams make_params(const KeyValues& keys, const ClassCounts&) {
  return {.scale = 1 / keys["temperature"], .reduction = Reduction::mean};
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  return false_cross_entropy(keys["temperature"], {}, counts);
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "fce",
    .class_name = "FCE",
    .title = "false cross entropy",
    .equation = "l = -log(p[y] + 1e-7) - sum_{j: n[j] > n[y]} log(1 - p[j] + 1e-7),  p = softmax(z / temperature)",
    .paper = "In the code of Kato, Hotta (ELM), usagisukisuki/Imbalanced-Classification; in no paper we know of",
    .advice = "Pushes the frequent classes down where a rarer one is right.",
    .pitfalls = "The floors inside the logarithms bound the loss and its gradient.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .shardable = false,
};

}  // namespace ulmus::detail::fce
