#include "ulmus/train/doctor.hpp"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/sysinfo.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "train/weights.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/loss/target.hpp"
#include "ulmus/trees/booster.hpp"

namespace ulmus {
namespace {

Finding processor() {
  const std::int64_t cores = usable_cores();
  return {.topic = "processor",
          .value = fmt::format("{} {}, the kernel uses {} (supported: {})", cores, cores == 1 ? "core" : "cores",
                               target_in_use(), join(available_targets(), ", ")),
          .advice = {}};
}

Finding memory() {
  struct sysinfo info {};
  if (::sysinfo(&info) != 0) return {.topic = "memory", .value = "unknown", .advice = {}};
  const double unit = static_cast<double>(info.mem_unit) / (1 << 30);
  return {.topic = "memory",
          .value = fmt::format("{:.1f} GiB, {:.1f} GiB free", static_cast<double>(info.totalram) * unit,
                               static_cast<double>(info.freeram) * unit),
          .advice = {}};
}

/// The library that multiplies matrices, if it is OpenBLAS: its own name for the processor.
std::optional<std::string> openblas_core() {
  const auto name = reinterpret_cast<const char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  return name ? std::optional<std::string>(name()) : std::nullopt;
}

Finding libtorch() {
  Finding finding{.topic = "LibTorch", .value = TORCH_VERSION, .advice = {}};
  if (const auto core = openblas_core()) {
    finding.value += fmt::format(", matrices by OpenBLAS for '{}'", *core);
    if (*core == "Prescott" && available_targets().front().starts_with("avx"))
      finding.advice =
          "this OpenBLAS does not know the processor and uses its oldest code; set OPENBLAS_CORETYPE=Haswell (commands "
          "that train do so themselves)";
  } else if (at::hasMKL()) {
    finding.value += ", matrices by MKL";
  } else {
    finding.value += ", matrices by another BLAS";
    finding.advice =
        "if it is the reference BLAS, large heads are ten times slower: apt-get install libopenblas0-openmp";
  }
  return finding;
}

Finding xgboost() {
  const std::string version = xgboost_version();
  if (!version.empty()) return {.topic = "XGBoost", .value = version + ", for --model trees", .advice = {}};
  return {.topic = "XGBoost",
          .value = "not in this build, so there is no --model trees",
          .advice = "apt-get install libxgboost-dev, and build again"};
}

Finding gpus() {
  Finding finding{.topic = "GPU", .value = "none that this LibTorch can use", .advice = {}};
  if (torch::cuda::is_available())
    finding.value = fmt::format("{}, choose one with --device cuda", torch::cuda::device_count());
  return finding;
}

Finding stored_models() {
  constexpr std::string_view k_ending = ".safetensors";
  const std::filesystem::path folder = detail::weights_folder();
  std::vector<std::string> names;
  std::error_code code;
  for (std::filesystem::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
    if (const std::string file = it->path().filename().string(); file.ends_with(k_ending))
      names.push_back(printable(file.substr(0, file.size() - k_ending.size())));
  std::ranges::sort(names);
  Finding finding{.topic = "weights",
                  .value = fmt::format("{} in {}", names.empty() ? "none" : join(names, ", "), folder.string()),
                  .advice = {}};
  if (names.empty()) finding.advice = "for photos, 'script/weights efficientnet-lite0' stores a pretrained backbone";
  return finding;
}

Finding data_sets() {
  std::vector<std::string> found;
  for (const char* name : {"fashion-mnist", "mnist", "cifar10", "cifar100"}) try {
      open_data(name);
      found.emplace_back(name);
    } catch (const Error&) {  // not here, or damaged: opening it says so
    }
  Finding finding{.topic = "data sets", .value = found.empty() ? "none by name" : join(found, ", "), .advice = {}};
  if (found.empty()) finding.advice = "apt-get install dataset-fashion-mnist, or set ULMUS_DATA (docs/data.md)";
  return finding;
}

}  // namespace

std::vector<Finding> examine_machine() {
  return {processor(), memory(), libtorch(), xgboost(), gpus(), stored_models(), data_sets()};
}

}  // namespace ulmus
