/// The C interface, with calls in any order and any numbers: states and updates of any length, features of any width,
/// counts, strides and enumerators of any value. Buffers have exactly the size that the interface specifies, so that an
/// access beyond it is detected.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "fuzz.hpp"
#include "ulmus/c.h"
#include "ulmus/loss/family.hpp"

using namespace ulmus;

namespace {

class Calls {
 public:
  explicit Calls(FuzzedDataProvider& data) : data_(data) {}
  ~Calls() { ulmus_loss_free(loss_); }
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  void run() {
    const auto members = family();
    std::string spec(members[data_.ConsumeIntegralInRange<std::size_t>(0, members.size() - 1)].name);
    if (rarely()) spec += data_.ConsumeRandomLengthString(40);
    classes_ = data_.ConsumeIntegralInRange<std::int64_t>(1, 20);
    std::vector<std::int64_t> counts;
    for (std::int64_t j = 0; j < classes_; ++j)
      counts.push_back(rarely() ? data_.ConsumeIntegral<std::int64_t>()
                                : data_.ConsumeIntegralInRange<std::int64_t>(0, 100));
    if (!succeeds(ulmus_loss_create(spec.c_str(), counts.data(), classes_, &loss_))) return;
    std::vector<double> weights(counts.size());
    fuzz::require(succeeds(ulmus_loss_class_weights(loss_, weights.data(), classes_)), "a loss has class weights");
    for (const double weight : weights)
      fuzz::require(weight >= 0 && std::isfinite(weight), "a class weight is finite and not negative");
    for (int calls = 0; calls < 30 && data_.remaining_bytes() > 0; ++calls) call();
  }

 private:
  /// True for success; a failure must have a status of the interface and a message of one line.
  static bool succeeds(ulmus_status status) {
    if (status == ULMUS_OK) return true;
    fuzz::require(status == ULMUS_USAGE || status == ULMUS_DATA || status == ULMUS_ENVIRONMENT,
                  "a failure is a mistake of the caller or out of memory");
    fuzz::require(std::string_view(ulmus_last_error()).size() > 0, "a failure has a message");
    return false;
  }

  bool rarely() { return data_.ConsumeIntegralInRange<int>(0, 63) == 63; }

  double number() {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    switch (data_.ConsumeIntegralInRange<int>(0, 9)) {
      case 0:
        return data_.PickValueInArray({infinity, -infinity, std::numeric_limits<double>::quiet_NaN(), 1e300, -1e300,
                                       std::numeric_limits<double>::max(), 5e-324, -0.0});
      case 1:
        return data_.ConsumeFloatingPoint<double>();
      default:
        return data_.ConsumeIntegralInRange<int>(-8, 8) / 8.0;
    }
  }
  std::vector<double> numbers(std::int64_t n) {
    std::vector<double> values(static_cast<std::size_t>(n));
    const bool usual = data_.ConsumeBool();  // values that a state may contain
    for (double& value : values) value = usual ? data_.ConsumeIntegralInRange<int>(0, 16) / 8.0 : number();
    return values;
  }
  std::int64_t any_size() {
    return data_.ConsumeBool() ? data_.ConsumeIntegralInRange<std::int64_t>(0, 40)
                               : classes_ * data_.ConsumeIntegralInRange<std::int64_t>(0, 6);
  }

  /// Everything that a batch points to.
  struct Memory {
    std::vector<char> logits, gradient;
    std::vector<std::int64_t> labels;
    std::vector<double> losses, sample_weights, features, feature_gradient, weight, weight_gradient, bias,
        bias_gradient, offsets, noise;
    ulmus_batch batch = {};
  };

  template <class T>
  void fill(std::vector<char>& bytes) {
    for (std::size_t k = 0; k + sizeof(T) <= bytes.size(); k += sizeof(T)) {
      const auto value = static_cast<T>(number());
      std::copy_n(reinterpret_cast<const char*>(&value), sizeof(T), bytes.begin() + static_cast<std::ptrdiff_t>(k));
    }
  }

  void make(Memory& of) {
    const auto n = data_.ConsumeIntegralInRange<std::int64_t>(0, 6);
    const auto width = data_.ConsumeIntegralInRange<std::int64_t>(0, 4);
    ulmus_batch& batch = of.batch;
    batch.struct_size = data_.ConsumeIntegralInRange<int>(0, 31) == 0
                            ? data_.ConsumeIntegralInRange<std::size_t>(0, 2 * sizeof(ulmus_batch))
                            : sizeof(ulmus_batch);
    batch.dtype = data_.ConsumeIntegralInRange<std::int32_t>(-1, 4);
    const std::int64_t element = batch.dtype == ULMUS_F64 ? 8 : batch.dtype == ULMUS_F32 ? 4 : 2;
    const auto memory = [&](std::int64_t& stride) {
      stride = data_.ConsumeIntegralInRange<std::int64_t>(-1, classes_ + 2);
      return std::vector<char>(static_cast<std::size_t>(n * std::max(classes_, stride) * element));
    };
    of.logits = memory(batch.logits_stride);
    if (batch.dtype == ULMUS_F64)
      fill<double>(of.logits);
    else if (batch.dtype == ULMUS_F32)
      fill<float>(of.logits);
    else
      for (char& byte : of.logits) byte = data_.ConsumeIntegral<char>();
    batch.n = n;
    batch.logits = of.logits.data();
    for (std::int64_t i = 0; i < n; ++i)
      of.labels.push_back(data_.ConsumeIntegralInRange<std::int64_t>(-1, classes_ - (i == 0 ? 0 : 1)));
    batch.labels = of.labels.data();
    if (data_.ConsumeBool()) {
      of.gradient = memory(batch.gradient_stride);
      batch.gradient = of.gradient.data();
    } else if (data_.ConsumeBool()) {
      batch.gradient = of.logits.data();
      batch.gradient_stride = batch.logits_stride;
    }
    const auto perhaps = [&](std::vector<double>& values, std::int64_t size) -> double* {
      if (!data_.ConsumeBool()) return nullptr;
      values = numbers(size);
      return values.data();
    };
    batch.losses = perhaps(of.losses, n);
    batch.sample_weights = perhaps(of.sample_weights, n);
    for (double& weight : of.sample_weights) weight = std::fabs(weight);
    batch.ignores = data_.ConsumeBool() ? 1 : 0;
    batch.ignore_index = data_.ConsumeIntegralInRange<std::int64_t>(-1, 1);
    batch.reduction = data_.ConsumeIntegralInRange<std::int32_t>(-1, 3);
    batch.threads = data_.ConsumeIntegralInRange<std::int32_t>(-1, 2);
    batch.feature_width = width;
    batch.features = perhaps(of.features, n * width);
    batch.feature_gradient = perhaps(of.feature_gradient, n * width);
    batch.head_weight = perhaps(of.weight, classes_ * width);
    batch.head_weight_gradient = perhaps(of.weight_gradient, classes_ * width);
    batch.head_bias = perhaps(of.bias, classes_);
    batch.head_bias_gradient = perhaps(of.bias_gradient, classes_);
    batch.offsets = perhaps(of.offsets, n * classes_);
    batch.noise = perhaps(of.noise, n * classes_);
    batch.first_position = data_.ConsumeIntegralInRange<std::int64_t>(-1, 3);
    if (data_.ConsumeIntegralInRange<int>(0, 15) == 0) batch.first_position = std::numeric_limits<std::int64_t>::max();
  }

  std::vector<double> state() {
    std::int64_t size = -1;
    fuzz::require(succeeds(ulmus_loss_state_size(loss_, &size)) && size >= 0, "a state has a size");
    std::vector<double> values(static_cast<std::size_t>(size));
    fuzz::require(succeeds(ulmus_loss_get_state(loss_, values.data(), size)), "a state can be read");
    return values;
  }

  void call() {
    switch (data_.ConsumeIntegralInRange<int>(0, 8)) {
      case 0: {
        succeeds(ulmus_loss_set_epoch(loss_, data_.ConsumeIntegralInRange<std::int64_t>(-1, 10),
                                      data_.ConsumeBool() ? 10 : data_.ConsumeIntegral<std::int64_t>()));
        break;
      }
      case 1: {
        const std::vector<double> before = state(), values = numbers(any_size());
        if (!succeeds(ulmus_loss_set_state(loss_, values.data(), static_cast<std::int64_t>(values.size()))))
          fuzz::require(state() == before, "a state that is refused leaves the old one");
        break;
      }
      case 2: {
        const std::vector<double> values = state();
        fuzz::require(succeeds(ulmus_loss_set_state(loss_, values.data(), static_cast<std::int64_t>(values.size()))),
                      "a state that was read can be set");
        break;
      }
      case 3: {
        const std::vector<double> before = state(), delta = numbers(any_size());
        if (!succeeds(ulmus_loss_apply_update(loss_, delta.data(), static_cast<std::int64_t>(delta.size()))))
          fuzz::require(state() == before, "an update that is refused leaves the state");
        break;
      }
      case 4: {
        Memory of;
        make(of);
        std::int64_t size = 0;
        fuzz::require(succeeds(ulmus_loss_delta_size(loss_, of.batch.feature_width, &size)), "a delta has a size");
        std::vector<double> delta(static_cast<std::size_t>(size));
        if (succeeds(ulmus_loss_collect_update(loss_, &of.batch, delta.data(), size)))
          succeeds(ulmus_loss_apply_update(loss_, delta.data(), size));
        break;
      }
      case 5: {
        std::vector<double> weights = numbers(classes_);
        succeeds(ulmus_loss_set_class_weights(loss_, weights.data(), classes_));
        break;
      }
      case 6:
        fuzz::require(succeeds(ulmus_loss_set_seed(loss_, data_.ConsumeIntegral<std::uint64_t>())), "a seed is set");
        break;
      default: {
        Memory of;
        make(of);
        double value = 0;
        succeeds(ulmus_loss_run(loss_, &of.batch, &value));
      }
    }
    for (const double value : state()) fuzz::require(std::isfinite(value), "a state is finite");
  }

  FuzzedDataProvider& data_;
  std::int64_t classes_ = 0;
  ulmus_loss* loss_ = nullptr;
};

}  // namespace

ULMUS_FUZZER(data, size) {
  FuzzedDataProvider provider(data, size);
  Calls(provider).run();
  return 0;
}
