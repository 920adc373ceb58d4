#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ulmus/loss/class_counts.hpp"
#include "ulmus/loss/view.hpp"

namespace ulmus {

/// A directed graph: edge k goes from source[k] to target[k], nodes count from 0. An undirected graph has both
/// directions. No self loops, no edge twice.
struct Graph {
  std::int64_t nodes = 0;
  std::span<const std::int64_t> source;
  std::span<const std::int64_t> target;
};

/// The two topology-aware margins of the training nodes, in the order of the nodes, [training nodes, C] row-major.
struct GraphMargins {
  std::vector<double> connectivity;  ///< ACM in (0, 1], 1 at the label
  std::vector<double> distribution;  ///< ADM, 0 at the label
};

/// Topology-aware margins (Song, Park, Yang, ICML 2022, arXiv 2206.12917): how far the classes around a node differ
/// from those that are usual around its class. With the predicted distribution of every node, q[v], the mean over v
/// and the sources of its edges, and C[c] the mean of q over the training nodes of class c:
///
///     ACM[v, j] = min(1, (q[v, y] / C[y, y]) (C[y, j] / q[v, j]))
///     ADM[v, j] = (J(q[v], C[y])^2 + J(C[y], C[j])^2 - J(q[v], C[j])^2) / (2 J(C[y], C[j])^2)
///
/// with J the Jensen-Shannon divergence; the loss `tam` adds alpha log ACM - beta ADM to the logits. A training node's
/// distribution is its label; of the others it is softmax(T[j] z[j]), T[j] = phi (r[j] + 1 - max r),
/// r[j] = 0.4 n[j] / sum n + 0.6. A class without a training node has no usual surroundings: ACM 1 and ADM 0 (the
/// released code gives NaN).
///
/// @param labels     [nodes], in [0, C) for training nodes, anything for the others
/// @param is_train   [nodes]
/// @param logits     [nodes, C]
/// @param counts     of the training nodes, C classes
/// @param phi        temperature
/// Throws Error{data} for shapes that do not fit, a label or an edge out of range.
GraphMargins graph_margins(const Graph& graph, std::span<const std::int64_t> labels, std::span<const bool> is_train,
                           MatrixView<const double> logits, const ClassCounts& counts, double phi = 1.2);

}  // namespace ulmus
