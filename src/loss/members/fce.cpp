// False cross entropy of the ELM authors: also the probabilities of the more frequent classes are driven down, each by
// a logarithm of its own.
#include <cmath>

#include "loss/members/fills.hpp"
#include "loss/members/row_math.hpp"

namespace ulmus::detail {
namespace {

constexpr double k_floor = 1e-7;  // inside the logarithms, released code

KernelParams false_cross_entropy(double temperature, std::vector<double> offset, const ClassCounts& counts) {
  KernelParams params{.scale = 1 / temperature, .reduction = Reduction::mean};
  params.hooks.row_loss = [temperature, offset = std::move(offset),
                           n = std::vector(counts.values().begin(), counts.values().end())](
                              const Sample& sample, std::span<double> gradient) {
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
  };
  return params;
}

}  // namespace

KernelParams make_fce_params(const KeyValues& keys, const ClassCounts& counts) {
  return false_cross_entropy(keys["temperature"], {}, counts);
}

KernelParams make_lafce_params(const KeyValues& keys, const ClassCounts& counts) {
  return false_cross_entropy(keys["temperature"], log_prior(counts), counts);
}

}  // namespace ulmus::detail
