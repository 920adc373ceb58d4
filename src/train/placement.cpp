#include "train/placement.hpp"

#include <ATen/autocast_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/train/inference.hpp"

namespace ulmus {
namespace detail {
namespace {

torch::Device parse_device(const std::string& name) {
  static const std::vector<std::string> kinds = {"cpu", "cuda"};
  const std::string kind = name.substr(0, name.find(':'));
  if (name == "cpu") return torch::kCPU;
  if (kind != "cuda")
    throw Error(ErrorKind::usage,
                fmt::format("unknown {} '{}'; {}", option_name("device"), name, suggest(name, kinds)));
  const auto devices = static_cast<std::int64_t>(torch::cuda::is_available() ? torch::cuda::device_count() : 0);
  const std::int64_t index =
      kind == name ? 0 : parse_integer(name.substr(kind.size() + 1), "the number in " + option_name("device"));
  if (index >= 0 && index < devices) return {torch::kCUDA, static_cast<c10::DeviceIndex>(index)};
  throw Error(
      ErrorKind::environment,
      fmt::format("{} is not there: LibTorch {} finds {} here; choose one of these", option_name("device", name),
                  TORCH_VERSION, devices == 0 ? "cpu only" : fmt::format("cpu and cuda:0 to cuda:{}", devices - 1)));
}

/// Returns whether the processor has bfloat16 instructions (x86: AVX512-BF16 or AMX; ARM: BF16).
bool has_bf16_instructions() {
  std::ifstream file("/proc/cpuinfo");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const char* flag : {" avx512_bf16", " amx_bf16", " bf16"})
    if (text.find(flag) != std::string::npos) return true;
  return false;
}

void enable_autocast(c10::DeviceType device, bool on) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  at::autocast::set_autocast_dtype(device, torch::kBFloat16);
  at::autocast::set_autocast_enabled(device, on);
#else
  if (device == torch::kCUDA) {
    at::autocast::set_autocast_gpu_dtype(torch::kBFloat16);
    at::autocast::set_enabled(on);
  } else {
    at::autocast::set_autocast_cpu_dtype(torch::kBFloat16);
    at::autocast::set_cpu_enabled(on);
  }
#endif
}

/// Enables bfloat16 on this thread for the lifetime of the object.
class Autocast {
 public:
  explicit Autocast(c10::DeviceType device) : device_(device) {
    at::autocast::increment_nesting();
    enable_autocast(device_, true);
  }
  ~Autocast() {
    enable_autocast(device_, false);
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();  // weights will change
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  c10::DeviceType device_;
};

}  // namespace

Placement make_placement(const RunOptions& options) {
  static const std::vector<std::string> autocasts = {"none", "bf16"};
  if (std::find(autocasts.begin(), autocasts.end(), options.autocast) == autocasts.end())
    throw Error(ErrorKind::usage, fmt::format("unknown {} '{}'; {}", option_name("autocast"), options.autocast,
                                              suggest(options.autocast, autocasts)));
  const Placement placement{.device = parse_device(options.device),
                            .channels_last = options.channels_last,
                            .bf16 = options.autocast == "bf16"};
  if (placement.bf16 && placement.device.is_cpu() && !has_bf16_instructions())
    warn_once("bf16 without instructions",
              fmt::format("this processor has no bfloat16 instructions (AVX512-BF16 or AMX): {} works, but slowly",
                          option_name("autocast", "bf16")));
  return placement;
}

void place(Classifier& model, const Placement& placement) {
  if (!placement.device.is_cpu()) model->to(placement.device);
  if (!placement.channels_last) return;
  for (torch::Tensor& parameter : model->parameters())
    if (parameter.dim() == 4) parameter.set_data(parameter.detach().contiguous(torch::MemoryFormat::ChannelsLast));
}

torch::Tensor compute_features(Classifier& model, const torch::Tensor& images, const Placement& placement) {
  torch::Tensor input = images.to(placement.device);
  if (placement.channels_last) input = input.contiguous(torch::MemoryFormat::ChannelsLast);
  if (!placement.bf16) return model->features(input);
  const Autocast autocast(placement.device.type());
  return model->features(input).to(torch::kFloat);
}

}  // namespace detail

std::string available_device(const std::string& trained_on) {
  try {
    detail::parse_device(trained_on);
    return trained_on;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::environment) throw;
    warn_once("device", fmt::format("the run was trained on {}, which is not here; using cpu", trained_on));
    return "cpu";
  }
}

}  // namespace ulmus
