#include <torch/torch.h>

#include <vector>

#include "bench/peers.hpp"

namespace ulmus::bench {
namespace {

constexpr double k_lambda = 1, k_scale = 30;

/// The released ELM code, operation by operation.
torch::Tensor composed_elm(const torch::Tensor& logits, const torch::Tensor& labels, const torch::Tensor& margins) {
  const auto one_hot = torch::zeros_like(logits, torch::kBool).scatter_(1, labels.unsqueeze(1), 1);
  const auto of_label = torch::matmul(margins.unsqueeze(0), one_hot.to(torch::kFloat).t()).view({-1, 1});
  const auto rival = torch::where(one_hot, torch::full_like(logits, -1e8), logits).argmax(1);
  const auto rival_one_hot = torch::zeros_like(logits, torch::kBool).scatter_(1, rival.unsqueeze(1), 1);
  const auto of_rival = torch::matmul(margins.unsqueeze(0), rival_one_hot.to(torch::kFloat).t()).view({-1, 1});
  const auto lowered = logits - of_label + k_lambda * of_rival;
  return torch::nn::functional::cross_entropy(k_scale * torch::where(one_hot, lowered, logits), labels);
}

}  // namespace

std::optional<Peers> make_peers(std::int64_t n, std::int64_t c, std::span<const std::int64_t> labels,
                                std::span<const double> margins, int threads) {
  torch::set_num_threads(threads);
  auto logits = torch::randn({n, c}).requires_grad_();
  const auto target = torch::tensor(std::vector<std::int64_t>(labels.begin(), labels.end()));
  const auto margin = torch::tensor(std::vector<double>(margins.begin(), margins.end())).to(torch::kFloat);
  const auto step = [logits](const torch::Tensor& loss) {
    loss.backward();
    logits.mutable_grad().reset();
  };
  return Peers{
      .eager_ce = [=] { step(torch::nn::functional::cross_entropy(logits, target)); },
      .composed_elm = [=] { step(composed_elm(logits, target, margin)); },
  };
}

}  // namespace ulmus::bench
