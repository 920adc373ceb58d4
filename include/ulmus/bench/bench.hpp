#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// How fast a loss is here, against what this machine and the alternatives can do, as ratios taken within one run.
namespace ulmus::bench {

enum class Dtype { f32, f64, bf16, f16 };

std::string_view name_of(Dtype dtype);

/// "f32", "f64", "bf16" or "f16"; throws Error{usage} with the nearest name.
Dtype parse_dtype(std::string_view name);

/// A batch of n rows and c classes.
struct Size {
  std::int64_t n;
  std::int64_t c;
};

/// "4096x8142"; throws Error{usage}.
Size parse_size(std::string_view text);

struct Options {
  std::vector<std::string> losses = {"ce", "elm"};  ///< in text, see LossSpec
  std::vector<Size> sizes = {{128, 10}, {128, 100}, {256, 1000}, {4096, 8142}, {512, 100000}};
  std::vector<Dtype> dtypes = {Dtype::f32, Dtype::bf16};
  std::vector<int> threads = {1, 2};
  int rounds = 9;         ///< interleaved repetitions, of which the median counts
  double seconds = 0.02;  ///< at least so long each contender runs in a round
  bool peers = true;      ///< measure LibTorch too, where it was built in
};

/// One row of the table. Forward and backward together, the gradient written over the logits; the gradients of one run
/// are the logits of the next, the time does not depend on them.
struct Record {
  std::string loss;
  std::int64_t n;
  std::int64_t c;
  Dtype dtype;
  int threads;
  double ns_per_element;    ///< time of a batch over n * c
  double ceiling_fraction;  ///< time of one in-place multiplication of the same memory by the same threads, over ours
  double ratio_ce;          ///< our time over that of `ce` in the same kernel
  std::optional<double> ratio_eager_ce;  ///< time of LibTorch's cross entropy over ours; f32 only
  std::optional<double> ratio_composed;  ///< time of the ELM reference composed of LibTorch operations over ours; f32
                                         ///< only

  /// Traffic that a fused loss in place cannot avoid, each logit in and each gradient out, over our time.
  double gigabytes_per_second() const;
};

/// Measures every combination. Contenders of one size take turns, so that a disturbance meets all of them. `progress`
/// hears of each record as it comes. Throws Error{usage} for a loss that does not exist or a number that cannot be.
std::vector<Record> run(const Options& options, const std::function<void(const Record&)>& progress = {});

/// Processor, number of logical CPUs, instruction set in use and whether LibTorch was measured, in one line.
std::string machine();

/// An array of objects with the fields of a Record; what was not measured is null.
std::string to_json(std::span<const Record> records);

/// A table for docs/performance.md, with the machine under it.
std::string to_markdown(std::span<const Record> records);

}  // namespace ulmus::bench
