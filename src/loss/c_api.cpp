#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/c.h"
#include "ulmus/loss/describe.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/loss/target.hpp"
#include "ulmus/version.h"

struct ulmus_loss {
  ulmus::Loss loss;
  std::string text;
};

namespace {

using ulmus::Error;
using ulmus::ErrorKind;

std::string& last_error() {
  thread_local std::string message;
  return message;
}

ulmus_status fail(ulmus_status status, const char* message) noexcept {
  try {
    last_error() = message;
  } catch (...) {  // not enough memory for the message: only the status reports the error
  }
  return status;
}

/// Runs `body` and converts exceptions into a status.
template <class Body>
ulmus_status guarded(Body body) noexcept {
  try {
    body();
    return ULMUS_OK;
  } catch (const Error& error) {
    return fail(static_cast<ulmus_status>(error.exit_code()), error.what());
  } catch (const std::bad_alloc&) {
    return fail(ULMUS_ENVIRONMENT, "out of memory");
  } catch (const std::length_error&) {  // more elements than a vector can hold
    return fail(ULMUS_ENVIRONMENT, "out of memory");
  } catch (const std::exception& error) {
    return fail(ULMUS_INTERNAL, error.what());
  } catch (...) {
    return fail(ULMUS_INTERNAL, "an unknown exception");
  }
}

void expect(const void* pointer, const char* what) {
  if (pointer == nullptr) throw Error(ErrorKind::usage, fmt::format("{} is a null pointer", what));
}

/// Copies to a caller's buffer with space for `capacity` values.
void copy_out(std::span<const double> values, double* buffer, std::int64_t capacity, const char* what) {
  if (capacity < static_cast<std::int64_t>(values.size()))
    throw Error(ErrorKind::usage,
                fmt::format("the buffer for {} has {} places, expected at least {}", what, capacity, values.size()));
  if (!values.empty()) expect(buffer, what);
  std::copy(values.begin(), values.end(), buffer);
}

/// Copies a caller's batch of this or an earlier version; missing fields become zero.
ulmus_batch read_batch(const ulmus_batch* batch) {
  expect(batch, "batch");
  constexpr std::size_t k_sizes[] = {offsetof(ulmus_batch, features), sizeof(ulmus_batch)};
  const std::size_t size = batch->struct_size;
  if (std::find(std::begin(k_sizes), std::end(k_sizes), size) == std::end(k_sizes))
    throw Error(ErrorKind::usage,
                fmt::format("struct_size of the batch is {}, expected {}; set it to sizeof(ulmus_batch), and use a "
                            "library at least as new as the header",
                            size, fmt::join(k_sizes, " or ")));
  ulmus_batch full = {};
  std::memcpy(&full, batch, size);
  if (full.device != ULMUS_CPU)
    throw Error(ErrorKind::usage,
                fmt::format("device is {}, expected ULMUS_CPU (0): this version runs on the CPU only", full.device));
  if (full.stream != nullptr)
    throw Error(ErrorKind::usage, "stream is set, expected NULL: this version runs on the CPU only, in the call");
  return full;
}

template <class T>
std::span<T> optional_span(T* data, std::int64_t length) {
  return data == nullptr ? std::span<T>() : std::span<T>(data, static_cast<std::size_t>(length));
}

ulmus::Reduction reduction_of(std::int32_t reduction) {
  switch (reduction) {
    case ULMUS_MEAN:
      return ulmus::Reduction::mean;
    case ULMUS_WEIGHTED_MEAN:
      return ulmus::Reduction::weighted_mean;
    case ULMUS_NONE:
      return ulmus::Reduction::none;
    default:
      throw Error(ErrorKind::usage, fmt::format("reduction is {}, expected an ulmus_reduction, 0 to 2", reduction));
  }
}

template <class T>
ulmus::MatrixView<T> optional_matrix(T* data, std::int64_t rows, std::int64_t columns) {
  return data == nullptr ? ulmus::MatrixView<T>() : ulmus::MatrixView<T>(data, rows, columns);
}

/// Converts the options of a batch; only the pointers are checked.
ulmus::LossBatch options_of(const ulmus::Loss& loss, const ulmus_batch& batch) {
  const std::int64_t classes = loss.counts().classes(), width = batch.feature_width;
  if (batch.n < 0) throw Error(ErrorKind::data, fmt::format("the batch has {} rows, expected 0 or more", batch.n));
  if (batch.n > 0) expect(batch.labels, "labels");
  if (width < 0) throw Error(ErrorKind::data, fmt::format("feature_width is {}, expected 0 or more", width));
  ulmus::LossBatch options{
      .labels = optional_span(batch.labels, batch.n),
      .sample_weights = optional_span(batch.sample_weights, batch.n),
      .reduction = reduction_of(batch.reduction),
      .losses = optional_span(batch.losses, batch.n),
      .threads = batch.threads,
      .features = {.features = optional_matrix(batch.features, batch.n, width),
                   .gradient = optional_matrix(batch.feature_gradient, batch.n, width),
                   .head_weight = optional_matrix(batch.head_weight, classes, width),
                   .head_weight_gradient = optional_matrix(batch.head_weight_gradient, classes, width),
                   .head_bias = optional_span(batch.head_bias, classes),
                   .head_bias_gradient = optional_span(batch.head_bias_gradient, classes)},
      .offsets = optional_matrix(batch.offsets, batch.n, classes),
      .noise = optional_matrix(batch.noise, batch.n, classes),
      .first_position = batch.first_position,
      .positions = optional_span(batch.positions, batch.n)};
  if (batch.normaliser != nullptr)
    options.normaliser = ulmus::Normaliser{batch.normaliser->divisor, batch.normaliser->samples};
  if (batch.ignores != 0) options.ignore_index = batch.ignore_index;
  return options;
}

template <class T>
ulmus::MatrixView<const T> logits_of(const ulmus::Loss& loss, const ulmus_batch& batch) {
  const std::int64_t classes = loss.counts().classes();
  return {static_cast<const T*>(batch.logits), batch.n, classes,
          batch.logits_stride == 0 ? classes : batch.logits_stride};
}

template <class T>
double run(const ulmus::Loss& loss, const ulmus_batch& batch) {
  const std::int64_t classes = loss.counts().classes();
  ulmus::MatrixView<T> gradient;
  if (batch.gradient != nullptr)
    gradient = {static_cast<T*>(batch.gradient), batch.n, classes,
                batch.gradient_stride == 0 ? classes : batch.gradient_stride};
  return loss.evaluate<T>(logits_of<T>(loss, batch), options_of(loss, batch), gradient);
}

/// Calls of_type.operator()<T>() with the element type of the batch.
template <class OfType>
auto with_dtype(const ulmus_batch& batch, OfType of_type) {
  switch (batch.dtype) {
    case ULMUS_F32:
      return of_type.template operator()<float>();
    case ULMUS_F64:
      return of_type.template operator()<double>();
    case ULMUS_BF16:
      return of_type.template operator()<ulmus::BFloat16>();
    case ULMUS_F16:
      return of_type.template operator()<ulmus::Half>();
    default:
      throw Error(ErrorKind::usage, fmt::format("dtype is {}, expected an ulmus_dtype, 0 to 3", batch.dtype));
  }
}

}  // namespace

const char* ulmus_version(void) { return ULMUS_VERSION; }

const char* ulmus_last_error(void) { return last_error().c_str(); }

ulmus_status ulmus_loss_create(const char* text, const int64_t* class_counts, int64_t classes, ulmus_loss** loss) {
  return guarded([&] {
    expect(loss, "loss");
    *loss = nullptr;
    expect(text, "text");
    expect(class_counts, "class_counts");
    constexpr std::int64_t k_most = std::numeric_limits<std::ptrdiff_t>::max() / std::int64_t{sizeof(std::int64_t)};
    if (classes < 1 || classes > k_most)
      throw Error(ErrorKind::data,
                  fmt::format("the number of classes is {}, expected at least 1 and what memory can hold", classes));
    ulmus::Loss made(ulmus::LossSpec::parse(text), ulmus::ClassCounts({class_counts, class_counts + classes}));
    std::string canonical = made.spec().text();
    *loss = new ulmus_loss{std::move(made), std::move(canonical)};
  });
}

void ulmus_loss_free(ulmus_loss* loss) { delete loss; }

ulmus_status ulmus_loss_text(const ulmus_loss* loss, const char** text) {
  return guarded([&] {
    expect(loss, "loss");
    expect(text, "text");
    *text = loss->text.c_str();
  });
}

ulmus_status ulmus_loss_classes(const ulmus_loss* loss, int64_t* classes) {
  return guarded([&] {
    expect(loss, "loss");
    expect(classes, "classes");
    *classes = loss->loss.counts().classes();
  });
}

ulmus_status ulmus_loss_scale(const ulmus_loss* loss, double* scale) {
  return guarded([&] {
    expect(loss, "loss");
    expect(scale, "scale");
    *scale = loss->loss.spec().scale();
  });
}

ulmus_status ulmus_loss_head(const ulmus_loss* loss, const char** head) {
  return guarded([&] {
    expect(loss, "loss");
    expect(head, "head");
    *head = name_of(loss->loss.spec().choose_head("")).data();
  });
}

ulmus_status ulmus_loss_class_weights(const ulmus_loss* loss, double* weights, int64_t capacity) {
  return guarded([&] {
    expect(loss, "loss");
    const auto in_force = loss->loss.class_weights();
    std::vector<double> values(in_force.begin(), in_force.end());
    if (values.empty()) values.assign(static_cast<std::size_t>(loss->loss.counts().classes()), 1);
    copy_out(values, weights, capacity, "weights");
  });
}

ulmus_status ulmus_loss_reduction(const ulmus_loss* loss, int32_t* reduction) {
  return guarded([&] {
    expect(loss, "loss");
    expect(reduction, "reduction");
    *reduction = loss->loss.params().reduction == ulmus::Reduction::mean ? ULMUS_MEAN : ULMUS_WEIGHTED_MEAN;
  });
}

ulmus_status ulmus_loss_needs(const ulmus_loss* loss, uint32_t* needs) {
  return guarded([&] {
    expect(loss, "loss");
    expect(needs, "needs");
    const ulmus::Needs& of = loss->loss.spec().definition().needs;
    *needs = 0;
    if (of.features) *needs |= ULMUS_NEEDS_FEATURES;
    if (of.head) *needs |= ULMUS_NEEDS_HEAD;
    if (loss->loss.is_stateful()) *needs |= ULMUS_NEEDS_STATE;
    if (loss->loss.hooks().batch_offset) *needs |= ULMUS_NEEDS_OFFSETS;
  });
}

ulmus_status ulmus_loss_initial_bias(const ulmus_loss* loss, double* bias) {
  return guarded([&] {
    expect(loss, "loss");
    expect(bias, "bias");
    *bias = loss->loss.hooks().initial_bias;
  });
}

ulmus_status ulmus_loss_state_size(const ulmus_loss* loss, int64_t* size) {
  return guarded([&] {
    expect(loss, "loss");
    expect(size, "size");
    *size = static_cast<int64_t>(loss->loss.state().values.size());
  });
}

ulmus_status ulmus_loss_get_state(const ulmus_loss* loss, double* values, int64_t capacity) {
  return guarded([&] {
    expect(loss, "loss");
    copy_out(loss->loss.state().values, values, capacity, "values");
  });
}

ulmus_status ulmus_loss_set_state(ulmus_loss* loss, const double* values, int64_t size) {
  return guarded([&] {
    expect(loss, "loss");
    loss->loss.check_state_size(size);
    if (size > 0) expect(values, "values");
    loss->loss.set_state({.values = {values, values + size}, .seed = loss->loss.state().seed});
  });
}

ulmus_status ulmus_loss_set_seed(ulmus_loss* loss, uint64_t seed) {
  return guarded([&] {
    expect(loss, "loss");
    ulmus::LossState state = loss->loss.state();
    state.seed = seed;
    loss->loss.set_state(std::move(state));
  });
}

ulmus_status ulmus_loss_delta_size(const ulmus_loss* loss, int64_t feature_width, int64_t* size) {
  return guarded([&] {
    expect(loss, "loss");
    expect(size, "size");
    *size = loss->loss.delta_size(feature_width);
  });
}

ulmus_status ulmus_loss_collect_update(const ulmus_loss* loss, const ulmus_batch* batch, double* delta,
                                       int64_t capacity) {
  return guarded([&] {
    expect(loss, "loss");
    const ulmus_batch full = read_batch(batch);
    const std::vector<double> collected = with_dtype(full, [&]<class T>() {
      return loss->loss.collect_update<T>(logits_of<T>(loss->loss, full), options_of(loss->loss, full));
    });
    copy_out(collected, delta, capacity, "delta");
  });
}

ulmus_status ulmus_loss_apply_update(ulmus_loss* loss, const double* delta, int64_t size) {
  return guarded([&] {
    expect(loss, "loss");
    if (size < 0) throw Error(ErrorKind::data, fmt::format("the size of an update is {}, expected 0 or more", size));
    if (size > 0) expect(delta, "delta");
    loss->loss.apply_update({delta, static_cast<std::size_t>(size)});
  });
}

ulmus_status ulmus_loss_set_epoch(ulmus_loss* loss, int64_t epoch, int64_t epochs) {
  return guarded([&] {
    expect(loss, "loss");
    loss->loss.set_epoch(epoch, epochs);
  });
}

ulmus_status ulmus_loss_set_class_weights(ulmus_loss* loss, const double* weights, int64_t size) {
  return guarded([&] {
    expect(loss, "loss");
    expect(weights, "weights");
    if (size != loss->loss.counts().classes())
      throw Error(ErrorKind::usage, fmt::format("{} class weights came, expected one for each of {} classes", size,
                                                loss->loss.counts().classes()));
    loss->loss.set_class_weights({weights, weights + size});
  });
}

ulmus_status ulmus_loss_normaliser(const ulmus_loss* loss, const ulmus_batch* batch, ulmus_normaliser* normaliser) {
  return guarded([&] {
    expect(loss, "loss");
    expect(normaliser, "normaliser");
    const ulmus_batch full = read_batch(batch);
    ulmus_batch labels = {};
    labels.n = full.n;
    labels.labels = full.labels;
    labels.sample_weights = full.sample_weights;
    labels.ignores = full.ignores;
    labels.ignore_index = full.ignore_index;
    labels.reduction = full.reduction;
    const ulmus::Normaliser made = loss->loss.normaliser(options_of(loss->loss, labels));
    *normaliser = {made.divisor, made.samples};
  });
}

ulmus_status ulmus_loss_run(const ulmus_loss* loss, const ulmus_batch* batch, double* value) {
  return guarded([&] {
    expect(loss, "loss");
    expect(value, "value");
    const ulmus_batch full = read_batch(batch);
    *value = with_dtype(full, [&]<class T>() { return run<T>(loss->loss, full); });
  });
}

ulmus_status ulmus_family_json(const char** text) {
  return guarded([&] {
    expect(text, "text");
    static const std::string json = ulmus::family_json();
    *text = json.c_str();
  });
}

ulmus_status ulmus_target(const char** target) {
  return guarded([&] {
    expect(target, "target");
    *target = ulmus::target_in_use().data();
  });
}
