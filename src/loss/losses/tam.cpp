// Topology-aware margins: shifts logits by how unusual the classes around a node are for its class.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "loss/definition.hpp"
#include "ulmus/loss/graph_margins.hpp"

namespace ulmus::detail::tam {
namespace {

/// Adds edges from each sample's nearest neighbours in feature space; none to or from a row that does not count.
void join_neighbours(MatrixView<const double> features, std::span<const std::int64_t> labels, std::size_t neighbours,
                     std::vector<std::int64_t>& source, std::vector<std::int64_t>& target) {
  std::vector<std::pair<double, std::int64_t>> others;
  for (std::int64_t i = 0; i < features.rows; ++i) {
    if (labels[static_cast<std::size_t>(i)] < 0) continue;
    others.clear();
    for (std::int64_t k = 0; k < features.rows; ++k) {
      if (k == i || labels[static_cast<std::size_t>(k)] < 0) continue;
      double square = 0;
      for (std::int64_t c = 0; c < features.columns; ++c) {
        const double apart = features.row(i)[c] - features.row(k)[c];
        square += apart * apart;
      }
      // NaN would break the ordering of distances.
      others.emplace_back(std::isnan(square) ? std::numeric_limits<double>::infinity() : square, k);
    }
    const auto end = others.begin() + static_cast<std::ptrdiff_t>(std::min(neighbours, others.size()));
    std::partial_sort(others.begin(), end, others.end());
    for (auto it = others.begin(); it != end; ++it) {
      source.push_back(it->second);
      target.push_back(i);
    }
  }
}

constexpr Key k_keys[] = {
    {"alpha", 2.5, k_not_negative, "strength of the connectivity margin", "TAM code"},
    {"beta", 0.5, k_not_negative, "strength of the distribution margin", "TAM code"},
    {"base", "ce", {}, "the loss that is moved", "TAM code", k_bases},
    {"neighbours", 5, {1, 1000}, "of a sample where no graph is given", "ours"},
    {"from", 0.0025, {0, 1, false, true}, "fraction of the epochs after which it begins", "TAM code: 5 of 2000"},
    k_scale};

KernelParams make_params(const KeyValues& keys, const ClassCounts& counts) {
  KernelParams params{.scale = keys["scale"]};
  if (keys.word("base") == "bs") params.offset = log_counts(counts, keys["scale"]);
  return params;
}

LossHooks make_hooks(const KeyValues& keys, const ClassCounts& counts) {
  LossHooks hooks;
  hooks.batch_offset = [counts, alpha = keys["alpha"], beta = keys["beta"],
                        neighbours = static_cast<std::size_t>(keys["neighbours"])](const BatchView& batch) {
    std::vector<std::int64_t> source, target;
    join_neighbours(batch.features.features, batch.labels, neighbours, source, target);
    const auto is_train = std::make_unique<bool[]>(static_cast<std::size_t>(batch.rows));
    for (std::size_t i = 0; i < batch.labels.size(); ++i) is_train[i] = batch.labels[i] >= 0;
    const std::vector<double> unread(static_cast<std::size_t>(batch.rows * batch.classes));
    const GraphMargins margins =
        graph_margins({batch.rows, source, target}, batch.labels, {is_train.get(), batch.labels.size()},
                      {unread.data(), batch.rows, batch.classes}, counts);
    std::vector<double> offset(static_cast<std::size_t>(batch.rows * batch.classes));
    std::size_t k = 0;
    for (std::size_t i = 0; i < batch.labels.size(); ++i)
      if (is_train[i])
        for (std::int64_t j = 0; j < batch.classes; ++j, ++k)
          offset[i * static_cast<std::size_t>(batch.classes) + static_cast<std::size_t>(j)] =
              alpha * std::log(margins.connectivity[k]) - beta * margins.distribution[k];
    return offset;
  };
  return hooks;
}

}  // namespace

extern const LossDefinition k_definition{
    .name = "tam",
    .class_name = "TAM",
    .title = "topology-aware margin, for nodes of a graph",
    .equation =
        "l = base loss of z + alpha log ACM - beta ADM,  the margins from the classes around the node "
        "(include/ulmus/loss/graph_margins.hpp)",
    .paper =
        "Song, Park, Yang: TAM: Topology-Aware Margin Loss for Class-Imbalanced Node Classification, ICML 2022, "
        "arXiv 2206.12917",
    .advice =
        "For graphs: make the margins of a batch with graph_margins and hand them in. Without a graph the "
        "nearest neighbours in feature space make one.",
    .pitfalls =
        "The graph of neighbours is ours, not the paper's: each sample of a batch is joined to its nearest "
        "others, by the features as they are. The margins are constant for the gradient.",
    .head = Head::linear,
    .keys = k_keys,
    .make_params = make_params,
    .make_hooks = make_hooks,
    .needs = {.features = true},
    .chunkable = false,
    .shardable = false,
};

}  // namespace ulmus::detail::tam
