#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "ulmus/c.h"
#include "ulmus/loss/loss.hpp"

namespace {

const std::vector<std::int64_t> k_counts = {5000, 500, 50};

/// A loss that is freed.
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
  ulmus_batch batch = {};
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
  EXPECT_EQ(ulmus_loss_class_weights(handle.loss, weights), ULMUS_OK);
  EXPECT_EQ(weights[2], 1);
  EXPECT_EQ(ulmus_loss_set_epoch(handle.loss, 160, 200), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_class_weights(handle.loss, weights), ULMUS_OK);
  EXPECT_GT(weights[2], 2);
  const double own[3] = {1, 2, 3};
  EXPECT_EQ(ulmus_loss_set_class_weights(handle.loss, own), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_class_weights(handle.loss, weights), ULMUS_OK);
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
  EXPECT_EQ(ulmus_loss_class_weights(nullptr, &number), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_set_epoch(nullptr, 0, 1), ULMUS_USAGE);
  EXPECT_EQ(ulmus_loss_set_class_weights(nullptr, &number), ULMUS_USAGE);
  EXPECT_EQ(ulmus_target(nullptr), ULMUS_USAGE);
}

TEST(CApi, ABadBatchIsRefusedAndNothingIsWritten) {
  const Handle handle("ce");
  float logits[6] = {1, 2, 3, 4, 5, 6};
  std::int64_t labels[2] = {0, 2};
  ulmus_batch good = {};
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

TEST(CApi, ALossWithAStateMovesAndRemembers) {
  const Handle handle("seesaw"), other("seesaw");
  double logits[6] = {1, 2, 3, 4, 5, 6};
  const std::int64_t labels[2] = {0, 2};
  ulmus_batch batch = {};
  batch.dtype = ULMUS_F64;
  batch.n = 2;
  batch.logits = logits;
  batch.labels = labels;
  std::uint32_t needs = 0;
  EXPECT_EQ(ulmus_loss_needs(handle.loss, &needs), ULMUS_OK);
  EXPECT_EQ(needs, ULMUS_NEEDS_STATE);
  std::int64_t size = 0;
  EXPECT_EQ(ulmus_loss_change_size(handle.loss, 0, &size), ULMUS_OK);
  ASSERT_EQ(size, 3);
  double change[3], state[3];
  EXPECT_EQ(ulmus_loss_measure(handle.loss, &batch, change), ULMUS_OK) << ulmus_last_error();
  EXPECT_EQ(ulmus_loss_advance(handle.loss, change, 3), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_advance(handle.loss, change, 2), ULMUS_DATA);
  EXPECT_EQ(ulmus_loss_state_size(handle.loss, &size), ULMUS_OK);
  ASSERT_EQ(size, 3);
  EXPECT_EQ(ulmus_loss_get_state(handle.loss, state), ULMUS_OK);
  EXPECT_EQ(state[0], 1);
  EXPECT_EQ(state[1], 0);
  double here = 0, there = 0;
  EXPECT_EQ(ulmus_loss_set_state(other.loss, state, 3), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_run(handle.loss, &batch, &here), ULMUS_OK);
  EXPECT_EQ(ulmus_loss_run(other.loss, &batch, &there), ULMUS_OK);
  EXPECT_EQ(here, there);
}

TEST(CApi, ALossOfFeaturesAsksForThemAndGivesTheirGradient) {
  const Handle handle("ib:from=0");
  EXPECT_EQ(ulmus_loss_set_epoch(handle.loss, 0, 1), ULMUS_OK);
  double logits[6] = {1, 2, 3, 4, 5, 6}, features[4] = {1, -2, 3, -4}, gradient[4] = {};
  const std::int64_t labels[2] = {0, 2};
  ulmus_batch batch = {};
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
  const ulmus_batch batch = {};
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
