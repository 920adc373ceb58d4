#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/c.h"
#include "ulmus/loss/loss.hpp"
#include "ulmus/loss/target.hpp"

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
  } catch (...) {  // no memory even for the message: the status must do
  }
  return status;
}

/// Runs `body` and turns what it throws into a status.
template <class Body>
ulmus_status guarded(Body body) noexcept {
  try {
    body();
    return ULMUS_OK;
  } catch (const Error& error) {
    return fail(static_cast<ulmus_status>(error.exit_code()), error.what());
  } catch (const std::bad_alloc&) {
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
double run(const ulmus::Loss& loss, const ulmus_batch& batch, const ulmus::LossBatch& options) {
  const std::int64_t classes = loss.counts().classes();
  const auto stride = [classes](std::int64_t given) { return given == 0 ? classes : given; };
  ulmus::MatrixView<T> gradient;
  if (batch.gradient != nullptr)
    gradient = {static_cast<T*>(batch.gradient), batch.n, classes, stride(batch.gradient_stride)};
  return loss.evaluate<T>({static_cast<const T*>(batch.logits), batch.n, classes, stride(batch.logits_stride)}, options,
                          gradient);
}

double run_any(const ulmus::Loss& loss, const ulmus_batch& batch) {
  if (batch.n < 0) throw Error(ErrorKind::data, fmt::format("the batch has {} rows, expected 0 or more", batch.n));
  if (batch.n > 0) expect(batch.labels, "labels");
  ulmus::LossBatch options{.labels = optional_span(batch.labels, batch.n),
                           .sample_weights = optional_span(batch.sample_weights, batch.n),
                           .reduction = reduction_of(batch.reduction),
                           .losses = optional_span(batch.losses, batch.n),
                           .threads = batch.threads};
  if (batch.ignores != 0) options.ignore_index = batch.ignore_index;
  switch (batch.dtype) {
    case ULMUS_F32:
      return run<float>(loss, batch, options);
    case ULMUS_F64:
      return run<double>(loss, batch, options);
    case ULMUS_BF16:
      return run<ulmus::BFloat16>(loss, batch, options);
    case ULMUS_F16:
      return run<ulmus::Half>(loss, batch, options);
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
    if (classes < 1)
      throw Error(ErrorKind::data, fmt::format("the number of classes is {}, expected at least 1", classes));
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

ulmus_status ulmus_loss_class_weights(const ulmus_loss* loss, double* weights) {
  return guarded([&] {
    expect(loss, "loss");
    expect(weights, "weights");
    const auto in_force = loss->loss.class_weights();
    if (in_force.empty())
      std::fill_n(weights, loss->loss.counts().classes(), 1.0);
    else
      std::copy(in_force.begin(), in_force.end(), weights);
  });
}

ulmus_status ulmus_loss_set_epoch(ulmus_loss* loss, int64_t epoch, int64_t epochs) {
  return guarded([&] {
    expect(loss, "loss");
    loss->loss.set_epoch(epoch, epochs);
  });
}

ulmus_status ulmus_loss_set_class_weights(ulmus_loss* loss, const double* weights) {
  return guarded([&] {
    expect(loss, "loss");
    expect(weights, "weights");
    loss->loss.set_class_weights({weights, weights + loss->loss.counts().classes()});
  });
}

ulmus_status ulmus_loss_run(const ulmus_loss* loss, const ulmus_batch* batch, double* value) {
  return guarded([&] {
    expect(loss, "loss");
    expect(batch, "batch");
    expect(value, "value");
    *value = run_any(loss->loss, *batch);
  });
}

ulmus_status ulmus_target(const char** target) {
  return guarded([&] {
    expect(target, "target");
    *target = ulmus::target_in_use().data();
  });
}
