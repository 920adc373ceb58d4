#include "model.hpp"

#include <algorithm>
#include <numeric>

namespace ulmus {
namespace {

std::vector<SparseCounts> pooled_confusion(std::span<const TrialResult> members, std::span<const std::size_t> order) {
  std::vector<std::int64_t> position(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) position[order[i]] = static_cast<std::int64_t>(i);
  std::vector<SparseCounts> pooled(order.size());
  for (const TrialResult& member : members)
    for (std::size_t y = 0; y < order.size(); ++y)
      for (const auto& [j, count] : member.test.confusion[order[y]])
        pooled[y][position[static_cast<std::size_t>(j)]] += count;
  return pooled;
}

}  // namespace

ClassOrder class_order(std::span<const std::int64_t> train_counts) {
  ClassOrder order;
  order.by_count.resize(train_counts.size());
  std::iota(order.by_count.begin(), order.by_count.end(), std::size_t{0});
  std::stable_sort(order.by_count.begin(), order.by_count.end(),
                   [&](std::size_t a, std::size_t b) { return train_counts[a] > train_counts[b]; });
  order.third = std::max<std::size_t>(1, train_counts.size() / 3);
  return order;
}

std::vector<std::span<const TrialResult>> members_by_loss(const RunFolder& run) {
  std::vector<std::span<const TrialResult>> groups;
  const std::span<const TrialResult> results = run.results;
  for (std::size_t begin = 0, end = 0; begin < results.size(); begin = end) {
    while (end < results.size() && results[end].loss == results[begin].loss) ++end;
    groups.push_back(results.subspan(begin, end - begin));
  }
  return groups;
}

std::optional<double> group_recall(const Evaluation& evaluation, std::span<const std::size_t> classes) {
  double sum = 0;
  int count = 0;
  for (const std::size_t y : classes)
    if (evaluation.classes[y].recall) {
      sum += *evaluation.classes[y].recall;
      ++count;
    }
  if (count == 0) return std::nullopt;
  return sum / count;
}

std::optional<double> group_recall(std::span<const TrialResult> members, std::span<const std::size_t> classes) {
  double sum = 0;
  int count = 0;
  for (const TrialResult& member : members)
    if (const auto recall = group_recall(member.test, classes)) {
      sum += *recall;
      ++count;
    }
  if (count == 0) return std::nullopt;
  return sum / count;
}

std::int64_t total_count(const SparseCounts& counts) {
  std::int64_t total = 0;
  for (const auto& [index, count] : counts) total += count;
  return total;
}

ReportModel::ReportModel(const RunFolder& of_run, const Summary& its_summary)
    : run(of_run), summary(its_summary), order(class_order(of_run.train_counts)), members(members_by_loss(of_run)) {
  for (const auto& of_loss : members) confusions.push_back(pooled_confusion(of_loss, order.by_count));
}

}  // namespace ulmus
