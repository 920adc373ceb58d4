#include "ulmus/bench/bench.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "bench/peers.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/loss/target.hpp"

namespace ulmus::bench {
namespace {

constexpr Dtype k_dtypes[] = {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::f16};

constexpr std::int64_t k_feature_width = 64;

double seconds_of(const std::function<void()>& work, std::int64_t times) {
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t i = 0; i < times; ++i) work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Contenders of one size, measured in turns.
class Race {
 public:
  /// Returns the index of the contender.
  std::size_t enter(std::function<void()> work) {
    contenders_.push_back({std::move(work), 1, {}});
    return contenders_.size() - 1;
  }

  void run(const Options& options) {
    for (Contender& one : contenders_) {
      one.work();
      double time = seconds_of(one.work, 1);
      while (time * static_cast<double>(one.times) < options.seconds && one.times < (1 << 24)) {
        one.times *= 2;
        time = seconds_of(one.work, one.times) / static_cast<double>(one.times);
      }
    }
    // Each round starts with another contender, and each warms up first, so that no contender always follows the one
    // that leaves the caches cold.
    for (std::size_t round = 0; round < static_cast<std::size_t>(options.rounds); ++round)
      for (std::size_t k = 0; k < contenders_.size(); ++k) {
        Contender& one = contenders_[(round + k) % contenders_.size()];
        one.work();
        one.seconds.push_back(seconds_of(one.work, one.times) / static_cast<double>(one.times));
      }
  }

  double seconds(std::size_t one) const { return median(contenders_[one].seconds); }

  /// Median over the rounds of the time of `a` divided by that of `b` in the same round.
  double ratio(std::size_t a, std::size_t b) const {
    std::vector<double> ratios;
    for (std::size_t round = 0; round < contenders_[a].seconds.size(); ++round)
      ratios.push_back(contenders_[a].seconds[round] / contenders_[b].seconds[round]);
    return median(std::move(ratios));
  }

 private:
  struct Contender {
    std::function<void()> work;
    std::int64_t times;
    std::vector<double> seconds;
  };
  std::vector<Contender> contenders_;
};

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define ULMUS_BEST_VECTORS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define ULMUS_BEST_VECTORS
#endif
ULMUS_BEST_VECTORS void multiply(float* values, std::int64_t begin, std::int64_t end, float factor) {
  for (std::int64_t i = begin; i < end; ++i) values[i] *= factor;
}
ULMUS_BEST_VECTORS void multiply(double* values, std::int64_t begin, std::int64_t end, double factor) {
  for (std::int64_t i = begin; i < end; ++i) values[i] *= factor;
}
ULMUS_BEST_VECTORS void multiply(std::uint16_t* values, std::int64_t begin, std::int64_t end, std::uint16_t factor) {
  for (std::int64_t i = begin; i < end; ++i) values[i] = static_cast<std::uint16_t>(values[i] * factor);
}

/// An in-place multiplication of memory, the machine's limit: reads and writes each byte once and computes almost
/// nothing. The factor is 1, so the values stay the same; 16-bit types are multiplied as integers.
template <class T>
void multiply_in_place(T* memory, std::int64_t count, int threads) {
  using Value = std::conditional_t<sizeof(T) == 2, std::uint16_t, T>;
  static volatile Value one = 1;
  const Value factor = one;
  const auto values = reinterpret_cast<Value*>(memory);
  if (count < (1 << 15)) threads = 1;  // as in the loss: with little memory only the start of threads would be measured
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
  for (int t = 0; t < threads; ++t) multiply(values, count * t / threads, count * (t + 1) / threads, factor);
}

template <class T>
void measure(const Options& options, Size size, Dtype dtype, int threads, std::vector<Record>& records,
             const std::function<void(const Record&)>& progress) {
  Stream stream(0, "bench");
  std::vector<std::int64_t> counts, labels;
  for (std::int64_t j = 0; j < size.c; ++j) counts.push_back(static_cast<std::int64_t>(1 + stream.below(1000)));
  for (std::int64_t i = 0; i < size.n; ++i)
    labels.push_back(static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(size.c))));
  const ClassCounts class_counts(counts);

  // One buffer for all: its pages and cache sets affect the time more than the loss does.
  const std::int64_t elements = size.n * size.c;
  std::vector<T> memory(static_cast<std::size_t>(elements));
  for (T& value : memory) value = T(static_cast<float>(stream.uniform()));

  // For losses that use features and a head.
  const auto normals = [&](std::int64_t n) {
    std::vector<double> values(static_cast<std::size_t>(n));
    for (double& value : values) value = stream.normal();
    return values;
  };
  const std::vector<double> features = normals(size.n * k_feature_width), weight = normals(size.c * k_feature_width),
                            bias = normals(size.c);
  std::vector<double> feature_gradient(features.size()), weight_gradient(weight.size()), bias_gradient(bias.size());
  const FeatureBatch head{.features = {features.data(), size.n, k_feature_width},
                          .gradient = {feature_gradient.data(), size.n, k_feature_width},
                          .head_weight = {weight.data(), size.c, k_feature_width},
                          .head_weight_gradient = {weight_gradient.data(), size.c, k_feature_width},
                          .head_bias = bias,
                          .head_bias_gradient = bias_gradient};

  Race race;
  const auto enter = [&](const LossSpec& spec) {
    Loss made(spec, class_counts);
    made.set_epoch(1, 2);  // losses with a key `from` are active in the second half
    LossBatch batch{.labels = labels, .threads = threads};
    if (made.spec().definition().needs.features) batch.features = head;
    return race.enter([&, batch, loss = std::move(made)]() mutable {
      if (loss.is_stateful()) loss.apply_update(loss.collect_update<T>({memory.data(), size.n, size.c}, batch));
      loss.evaluate<T>({memory.data(), size.n, size.c}, batch, {memory.data(), size.n, size.c});
    });
  };
  const std::size_t ceiling = race.enter([&] { multiply_in_place(memory.data(), elements, threads); });
  const LossSpec plain = LossSpec::parse("ce");
  const std::size_t ce = enter(plain);
  std::vector<std::size_t> ours;
  for (const LossSpec& spec : options.losses) ours.push_back(spec == plain ? ce : enter(spec));
  std::optional<std::size_t> eager_ce, composed;
  if (options.peers && dtype == Dtype::f32)
    if (auto peers = make_peers(size.n, size.c, labels, class_counts.ldam_margins(0.5), threads)) {
      eager_ce = race.enter(std::move(peers->eager_ce));
      composed = race.enter(std::move(peers->composed_elm));
    }
  race.run(options);

  for (std::size_t k = 0; k < ours.size(); ++k) {
    Record record{.loss = options.losses[k].text(),
                  .n = size.n,
                  .c = size.c,
                  .dtype = dtype,
                  .threads = threads,
                  .ns_per_element = race.seconds(ours[k]) * 1e9 / static_cast<double>(elements),
                  .ceiling_fraction = race.ratio(ceiling, ours[k]),
                  .ratio_ce = race.ratio(ours[k], ce),
                  .ratio_eager_ce = {},
                  .ratio_composed = {}};
    if (eager_ce) record.ratio_eager_ce = race.ratio(*eager_ce, ours[k]);
    if (composed) record.ratio_composed = race.ratio(*composed, ours[k]);
    records.push_back(record);
    if (progress) progress(record);
  }
}

std::int64_t bytes_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return 4;
    case Dtype::f64:
      return 8;
    default:
      return 2;
  }
}

void check(const Options& options) {
  for (const Size& size : options.sizes)
    if (size.n < 1 || size.c < 1) throw_usage(fmt::format("the size is {}x{}, expected at least 1x1", size.n, size.c));
  for (const int threads : options.threads)
    if (threads < 1) throw_usage(fmt::format("the number of threads is {}, expected at least 1", threads));
  if (options.rounds < 1) throw_usage(fmt::format("the number of rounds is {}, expected at least 1", options.rounds));
}

}  // namespace

std::string_view name_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return "f32";
    case Dtype::f64:
      return "f64";
    case Dtype::bf16:
      return "bf16";
    default:
      return "f16";
  }
}

Dtype parse_dtype(std::string_view name) {
  std::vector<std::string> names;
  for (const Dtype dtype : k_dtypes) {
    if (name == name_of(dtype)) return dtype;
    names.emplace_back(name_of(dtype));
  }
  throw Error(ErrorKind::usage, fmt::format("unknown dtype '{}'; {}", name, suggest(name, names)));
}

Size parse_size(std::string_view text) {
  const auto pieces = split(text, 'x');
  if (pieces.size() != 2)
    throw Error(ErrorKind::usage, fmt::format("size '{}' is not ROWSxCLASSES; write for example 128x100", text));
  return {parse_integer(pieces[0], "the rows of a size"), parse_integer(pieces[1], "the classes of a size")};
}

double Record::gigabytes_per_second() const { return 2 * static_cast<double>(bytes_of(dtype)) / ns_per_element; }

std::vector<Record> run(const Options& options, const std::function<void(const Record&)>& progress) {
  check(options);
  std::vector<Record> records;
  for (const Size& size : options.sizes)
    for (const Dtype dtype : options.dtypes)
      for (const int threads : options.threads) {
        const auto measure_as = [&](auto zero) {
          measure<decltype(zero)>(options, size, dtype, threads, records, progress);
        };
        if (dtype == Dtype::f32) measure_as(float{});
        if (dtype == Dtype::f64) measure_as(double{});
        if (dtype == Dtype::bf16) measure_as(BFloat16{});
        if (dtype == Dtype::f16) measure_as(Half{});
      }
  return records;
}

double memory_rate(int threads) {
  constexpr int k_repetitions = 7;
  std::vector<float> memory(std::size_t{1} << 24, 1.0f);
  std::vector<double> seconds;
  for (int i = 0; i < k_repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    multiply_in_place(memory.data(), std::ssize(memory), threads);
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::ranges::nth_element(seconds, seconds.begin() + k_repetitions / 2);
  return 2 * static_cast<double>(memory.size() * sizeof(float)) / seconds[k_repetitions / 2] / 1e9;
}

std::string machine() {
  std::string processor = "unknown processor";
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) {
      processor = line.substr(line.find(':') + 2);
      break;
    }
  return fmt::format("{}, {} logical CPUs, instruction set {}", processor, std::thread::hardware_concurrency(),
                     target_in_use());
}

std::string to_json(std::span<const Record> records) {
  auto list = nlohmann::ordered_json::array();
  const auto or_null = [](const std::optional<double>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
  };
  for (const Record& record : records)
    list.push_back({{"loss", record.loss},
                    {"n", record.n},
                    {"c", record.c},
                    {"dtype", name_of(record.dtype)},
                    {"threads", record.threads},
                    {"ns_per_element", record.ns_per_element},
                    {"ceiling_fraction", record.ceiling_fraction},
                    {"ratio_ce", record.ratio_ce},
                    {"ratio_eager_ce", or_null(record.ratio_eager_ce)},
                    {"ratio_composed", or_null(record.ratio_composed)}});
  return list.dump(2) + "\n";
}

std::string to_markdown(std::span<const Record> records) {
  std::string table =
      "| loss | N | C | dtype | threads | ns/element | GB/s | of the ceiling | against CE here | times faster than "
      "eager CE | times faster than composed ELM |\n"
      "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
  const auto or_dash = [](const std::optional<double>& value) { return value ? fmt::format("{:.1f}", *value) : "-"; };
  for (const Record& record : records)
    table += fmt::format("| {} | {} | {} | {} | {} | {:.3f} | {:.1f} | {:.0f}% | {:.2f} | {} | {} |\n", record.loss,
                         record.n, record.c, name_of(record.dtype), record.threads, record.ns_per_element,
                         record.gigabytes_per_second(), 100 * record.ceiling_fraction, record.ratio_ce,
                         or_dash(record.ratio_eager_ce), or_dash(record.ratio_composed));
  return table + fmt::format("\nMachine: {}.\n", machine());
}

}  // namespace ulmus::bench
