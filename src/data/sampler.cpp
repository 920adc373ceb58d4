#include "ulmus/data/sampler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "data/block_shuffle.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

const std::array<std::string, 6> k_names{"instance", "balanced", "sqrt", "progressive", "effective", "drs"};

double parse_fraction(std::string_view value, std::string_view key, std::string_view text) {
  const std::string what = fmt::format("{} in sampler '{}'", key, text);
  const double number = parse_number(value, what);
  if (number < 0 || number > 1) throw_usage(fmt::format("{} is {}, expected 0 to 1", what, value));
  return number;
}

/// (1 - beta^n) / (1 - beta) without cancellation for beta near 1.
double effective_number(std::int64_t n, double beta) {
  const auto count = static_cast<double>(n);
  if (beta == 1) return count;
  if (beta == 0) return 1;
  return -std::expm1(count * std::log1p(beta - 1)) / (1 - beta);
}

void check_epoch(const Sampler& sampler, std::int64_t epoch, std::int64_t epochs) {
  if (sampler.needs_epochs() && (epoch < 0 || epoch >= epochs))
    throw_usage(fmt::format("sampler '{}' is asked for epoch {} (counted from 0) of {}; it needs the number of epochs",
                            sampler.text(), epoch, epochs));
}

}  // namespace

Sampler Sampler::parse(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const std::string_view value = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  const auto found = std::ranges::find(k_names, name);
  if (found == k_names.end()) throw_usage(fmt::format("unknown sampler '{}'; {}", text, suggest(name, k_names)));

  Sampler sampler{.kind = static_cast<Sampler::Kind>(std::distance(k_names.begin(), found))};
  if (sampler.kind == Sampler::Kind::effective) {
    if (value.empty()) throw_usage(fmt::format("sampler '{}' needs its beta; write 'effective:0.9999'", text));
    sampler.beta = parse_fraction(value, "beta", text);
    return sampler;
  }
  if (colon == std::string_view::npos) return sampler;
  if (sampler.kind != Sampler::Kind::deferred)
    throw_usage(fmt::format("sampler '{}' takes nothing after its name; write '{}'", text, name));
  static const std::array<std::string, 2> k_keys{"from", "beta"};
  std::vector<std::string> seen;
  for (const std::string& setting : split(value, ',')) {
    const std::size_t equals = setting.find('=');
    const std::string key = setting.substr(0, equals);
    if (std::ranges::find(k_keys, key) == k_keys.end())
      throw_usage(fmt::format("unknown key '{}' in sampler '{}'; {}", key, text, suggest(key, k_keys)));
    if (std::ranges::find(seen, key) != seen.end())
      throw_usage(fmt::format("{} is given twice in sampler '{}'; leave one out", key, text));
    seen.push_back(key);
    const std::string number = equals == std::string::npos ? "" : setting.substr(equals + 1);
    (key == "from" ? sampler.from : sampler.beta) = parse_fraction(number, key, text);
  }
  return sampler;
}

std::string Sampler::text() const {
  const std::string& name = k_names[static_cast<std::size_t>(kind)];
  if (kind == Sampler::Kind::effective) return fmt::format("{}:{}", name, format_number(beta));
  if (kind == Sampler::Kind::deferred)
    return fmt::format("{}:from={},beta={}", name, format_number(from), format_number(beta));
  return name;
}

bool Sampler::draws(std::int64_t epoch, std::int64_t epochs) const {
  if (kind != Sampler::Kind::deferred) return kind != Sampler::Kind::instance;
  return epoch >= std::min<std::int64_t>(std::llround(from * static_cast<double>(epochs)), epochs - 1);
}

std::vector<double> class_probabilities(const Sampler& sampler, std::span<const std::int64_t> counts,
                                        std::int64_t epoch, std::int64_t epochs) {
  check_epoch(sampler, epoch, epochs);
  const auto images = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
  const auto classes = static_cast<double>(std::ranges::count_if(counts, [](std::int64_t n) { return n > 0; }));
  const bool draws = sampler.draws(epoch, epochs);
  const auto weight = [&](std::int64_t count) {
    const auto n = static_cast<double>(count);
    switch (sampler.kind) {
      case Sampler::Kind::instance:
        return n;
      case Sampler::Kind::balanced:
        return 1.0;
      case Sampler::Kind::sqrt:
        return std::sqrt(n);
      case Sampler::Kind::progressive: {
        const double t = epochs > 1 ? static_cast<double>(epoch) / static_cast<double>(epochs - 1) : 0;
        return (1 - t) * n / images + t / classes;
      }
      case Sampler::Kind::effective:
        return effective_number(count, sampler.beta);
      case Sampler::Kind::deferred:
        return draws ? n / effective_number(count, sampler.beta) : n;
    }
    return n;
  };

  std::vector<double> probabilities;
  for (const std::int64_t count : counts) probabilities.push_back(count > 0 ? weight(count) : 0);
  const double sum = std::accumulate(probabilities.begin(), probabilities.end(), 0.0);
  for (double& probability : probabilities)
    if (sum > 0) probability /= sum;
  return probabilities;
}

std::vector<std::int64_t> sample_epoch(const Sampler& sampler, std::span<const std::int64_t> indices,
                                       std::span<const std::int64_t> labels, const EpochOptions& options) {
  check_epoch(sampler, options.epoch, options.epochs);
  const auto positions = static_cast<std::int64_t>(indices.size());
  const auto epoch = static_cast<std::uint64_t>(options.epoch);
  const auto [rank, world] = options.shard;
  std::vector<std::int64_t> images;

  if (!sampler.draws(options.epoch, options.epochs)) {
    std::vector<std::int64_t> order;
    if (options.blocks.rows > 0) {
      order = detail::block_order(options.blocks, indices, options.seed, options.epoch).order;
    } else {
      order.assign(indices.begin(), indices.end());
      Stream(options.seed, "order", epoch).shuffle(std::span(order));
    }
    if (world == 1) return order;
    for (std::int64_t p = rank; p < positions; p += world) images.push_back(order[static_cast<std::size_t>(p)]);
    return images;
  }

  std::vector<std::vector<std::int64_t>> by_class;
  for (const std::int64_t index : indices) {
    const auto label = static_cast<std::size_t>(labels[static_cast<std::size_t>(index)]);
    if (label >= by_class.size()) by_class.resize(label + 1);
    by_class[label].push_back(index);
  }
  std::vector<std::int64_t> counts;
  for (const auto& members : by_class) counts.push_back(std::ssize(members));
  std::vector<double> sums = class_probabilities(sampler, counts, options.epoch, options.epochs);
  std::partial_sum(sums.begin(), sums.end(), sums.begin());
  // Rounding may leave the last sum below 1; then use the class where the sums first reach their maximum.
  const auto last = std::ranges::lower_bound(sums, sums.empty() ? 0 : sums.back());
  for (std::int64_t p = rank; p < positions; p += world) {
    Stream stream(options.seed, "sample", epoch, static_cast<std::uint64_t>(p));
    const auto reached = std::min(std::ranges::upper_bound(sums, stream.uniform()), last);
    const auto& members = by_class[static_cast<std::size_t>(std::distance(sums.begin(), reached))];
    images.push_back(members[static_cast<std::size_t>(stream.below(members.size()))]);
  }
  return images;
}

}  // namespace ulmus
