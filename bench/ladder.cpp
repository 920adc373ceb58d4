/// The ladder of docs/performance.md: the same ELM loss and gradient; each step adds one idea. All on one thread.
///
///     bench_ladder --benchmark_enable_random_interleaving=true --benchmark_repetitions=9
///                  --benchmark_report_aggregates_only=true

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "loss/row_kernel.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/loss/loss.hpp"

namespace {

using ulmus::ClassCounts;
using ulmus::Loss;
using ulmus::LossSpec;
using ulmus::detail::ForwardResult;

struct Problem {
  std::int64_t rows, classes;
  std::vector<float> logits, gradient;
  std::vector<std::int64_t> labels;
  Loss loss;

  Problem(std::int64_t rows_, std::int64_t classes_)
      : rows(rows_), classes(classes_), gradient(size()), loss(LossSpec::parse("elm"), make_counts(classes_)) {
    ulmus::Stream stream(0, "ladder");
    for (std::size_t k = 0; k < size(); ++k) logits.push_back(static_cast<float>(stream.uniform()));
    for (std::int64_t i = 0; i < rows; ++i)
      labels.push_back(static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(classes))));
  }
  std::size_t size() const { return static_cast<std::size_t>(rows * classes); }
  std::size_t at(std::int64_t i, std::int64_t j) const { return static_cast<std::size_t>(i * classes + j); }

 private:
  static ClassCounts make_counts(std::int64_t classes) {
    std::vector<std::int64_t> counts;
    for (std::int64_t j = 0; j < classes; ++j) counts.push_back(1 + j % 1000);
    return ClassCounts(std::move(counts));
  }
};

/// Step 1, as composed in an operator library: every operation reads and writes whole [N, C] arrays.
void composed(Problem& p) {
  const auto& terms = p.loss.params();
  const std::size_t all = p.size();
  std::vector<float> one_hot(all, 0), masked(all), lowered(all), adjusted(all), scaled(all), shifted(all), e(all);
  for (std::int64_t i = 0; i < p.rows; ++i) one_hot[p.at(i, p.labels[static_cast<std::size_t>(i)])] = 1;
  for (std::size_t k = 0; k < all; ++k) masked[k] = one_hot[k] != 0 ? -1e8F : p.logits[k];
  std::vector<float> margin, top, sum;
  for (std::int64_t i = 0; i < p.rows; ++i) {
    const auto begin = masked.begin() + static_cast<std::ptrdiff_t>(p.at(i, 0));
    const auto rival = static_cast<std::size_t>(std::max_element(begin, begin + p.classes) - begin);
    margin.push_back(static_cast<float>(terms.true_margin[static_cast<std::size_t>(p.labels[margin.size()])] +
                                        terms.rival_margin[rival]));
  }
  const auto each = [&](auto operation) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(p.rows); ++i)
      for (std::size_t k = i * static_cast<std::size_t>(p.classes); k < (i + 1) * static_cast<std::size_t>(p.classes);
           ++k)
        operation(i, k);
  };
  each([&](std::size_t i, std::size_t k) { lowered[k] = p.logits[k] - margin[i]; });
  for (std::size_t k = 0; k < all; ++k) adjusted[k] = one_hot[k] != 0 ? lowered[k] : p.logits[k];
  for (std::size_t k = 0; k < all; ++k) scaled[k] = static_cast<float>(terms.scale) * adjusted[k];
  for (std::int64_t i = 0; i < p.rows; ++i) {
    const auto begin = scaled.begin() + static_cast<std::ptrdiff_t>(p.at(i, 0));
    top.push_back(*std::max_element(begin, begin + p.classes));
  }
  each([&](std::size_t i, std::size_t k) { shifted[k] = scaled[k] - top[i]; });
  for (std::size_t k = 0; k < all; ++k) e[k] = std::exp(shifted[k]);
  for (std::int64_t i = 0; i < p.rows; ++i) {
    float row_sum = 0;
    for (std::int64_t j = 0; j < p.classes; ++j) row_sum += e[p.at(i, j)];
    sum.push_back(row_sum);
  }
  each([&](std::size_t i, std::size_t k) { e[k] = e[k] / sum[i] - one_hot[k]; });
  for (std::size_t k = 0; k < all; ++k) p.gradient[k] = static_cast<float>(terms.scale) * e[k];
}

/// Step 2: one plain loop over each row, which stores only the gradient.
void scalar(Problem& p) {
  const auto& terms = p.loss.params();
  for (std::int64_t i = 0; i < p.rows; ++i) {
    const float* z = p.logits.data() + p.at(i, 0);
    float* g = p.gradient.data() + p.at(i, 0);
    const std::int64_t y = p.labels[static_cast<std::size_t>(i)];
    std::int64_t rival = y == 0 ? 1 : 0;
    for (std::int64_t j = 0; j < p.classes; ++j)
      if (j != y && z[j] > z[rival]) rival = j;
    double sum = 0;
    for (std::int64_t j = 0; j < p.classes; ++j) {
      g[j] = j == y ? 0 : std::exp(static_cast<float>(terms.scale) * (z[j] - z[rival]));
      sum += static_cast<double>(g[j]);
    }
    const double margin =
        terms.true_margin[static_cast<std::size_t>(y)] + terms.rival_margin[static_cast<std::size_t>(rival)];
    const double d = std::log(sum) + terms.scale * (static_cast<double>(z[rival]) - static_cast<double>(z[y]) + margin);
    const double pull = terms.scale / (1 + std::exp(-d)) / static_cast<double>(p.rows);
    for (std::int64_t j = 0; j < p.classes; ++j) g[j] *= static_cast<float>(pull / sum);
    g[y] = static_cast<float>(-pull);
  }
}

/// Step 3: vectors, but separate forward and backward calls, as in autograd.
void vectors(Problem& p) {
  p.loss.evaluate<float>({p.logits.data(), p.rows, p.classes}, {.labels = p.labels, .threads = 1});
  p.loss.evaluate<float>({p.logits.data(), p.rows, p.classes}, {.labels = p.labels, .threads = 1},
                         {p.gradient.data(), p.rows, p.classes});
}

/// Steps 4 to 6: one call for both; in place; the next row prefetched during the exponentials.
void rows(Problem& p, bool in_place, bool prefetched) {
  const auto& kernels = ulmus::detail::row_kernels();
  const auto& terms = p.loss.params();
  const auto blocks = static_cast<std::size_t>(ulmus::detail::block_count(p.classes));
  std::vector<double> maxima(blocks), sums(blocks);
  for (std::int64_t i = 0; i < p.rows; ++i) {
    const float* row = p.logits.data() + p.at(i, 0);
    float* gradient = (in_place ? p.logits : p.gradient).data() + p.at(i, 0);
    const ulmus::detail::Tile<float> tile{.logits = row,
                                          .logits_stride = p.classes,
                                          .gradient = gradient,
                                          .gradient_stride = p.classes,
                                          .labels = p.labels.data() + i,
                                          .rows = 1,
                                          .classes = p.classes,
                                          .wants_rival = true,
                                          .next = prefetched && i + 1 < p.rows ? row + p.classes : row,
                                          .exponentials = gradient,
                                          .exponentials_stride = p.classes,
                                          .maxima = maxima.data(),
                                          .sums = sums.data()};
    std::array<double, ulmus::detail::k_most_tile_rows> parameter{}, sum{}, gap{}, value, slope;
    ForwardResult result;
    kernels.f32.large_c_uniform.forward(tile, {.scale = terms.scale}, &result);
    sum[0] = result.sum;
    gap[0] = terms.scale *
             (result.maximum - result.true_value + terms.true_margin[static_cast<std::size_t>(tile.labels[0])] +
              terms.rival_margin[static_cast<std::size_t>(result.rival)]);
    kernels.plain(parameter.data(), 1, sum.data(), gap.data(), value.data(), slope.data());
    const double wrong_dlogit = slope[0] * terms.scale / static_cast<double>(p.rows), true_dlogit = -wrong_dlogit;
    kernels.f32.large_c_uniform.backward(tile, {.scale = terms.scale}, &result, &wrong_dlogit, &true_dlogit);
  }
}

void enter(const std::string& step, std::int64_t n, std::int64_t c, std::function<void(Problem&)> run) {
  const std::string name = "elm/" + step + "/f32/N:" + std::to_string(n) + "/C:" + std::to_string(c) + "/threads:1";
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    Problem problem(n, c);
    for (auto _ : state) run(problem);
    state.counters["per_element"] = benchmark::Counter(
        static_cast<double>(n * c), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
  })->Unit(benchmark::kMillisecond);
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const auto& [n, c] : {std::pair{128, 100}, {1024, 8142}}) {
    enter("1_composed", n, c, composed);
    enter("2_scalar", n, c, scalar);
    enter("3_vector", n, c, vectors);
    enter("4_fused", n, c, [](Problem& p) { rows(p, false, false); });
    enter("5_in_place", n, c, [](Problem& p) { rows(p, true, false); });
    enter("6_prefetched", n, c, [](Problem& p) { rows(p, true, true); });
  }
  benchmark::RunSpecifiedBenchmarks();
}
