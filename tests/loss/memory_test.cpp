// An allocation that fails anywhere, on any thread, gives a status of the C interface, does not leak, and leaves the
// loss unchanged. Every operator new of this program, including the library's, goes through the one below.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "ulmus/c.h"
#include "ulmus/loss/family.hpp"

namespace {

constexpr std::int64_t k_never = std::numeric_limits<std::int64_t>::max();

/// Number of allocations that still succeed; after that all fail until it is set again.
std::atomic<std::int64_t> allocations_left = k_never;

void* allocate(std::size_t size, std::size_t alignment) {
  if (allocations_left.load(std::memory_order_relaxed) != k_never && allocations_left.fetch_sub(1) <= 0)
    throw std::bad_alloc();
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
/// std::stable_sort allocates this way and deallocates with the usual operator.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return allocate(size, alignof(std::max_align_t));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
// If it is inlined, GCC reports a mismatch between free() and operator new.
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

constexpr std::int64_t k_rows = 41, k_classes = 800, k_width = 3;  // enough logits for a team of threads

/// A batch with every input that a loss may use.
struct Problem {
  std::vector<std::int64_t> counts, labels;
  std::vector<double> logits, gradient, features, feature_gradient, weight, weight_gradient, bias, bias_gradient;
  ulmus_batch batch = {.struct_size = sizeof(ulmus_batch)};

  Problem() {
    const auto numbers = [](std::int64_t n) {
      std::vector<double> values;
      for (std::int64_t k = 0; k < n; ++k) values.push_back(0.9 * std::sin(static_cast<double>(k)));
      return values;
    };
    for (std::int64_t j = 0; j < k_classes; ++j) counts.push_back(1 + j * 7919 % 1000);
    for (std::int64_t i = 0; i < k_rows; ++i) labels.push_back(i * 31 % 7);
    logits = gradient = numbers(k_rows * k_classes);
    features = feature_gradient = numbers(k_rows * k_width);
    weight = weight_gradient = numbers(k_classes * k_width);
    bias = bias_gradient = numbers(k_classes);
    batch.dtype = ULMUS_F64;
    batch.n = k_rows;
    batch.logits = logits.data();
    batch.labels = labels.data();
    batch.gradient = gradient.data();
    batch.reduction = ULMUS_WEIGHTED_MEAN;
    batch.threads = 2;
    batch.features = features.data();
    batch.feature_width = k_width;
    batch.feature_gradient = feature_gradient.data();
    batch.head_weight = weight.data();
    batch.head_weight_gradient = weight_gradient.data();
    batch.head_bias = bias.data();
    batch.head_bias_gradient = bias_gradient.data();
  }
};

/// Repeats `call` with an increasing number of successful allocations until it succeeds; returns the number of
/// failures.
template <class Call>
std::int64_t failures_until_success(const std::string& what, Call call) {
  for (std::int64_t n = 0;; ++n) {
    allocations_left = n;
    const ulmus_status status = call();
    allocations_left = k_never;
    if (status == ULMUS_OK) return n;
    if (status != ULMUS_ENVIRONMENT || std::string(ulmus_last_error()) != "out of memory" || n > 100'000) {
      ADD_FAILURE() << what << " after " << n << " allocations: " << status << ' ' << ulmus_last_error();
      return n;
    }
  }
}

// The sanitizers reserve terabytes, and Clang's OpenMP runtime ends the process if it gets no memory or thread.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)

/// Address space that this process uses, in bytes.
rlim_t address_space() {
  long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%ld", &pages) != 1) std::abort();
  std::fclose(file);
  return static_cast<rlim_t>(pages * sysconf(_SC_PAGESIZE));
}

/// Limits this process to `more` additional bytes of address space and runs a batch on as many threads as it gets.
ulmus_status run_within(rlim_t more) {
  Problem problem;
  problem.batch.threads = 8;
  ulmus_loss* loss = nullptr;
  if (ulmus_loss_create("gcl", problem.counts.data(), k_classes, &loss) != ULMUS_OK) std::abort();
  rlimit before{};
  getrlimit(RLIMIT_AS, &before);
  const rlimit limit{address_space() + more, before.rlim_max};
  setrlimit(RLIMIT_AS, &limit);
  double value = 0;
  const ulmus_status status = ulmus_loss_run(loss, &problem.batch, &value);
  setrlimit(RLIMIT_AS, &before);
  if (status == ULMUS_OK && !std::isfinite(value)) std::abort();
  ulmus_loss_free(loss);
  return status;
}

// Must run before every other test of this program: a fork of a process with a team of threads has no threads.
TEST(Memory, ALimitOfAddressSpaceDoesNotEndTheProcess) {
  // A thread needs 8 MB of stack, so the first limits permit no or only some threads.
  for (rlim_t more = 0; more < (rlim_t{128} << 20); more += more < (rlim_t{1} << 20) ? 32 << 10 : 2 << 20) {
    const pid_t child = fork();
    if (child == 0) {
      const ulmus_status status = run_within(more);
      std::_Exit(status == ULMUS_OK || status == ULMUS_ENVIRONMENT ? 0 : 1);
    }
    int outcome = 0;
    ASSERT_EQ(waitpid(child, &outcome, 0), child);
    EXPECT_TRUE(WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0) << more << " bytes: outcome " << outcome;
  }
}

#endif

std::vector<std::string> specs() {
  std::vector<std::string> all;
  for (const ulmus::LossDefinition& definition : ulmus::family()) all.emplace_back(definition.name);
  for (const char* more : {"ldam+drw", "elm:placement=rival", "kps:scaling=label", "cb:kind=focal", "eql:kind=sigmoid",
                           "dbm:base=bs", "tam:base=bs", "poly1+inverse"})
    all.emplace_back(more);
  return all;
}

TEST(MemoryOnThreads, RunningOutIsAStatusAtEveryAllocationOfEveryLoss) {
  std::int64_t failures = 0;
  for (const std::string& spec : specs()) {
    Problem problem;
    ulmus_loss* loss = nullptr;
    failures += failures_until_success(
        spec + " create", [&] { return ulmus_loss_create(spec.c_str(), problem.counts.data(), k_classes, &loss); });
    ASSERT_EQ(ulmus_loss_set_epoch(loss, 9, 10), ULMUS_OK);
    std::int64_t size = 0;
    failures +=
        failures_until_success(spec + " delta_size", [&] { return ulmus_loss_delta_size(loss, k_width, &size); });
    std::vector<double> delta(static_cast<std::size_t>(size));
    failures += failures_until_success(
        spec + " collect_update", [&] { return ulmus_loss_collect_update(loss, &problem.batch, delta.data(), size); });
    failures += failures_until_success(spec + " apply_update",
                                       [&] { return ulmus_loss_apply_update(loss, delta.data(), size); });
    double value = 42, expected = 0;
    ASSERT_EQ(ulmus_loss_run(loss, &problem.batch, &expected), ULMUS_OK) << ulmus_last_error();
    const std::vector<double> gradient = problem.gradient;
    const std::int64_t of_run = failures_until_success(spec + " run", [&] {
      value = 42;
      const ulmus_status status = ulmus_loss_run(loss, &problem.batch, &value);
      EXPECT_TRUE(status == ULMUS_OK || value == 42);
      return status;
    });
    EXPECT_GT(of_run, 0) << spec;
    EXPECT_EQ(value, expected) << spec << ": a failure changed the loss";
    EXPECT_EQ(problem.gradient, gradient) << spec;
    failures += of_run;
    std::vector<double> state;
    ASSERT_EQ(ulmus_loss_state_size(loss, &size), ULMUS_OK);
    state.resize(static_cast<std::size_t>(size));
    ASSERT_EQ(ulmus_loss_get_state(loss, state.data(), size), ULMUS_OK);
    failures +=
        failures_until_success(spec + " set_state", [&] { return ulmus_loss_set_state(loss, state.data(), size); });
    failures += failures_until_success(spec + " set_seed", [&] { return ulmus_loss_set_seed(loss, 7); });
    const std::vector<double> ones(k_classes, 1);
    failures += failures_until_success(spec + " set_class_weights",
                                       [&] { return ulmus_loss_set_class_weights(loss, ones.data(), k_classes); });
    ulmus_loss_free(loss);
  }
  EXPECT_GT(failures, 1000);
  std::printf("%lld allocations failed\n", static_cast<long long>(failures));
}

}  // namespace
