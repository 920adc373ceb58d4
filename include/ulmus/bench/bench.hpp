#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/spec.hpp"

/// Measures the speed of a loss relative to the limits of this machine and to alternatives, as ratios within one run.
namespace ulmus::bench {

enum class Dtype { f32, f64, bf16, f16 };

std::string_view name_of(Dtype dtype);

/// Parses "f32", "f64", "bf16" or "f16"; throws Error{usage} with the nearest name.
Dtype parse_dtype(std::string_view name);

/// A batch of n rows and c classes.
struct Size {
  std::int64_t n;
  std::int64_t c;
};

/// Parses "4096x8142"; throws Error{usage} for other text.
Size parse_size(std::string_view text);

struct Options {
  std::vector<LossSpec> losses = parse_losses("ce,elm");
  std::vector<Size> sizes = {{128, 10}, {128, 100}, {256, 1000}, {4096, 8142}, {512, 100000}};
  std::vector<Dtype> dtypes = {Dtype::f32, Dtype::bf16};
  std::vector<int> threads = {1, 2};
  int rounds = 9;         ///< interleaved repetitions, whose median is reported
  double seconds = 0.02;  ///< minimum time per contender and round
  bool peers = true;      ///< also measure LibTorch if it was built in
};

/// One row of the table. Forward and backward together; the gradient overwrites the logits. The gradients of one run
/// are the logits of the next; the time does not depend on their values.
struct Record {
  std::string loss;
  std::int64_t n;
  std::int64_t c;
  Dtype dtype;
  int threads;
  double ns_per_element;    ///< time of a batch divided by n * c
  double ceiling_fraction;  ///< time of one in-place multiplication of the same memory by the same threads, divided by
                            ///< ours
  double ratio_ce;          ///< our time divided by that of `ce` in the same kernel
  std::optional<double> ratio_eager_ce;  ///< time of LibTorch's cross entropy divided by ours; f32 only
  std::optional<double> ratio_composed;  ///< time of the ELM reference composed of LibTorch operations divided by ours;
                                         ///< f32 only

  /// Minimum memory traffic of a fused in-place loss (each logit in and each gradient out) divided by our time.
  double gigabytes_per_second() const;
};

/// Measures every combination. Contenders of one size take turns, so that a disturbance affects all of them. `progress`
/// is called with each record as it is completed. Throws Error{usage} for an unknown loss or an invalid number.
std::vector<Record> run(const Options& options, const std::function<void(const Record&)>& progress = {});

/// The rate in GB/s at which `threads` threads read and write memory: the median of in-place multiplications of 64 MiB.
double memory_rate(int threads);

/// One line with processor, number of logical CPUs, instruction set in use and whether LibTorch was measured.
std::string machine();

/// An array of objects with the fields of a Record; values that were not measured are null.
std::string to_json(std::span<const Record> records);

/// A table for docs/performance.md, followed by a description of the machine.
std::string to_markdown(std::span<const Record> records);

}  // namespace ulmus::bench
