#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "ulmus/c.h"
#include "ulmus/loss/loss.hpp"
#include "ulmus/version.h"

namespace {

const std::vector<std::int64_t> k_counts = {5000, 500, 50};

ulmus_batch empty_batch() {
  ulmus_batch batch = {};
  batch.struct_size = sizeof batch;
  return batch;
}

/// Frees a loss on destruction.
struct Handle {
  ulmus_loss* loss = nullptr;
  explicit Handle(const char* text) {
    EXPECT_EQ(ulmus_loss_create(text, k_counts.data(), 3, &loss), ULMUS_OK) << ulmus_last_error();
  }
  ~Handle() { ulmus_loss_free(loss); }
};

template <class T>
void expect_same_as_cpp(ulmus_dtype dtype) {
  std::vector<T> logits, gradient(6);
  for (const float z : {0.5F, -0.25F, 0.125F, 0.75F, 0.5F, -1.0F}) logits.push_back(static_cast<T>(z));
  const std::vector<std::int64_t> labels = {2, 0};
  const std::vector<double> weights = {1, 3};
  const ulmus::Loss loss(ulmus::LossSpec::parse("elm:lambda=0.5+cb"), ulmus::ClassCounts(k_counts));
  const double expected = loss.evaluate<T>(
      {logits.data(), 2, 3}, {.labels = labels, .sample_weights = weights, .reduction = ulmus::Reduction::mean},
      {gradient.data(), 2, 3});

  const Handle handle("elm:lambda=0.5+cb");
  ulmus_batch batch = empty_batch();
  batch.dtype = dtype;
  batch.n = 2;
  batch.logits = batch.gradient = logits.data();
  batch.labels = labels.data();
  batch.sample_weights = weights.data();
  batch.reduction = ULMUS_MEAN;
  double value = 0;
  EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_OK) << ulmus_last_error();
  EXPECT_EQ(value, expected);
  EXPECT_EQ(std::memcmp(logits.data(), gradient.data(), 6 * sizeof(T)), 0);
}

TEST(CApi, RunsEveryDtypeLikeCpp) {
  expect_same_as_cpp<float>(ULMUS_F32);
  expect_same_as_cpp<double>(ULMUS_F64);
  expect_same_as_cpp<ulmus::BFloat16>(ULMUS_BF16);
  expect_same_as_cpp<ulmus::Half>(ULMUS_F16);
}

TEST(CApi, AnswersQuestions) {
  const Handle handle("elm:scale=30,lambda=0.5+drw");
  const char *text = nullptr, *head = nullptr, *target = nullptr;
  double scale = 0;
  std::int64_t classes = 0;
  EXPECT_EQ(ulmus_loss_text(handle.loss, &text), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_head(handle.loss, &head), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_scale(handle.loss, &scale), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_classes(handle.loss, &classes), ULMUS_OK);
  EXPECT_EQ(ulmus_target(&target), ULMUS_OK);
  EXPECT_STREQ(text, "elm:lambda=0.5+drw");
  EXPECT_STREQ(head, "cosine");
  EXPECT_EQ(scale, 30);
  EXPECT_EQ(classes, 3);
  EXPECT_GT(std::strlen(target), 0u);
  EXPECT_STREQ(ulmus_version(), ULMUS_VERSION);
}

TEST(CApi, DeferredWeightsFollowTheEpoch) {
  const Handle handle("ldam+drw");
  double weights[3] = {};
  EXPECT_EQ(ulmus_loss_class_weights(handle.loss, weights, 3), ULMUS_OK);
  EXPECT_EQ(weights[2], 1);
  EXPECT_EQ(ulmus_loss_set_epoch(handle.loss, 160, 200), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_class_weights(handle.loss, weights, 3), ULMUS_OK);
  EXPECT_GT(weights[2], 2);
  const double own[3] = {1, 2, 3};
  EXPECT_EQ(ulmus_loss_set_class_weights(handle.loss, own, 3), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_class_weights(handle.loss, weights, 3), ULMUS_OK);
  EXPECT_EQ(weights[1], 2);
  EXPECT_EQ(ulmus_loss_set_epoch(handle.loss, 200, 200), ULMUS_USAGE);
}

TEST(CApi, MistakesGiveAStatusAndALine) {
  ulmus_loss* loss = reinterpret_cast<ulmus_loss*>(1);
  EXPECT_EQ(ulmus_loss_create("elmm", k_counts.data(), 3, &loss), ULMUS_USAGE);
  EXPECT_EQ(loss, nullptr);
  EXPECT_NE(std::string(ulmus_last_error()).find("did you mean 'elm'?"), std::string::npos);
  const std::int64_t negative[2] = {1, -1};
  EXPECT_EQ(ulmus_loss_create("ce", negative, 2, &loss), ULMUS_DATA);
  EXPECT_EQ(ulmus_loss_create("ce", negative, 0, &loss), ULMUS_DATA);
  EXPECT_EQ(ulmus_loss_create(nullptr, negative, 2, &loss), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_create("ce", nullptr, 2, &loss), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_create("ce", negative, 2, nullptr), ULMUS_USAGE);
  ulmus_loss_free(nullptr);

  double number = 0;
  const char* text = nullptr;
  std::int64_t classes = 0;
  EXPECT_EQ(ulmus_loss_scale(nullptr, &number), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_text(nullptr, &text), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_head(nullptr, &text), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_classes(nullptr, &classes), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_class_weights(nullptr, &number, 1), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_set_epoch(nullptr, 0, 1), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_set_class_weights(nullptr, &number, 1), ULMUS_USAGE);
  EXPECT_EQ(ulmus_target(nullptr), ULMUS_USAGE);
}

TEST(CApi, ABadBatchIsRefusedAndNothingIsWritten) {
  const Handle handle("ce");
  float logits[6] = {1, 2, 3, 4, 5, 6};
  std::int64_t labels[2] = {0, 2};
  ulmus_batch good = empty_batch();
  good.n = 2;
  good.logits = good.gradient = logits;
  good.labels = labels;
  double value = 42;
  const auto status = [&](auto change) {
    ulmus_batch batch = good;
    change(batch);
    return ulmus_loss_run(handle.loss, &batch, &value);
  };
  EXPECT_EQ(status([](ulmus_batch& b) { b.dtype = 99; }), ULMUS_USAGE);
  EXPECT_NE(std::string(ulmus_last_error()).find("dtype is 99"), std::string::npos);
  EXPECT_EQ(status([](ulmus_batch& b) { b.reduction = -1; }), ULMUS_USAGE);
  EXPECT_EQ(status([](ulmus_batch& b) { b.labels = nullptr; }), ULMUS_USAGE);
  EXPECT_EQ(status([](ulmus_batch& b) { b.logits = nullptr; }), ULMUS_DATA);
  EXPECT_EQ(status([](ulmus_batch& b) { b.n = -1; }), ULMUS_DATA);
  EXPECT_EQ(status([](ulmus_batch& b) { b.logits_stride = 2; }), ULMUS_DATA);
  EXPECT_EQ(status([](ulmus_batch& b) { b.gradient_stride = -3; }), ULMUS_DATA);
  EXPECT_EQ(status([](ulmus_batch& b) { b.threads = -1; }), ULMUS_DATA);
  EXPECT_EQ(status([&](ulmus_batch&) { labels[1] = 3; }), ULMUS_DATA);
  EXPECT_EQ(ulmus_loss_run(nullptr, &good, &value), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_run(handle.loss, nullptr, &value), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_run(handle.loss, &good, nullptr), ULMUS_USAGE);
  EXPECT_EQ(value, 42);
  EXPECT_EQ(logits[5], 6);
  EXPECT_EQ(status([](ulmus_batch& b) {
              b.ignores = 1;
              b.ignore_index = 3;
            }),
            ULMUS_OK);
  EXPECT_EQ(logits[5], 0);
}

TEST(CApi, ABatchSaysItsSizeAndASmallerOneIsTakenAsItIs) {
  const Handle handle("gcl");
  const float cosines[6] = {0.5F, -0.25F, 0.125F, 0.75F, 0.5F, -1.0F};
  const std::int64_t labels[2] = {2, 0};
  ulmus_batch batch = empty_batch();
  batch.n = 2;
  batch.logits = cosines;
  batch.labels = labels;
  double expected = 0, value = 0;
  ASSERT_EQ(ulmus_loss_run(handle.loss, &batch, &expected), ULMUS_OK) << ulmus_last_error();
  // Fields beyond the end of the smaller struct must not be read: here a position that would cause an error.
  batch.first_position = -1;
  EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_DATA);
  batch.struct_size = offsetof(ulmus_batch, features);
  EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_OK) << ulmus_last_error();
  EXPECT_EQ(value, expected);
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, offsetof(ulmus_batch, features) - 8,
                                 sizeof(ulmus_batch) - 8, sizeof(ulmus_batch) + 8, std::size_t{1} << 40}) {
    batch.struct_size = size;
    double delta[1];
    ulmus_normaliser normaliser;
    EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_USAGE) << size;
    EXPECT_NE(std::string(ulmus_last_error()).find("struct_size of the batch is " + std::to_string(size)),
              std::string::npos);
    EXPECT_EQ(ulmus_loss_collect_update(handle.loss, &batch, delta, 1), ULMUS_USAGE) << size;
    EXPECT_EQ(ulmus_loss_normaliser(handle.loss, &batch, &normaliser), ULMUS_USAGE) << size;
  }
}

TEST(CApi, OtherDevicesAndStreamsAreRefusedForNow) {
  const Handle handle("ce");
  ulmus_batch batch = empty_batch();
  double value = 0;
  for (const int device : {static_cast<int>(ULMUS_CUDA), -1, 99}) {
    batch.device = device;
    EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_USAGE);
    EXPECT_NE(std::string(ulmus_last_error()).find("device is " + std::to_string(device)), std::string::npos);
  }
  batch.device = ULMUS_CPU;
  batch.stream = &value;
  EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_USAGE);
  EXPECT_NE(std::string(ulmus_last_error()).find("stream is set"), std::string::npos);
}

TEST(CApi, ABufferThatIsTooSmallIsRefusedWithTheSizeItNeeds) {
  const Handle handle("seesaw");
  const float logits[3] = {1, 2, 3};
  const std::int64_t labels[1] = {1};
  ulmus_batch batch = empty_batch();
  batch.n = 1;
  batch.logits = logits;
  batch.labels = labels;
  double places[3] = {7, 7, 7};
  const auto expect_refused = [&](ulmus_status status) {
    EXPECT_EQ(status, ULMUS_USAGE);
    EXPECT_NE(std::string(ulmus_last_error()).find("expected at least 3"), std::string::npos) << ulmus_last_error();
    EXPECT_EQ(places[0], 7);
  };
  for (const std::int64_t capacity : {-1, 0, 2}) {
    expect_refused(ulmus_loss_class_weights(handle.loss, places, capacity));
    expect_refused(ulmus_loss_get_state(handle.loss, places, capacity));
    expect_refused(ulmus_loss_collect_update(handle.loss, &batch, places, capacity));
  }
  EXPECT_EQ(ulmus_loss_class_weights(handle.loss, nullptr, 3), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_class_weights(handle.loss, places, 3), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_set_class_weights(handle.loss, places, 2), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_set_class_weights(handle.loss, places, 4), ULMUS_USAGE);
}

TEST(CApi, ChunksWithTheNormaliserOfTheBatchSumToTheBatch) {
  const Handle handle("gcl+cb");
  const double cosines[9] = {0.5, -0.25, 0.125, 0.75, 0.5, -0.5, 0.25, 0.25, 0};
  const std::int64_t labels[3] = {2, 0, 1}, positions[2] = {2, 0};
  const double swapped[6] = {0.25, 0.25, 0, 0.5, -0.25, 0.125};
  const std::int64_t swapped_labels[2] = {1, 2};
  ulmus_batch whole = empty_batch();
  whole.dtype = ULMUS_F64;
  whole.reduction = ULMUS_WEIGHTED_MEAN;
  whole.n = 3;
  whole.logits = cosines;
  whole.labels = labels;
  double expected = 0, first = 0, second = 0;
  ASSERT_EQ(ulmus_loss_run(handle.loss, &whole, &expected), ULMUS_OK) << ulmus_last_error();
  ulmus_normaliser normaliser;
  ASSERT_EQ(ulmus_loss_normaliser(handle.loss, &whole, &normaliser), ULMUS_OK) << ulmus_last_error();
  EXPECT_EQ(normaliser.samples, 3);
  ulmus_batch chunk = whole;
  chunk.normaliser = &normaliser;
  chunk.n = 1;
  chunk.logits = cosines + 3;
  chunk.labels = labels + 1;
  chunk.first_position = 1;
  EXPECT_EQ(ulmus_loss_run(handle.loss, &chunk, &first), ULMUS_OK) << ulmus_last_error();
  chunk.n = 2;
  chunk.logits = swapped;
  chunk.labels = swapped_labels;
  chunk.positions = positions;
  EXPECT_EQ(ulmus_loss_run(handle.loss, &chunk, &second), ULMUS_OK) << ulmus_last_error();
  EXPECT_NEAR(first + second, expected, 1e-12);
}

TEST(CApi, ALossWithAStateMovesAndRemembers) {
  const Handle handle("seesaw"), other("seesaw");
  double logits[6] = {1, 2, 3, 4, 5, 6};
  const std::int64_t labels[2] = {0, 2};
  ulmus_batch batch = empty_batch();
  batch.dtype = ULMUS_F64;
  batch.n = 2;
  batch.logits = logits;
  batch.labels = labels;
  std::uint32_t needs = 0;
  EXPECT_EQ(ulmus_loss_needs(handle.loss, &needs), ULMUS_OK);
  EXPECT_EQ(needs, ULMUS_NEEDS_STATE);
  std::int64_t size = 0;
  EXPECT_EQ(ulmus_loss_delta_size(handle.loss, 0, &size), ULMUS_OK);
  ASSERT_EQ(size, 3);
  double delta[3], state[3];
  EXPECT_EQ(ulmus_loss_collect_update(handle.loss, &batch, delta, 3), ULMUS_OK) << ulmus_last_error();
  EXPECT_EQ(ulmus_loss_apply_update(handle.loss, delta, 3), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_apply_update(handle.loss, delta, 2), ULMUS_DATA);
  EXPECT_EQ(ulmus_loss_state_size(handle.loss, &size), ULMUS_OK);
  ASSERT_EQ(size, 3);
  EXPECT_EQ(ulmus_loss_get_state(handle.loss, state, 3), ULMUS_OK);
  EXPECT_EQ(state[0], 1);
  EXPECT_EQ(state[1], 0);
  double here = 0, there = 0;
  EXPECT_EQ(ulmus_loss_set_state(other.loss, state, 3), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &here), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_run(other.loss, &batch, &there), ULMUS_OK);
  EXPECT_EQ(here, there);
}

/// Six logits of two rows, features of width 2 and a head.
struct HeadBatch {
  std::vector<double> logits = {1, 2, 3, 4, 5, 6}, features = {1, -2, 3, -4}, weight = {1, 0, 0, 1, 1, 1},
                      bias = {0, 0, 0}, gradient = std::vector<double>(4);
  std::vector<std::int64_t> labels = {0, 2};
  ulmus_batch batch = empty_batch();

  HeadBatch() {
    batch.dtype = ULMUS_F64;
    batch.n = 2;
    batch.logits = logits.data();
    batch.labels = labels.data();
    batch.features = features.data();
    batch.feature_width = 2;
    batch.feature_gradient = gradient.data();
    batch.head_weight = weight.data();
    batch.head_bias = bias.data();
  }
};

TEST(CApi, AChangeOfAStateThatIsEmptyIsCheckedToo) {
  for (const char* text : {"dro-lt:from=0", "lmd"}) {
    const Handle handle(text);
    const std::vector<double> delta(100'000, 1);
    for (const std::int64_t size : {0, 1, 2, 3, 4, 5, 7, 100})
      EXPECT_EQ(ulmus_loss_apply_update(handle.loss, size == 0 ? nullptr : delta.data(), size), ULMUS_DATA) << size;
    std::int64_t size = -1;
    EXPECT_EQ(ulmus_loss_state_size(handle.loss, &size), ULMUS_OK);
    EXPECT_EQ(size, 0);
    EXPECT_EQ(ulmus_loss_apply_update(handle.loss, delta.data(), 9), ULMUS_OK) << ulmus_last_error();
    EXPECT_EQ(ulmus_loss_apply_update(handle.loss, delta.data(), 6), ULMUS_DATA);
    EXPECT_NE(std::string(ulmus_last_error()).find("width 2, but features of width 1 came"), std::string::npos);
  }
}

TEST(CApi, AStateOfFeaturesOfAnotherWidthIsRefused) {
  for (const char* text : {"dro-lt:from=0", "lmd"}) {
    const Handle handle(text);
    EXPECT_EQ(ulmus_loss_set_epoch(handle.loss, 0, 1), ULMUS_OK);
    HeadBatch of;
    double value = 42, delta[9];
    const auto run = [&] { return ulmus_loss_run(handle.loss, &of.batch, &value); };
    for (const std::int64_t width : {1, 3, 4000}) {
      const std::vector<double> state(static_cast<std::size_t>(3 * (1 + width)), 1);
      EXPECT_EQ(ulmus_loss_set_state(handle.loss, state.data(), 3 * (1 + width)), ULMUS_OK) << ulmus_last_error();
      EXPECT_EQ(run(), ULMUS_DATA) << text << ' ' << width;
      EXPECT_EQ(ulmus_loss_collect_update(handle.loss, &of.batch, delta, 9), ULMUS_DATA);
    }
    EXPECT_EQ(value, 42);
    const std::vector<double> state(9, 1);
    for (const std::int64_t size : {-1, 1, 2, 3, 10, 11})
      EXPECT_EQ(ulmus_loss_set_state(handle.loss, state.data(), size), ULMUS_DATA) << size;
    EXPECT_EQ(ulmus_loss_set_state(handle.loss, state.data(), 9), ULMUS_OK);
    EXPECT_EQ(run(), ULMUS_OK) << ulmus_last_error();
    EXPECT_TRUE(std::isfinite(value));
    EXPECT_EQ(ulmus_loss_set_state(handle.loss, nullptr, 0), ULMUS_OK);
    EXPECT_EQ(run(), ULMUS_OK) << ulmus_last_error();
  }
}

TEST(CApi, AStateHoldsNumbersThatAreCountsAndFiniteMeans) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const char* text : {"seesaw", "loce", "gcl", "eql", "dro-lt", "lmd"}) {
    const Handle handle(text);
    std::int64_t size = 0;
    ASSERT_EQ(ulmus_loss_delta_size(handle.loss, 2, &size), ULMUS_OK);
    const std::vector<double> good(static_cast<std::size_t>(size), 1);
    ASSERT_EQ(ulmus_loss_apply_update(handle.loss, good.data(), size), ULMUS_OK) << text << ' ' << ulmus_last_error();
    for (const double bad : {nan, infinity, -1.0, 1e300}) {
      std::vector<double> delta = good;
      delta[0] = bad;
      EXPECT_EQ(ulmus_loss_apply_update(handle.loss, delta.data(), size), ULMUS_DATA) << text << ' ' << bad;
    }
    std::int64_t length = 0;
    ASSERT_EQ(ulmus_loss_state_size(handle.loss, &length), ULMUS_OK);
    std::vector<double> state(static_cast<std::size_t>(length)), same(state.size());
    ASSERT_EQ(ulmus_loss_get_state(handle.loss, state.data(), length), ULMUS_OK);
    for (const double bad : {nan, infinity, -1.0, 1e300}) {
      std::vector<double> other = state;
      other[0] = bad;
      EXPECT_EQ(ulmus_loss_set_state(handle.loss, other.data(), length), ULMUS_DATA) << text << ' ' << bad;
      if (std::isfinite(bad)) continue;  // the last value is a mean, for which a finite number is valid
      other = state;
      other.back() = bad;
      EXPECT_EQ(ulmus_loss_set_state(handle.loss, other.data(), length), ULMUS_DATA) << text << ' ' << bad;
    }
    ASSERT_EQ(ulmus_loss_get_state(handle.loss, same.data(), length), ULMUS_OK);
    EXPECT_EQ(same, state) << "a state that is refused leaves the old one";
  }
}

TEST(CApi, AFeatureThatIsNoNumberDoesNotStayInTheState) {
  for (const char* text : {"dro-lt:from=0", "lmd"}) {
    const Handle handle(text);
    EXPECT_EQ(ulmus_loss_set_epoch(handle.loss, 0, 1), ULMUS_OK);
    HeadBatch of;
    of.features[1] = std::numeric_limits<double>::quiet_NaN();
    double value = 0, delta[9];
    EXPECT_EQ(ulmus_loss_collect_update(handle.loss, &of.batch, delta, 9), ULMUS_OK);
    EXPECT_EQ(ulmus_loss_apply_update(handle.loss, delta, 9), ULMUS_OK) << ulmus_last_error();
    EXPECT_EQ(ulmus_loss_run(handle.loss, &of.batch, &value), ULMUS_OK);
    EXPECT_TRUE(std::isnan(value)) << text;
    of.features[1] = -2;
    EXPECT_EQ(ulmus_loss_run(handle.loss, &of.batch, &value), ULMUS_OK);
    EXPECT_TRUE(std::isfinite(value)) << text;
  }
}

TEST(CApi, AnyNumberOfThreadsIsSurvived) {
  const Handle handle("ce");
  const std::int64_t rows = 40'000;
  std::vector<float> logits(3 * rows, 0.5F), gradient(3 * rows);
  const std::vector<std::int64_t> labels(rows, 1);
  ulmus_batch batch = empty_batch();
  batch.n = rows;
  batch.logits = logits.data();
  batch.gradient = gradient.data();
  batch.labels = labels.data();
  for (const std::int32_t threads : {1, 40'000, 100'000, std::numeric_limits<std::int32_t>::max()}) {
    batch.threads = threads;
    double value = 0;
    EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_OK) << ulmus_last_error();
    EXPECT_NEAR(value, std::log(3.0), 1e-6);
  }
  for (const std::int32_t threads : {-1, std::numeric_limits<std::int32_t>::min()}) {
    batch.threads = threads;
    double value = 0;
    EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_DATA);
  }
}

TEST(CApi, SizesThatCannotBeAreRefused) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  ulmus_loss* loss = nullptr;
  for (const std::int64_t classes : {most, most / 8 + 1, std::int64_t{0}, std::int64_t{-1}})
    EXPECT_EQ(ulmus_loss_create("ce", k_counts.data(), classes, &loss), ULMUS_DATA) << classes;
  const Handle handle("lmd");
  std::int64_t size = 0;
  for (const std::int64_t width : {std::int64_t{-1}, std::numeric_limits<std::int64_t>::min(), most, most / 16})
    EXPECT_EQ(ulmus_loss_delta_size(handle.loss, width, &size), ULMUS_USAGE) << width;
  EXPECT_EQ(ulmus_loss_delta_size(handle.loss, 7, &size), ULMUS_OK);
  EXPECT_EQ(size, 3 * (1 + 7));
  EXPECT_EQ(ulmus_loss_set_epoch(handle.loss, 0, std::numeric_limits<std::int64_t>::min()), ULMUS_USAGE);
  HeadBatch of;
  double value = 0;
  const auto status = [&](auto change) {
    ulmus_batch batch = of.batch;
    change(batch);
    return ulmus_loss_run(handle.loss, &batch, &value);
  };
  EXPECT_EQ(status([](ulmus_batch& b) { b.n = most; }), ULMUS_DATA);
  EXPECT_EQ(status([](ulmus_batch& b) { b.logits_stride = most; }), ULMUS_DATA);
  EXPECT_EQ(status([](ulmus_batch& b) { b.feature_width = most; }), ULMUS_DATA);
  EXPECT_EQ(status([](ulmus_batch& b) { b.feature_width = -2; }), ULMUS_DATA);
  EXPECT_EQ(status([](ulmus_batch& b) { b.first_position = -1; }), ULMUS_DATA);
  EXPECT_EQ(status([](ulmus_batch& b) { b.first_position = most; }), ULMUS_DATA);
}

TEST(CApi, ALossOfFeaturesAsksForThemAndGivesTheirGradient) {
  const Handle handle("ib:from=0");
  EXPECT_EQ(ulmus_loss_set_epoch(handle.loss, 0, 1), ULMUS_OK);
  double logits[6] = {1, 2, 3, 4, 5, 6}, features[4] = {1, -2, 3, -4}, gradient[4] = {};
  const std::int64_t labels[2] = {0, 2};
  ulmus_batch batch = empty_batch();
  batch.dtype = ULMUS_F64;
  batch.n = 2;
  batch.logits = logits;
  batch.labels = labels;
  double value = 0;
  EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_USAGE);
  EXPECT_NE(std::string(ulmus_last_error()).find("needs the features"), std::string::npos);
  batch.features = features;
  batch.feature_width = 2;
  batch.feature_gradient = gradient;
  EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_OK) << ulmus_last_error();
  EXPECT_LT(gradient[0], 0);
  EXPECT_EQ(gradient[0], -gradient[1]);
}

TEST(CApi, TheFamilyIsOneJsonText) {
  const char* text = nullptr;
  EXPECT_EQ(ulmus_family_json(&text), ULMUS_OK);
  EXPECT_NE(std::string(text).find("\"name\": \"elm\""), std::string::npos);
  EXPECT_EQ(ulmus_family_json(nullptr), ULMUS_USAGE);
}

TEST(CApi, AnEmptyBatchCostsNothing) {
  const Handle handle("ce");
  const ulmus_batch batch = empty_batch();
  double value = 42;
  EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &value), ULMUS_OK) << ulmus_last_error();
  EXPECT_EQ(value, 0);
}

TEST(CApi, TheLastErrorBelongsToItsThread) {
  ulmus_loss* loss = nullptr;
  EXPECT_EQ(ulmus_loss_create("elmm", k_counts.data(), 3, &loss), ULMUS_USAGE);
  std::string other = "unset";
  std::thread([&] { other = ulmus_last_error(); }).join();
  EXPECT_EQ(other, "");
  EXPECT_NE(std::string(ulmus_last_error()), "");
}

}  // namespace
