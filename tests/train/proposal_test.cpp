#include "ulmus/train/proposal.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "data/support.hpp"
#include "ulmus/data/split.hpp"

namespace ulmus {
namespace {

using Counts = std::vector<std::int64_t>;
using test::synthetic;

OpenedData with_test(Dataset train, Dataset test) {
  OpenedData data;
  data.train = std::move(train);
  data.test = std::move(test);
  return data;
}

OpenedData without_test(const Counts& counts) {
  OpenedData data;
  data.train = synthetic(counts);
  return data;
}

std::optional<Proposal> proposed(const OpenedData& data, const std::string& imbalance = "none") {
  return propose_run(inspect(data, {.imbalance = imbalance, .quick = true}), {}, imbalance);
}

TEST(Proposal, AnEmptyClassLeavesNoRunToPropose) {
  const OpenedData data = with_test(synthetic({10, 10}), synthetic({1, 1}));
  EXPECT_FALSE(proposed(data, "step:100"));
  EXPECT_TRUE(nlohmann::json::parse(to_json(inspect(data, {.quick = true}), std::nullopt)).at("proposal").is_null());
}

TEST(Proposal, NearlyBalancedDataNeedCrossEntropyAlone) {
  EXPECT_EQ(proposed(with_test(synthetic({29, 10}), synthetic({1, 1})))->losses, "ce");
  EXPECT_EQ(proposed(with_test(synthetic({30, 10}), synthetic({1, 1})))->losses, "ce,ldam+drw,elm:lambda=0.5+drw");
}

TEST(Proposal, FeaturesKeepALinearHead) {
  OpenedData data = without_test({100, 10});
  data.train = test::with_features(data.train, [](std::int64_t, std::span<float>) {});
  EXPECT_EQ(proposed(data)->losses, "ce,bs");
}

TEST(Proposal, ValidationLeavesTheRarestClassHalfOfItsSamples) {
  const auto validation = [](std::int64_t rarest) {
    return proposed(with_test(synthetic({50, rarest}), synthetic({1, 1})))->validation;
  };
  EXPECT_EQ(validation(1), 0);
  EXPECT_EQ(validation(2), 1);
  EXPECT_EQ(validation(7), 3);
  EXPECT_EQ(validation(41), 20);
  EXPECT_EQ(validation(50), 20);
}

TEST(Proposal, CanBeMadeIntoASplitAlsoAfterTheHoldOut) {
  for (const Counts& counts : {Counts{40, 2}, Counts{40, 5}, Counts{90, 1}, Counts{500, 333}}) {
    const OpenedData data = without_test(counts);
    EXPECT_NO_THROW(make_split(data, {.validation_per_class = proposed(data)->validation}));
  }
}

TEST(Proposal, EpochsMakeTheStepsThatSuchDataTake) {
  const auto epochs = [](std::int64_t images, ImageShape shape) {
    return proposed(with_test(synthetic({images / 2, images / 2}, shape), synthetic({1, 1}, shape)))->epochs;
  };
  EXPECT_EQ(epochs(12'800, {1, 28, 28}), 20);   // 100 batches: 2,000 steps
  EXPECT_EQ(epochs(12'800, {3, 32, 32}), 200);  // 20,000 steps
  EXPECT_EQ(epochs(200, {1, 28, 28}), 200);     // the maximum
  EXPECT_EQ(epochs(256'000, {1, 28, 28}), 10);  // the minimum
  EXPECT_EQ(epochs(256'000, {3, 32, 32}), 90);
}

TEST(Proposal, TheCommandOpensTheDataInTheSameWay) {
  OpenedData data = with_test(synthetic({100, 100}), synthetic({1, 1}));
  data.train = test::described(data.train, [](DatasetInfo& info) { info.name = "folder:my photos"; });
  Inspection found = inspect(data, {.imbalance = "exp:10", .quick = true});
  const OpenOptions opened{.data_root = "/data", .image_size = 32};
  const std::optional<Proposal> proposal = propose_run(found, opened, "exp:10");
  EXPECT_EQ(proposal->command,
            "ulmus compare --data 'folder:my photos' --data-root /data --image-size 32 --imbalance exp:10 --losses "
            "ce,ldam+drw,elm:lambda=0.5+drw --schedule cosine --epochs 200 --validation 5 --seeds 3");
  EXPECT_NE(to_text(*proposal).find(proposal->command), std::string::npos);
  EXPECT_EQ(proposal->reasons.size(), 4u);
  EXPECT_EQ(nlohmann::json::parse(to_json(found, proposal)).at("proposal").at("command"), proposal->command);
  found.skipped.add("damaged");
  EXPECT_NE(propose_run(found, opened, "exp:10")->command.find(" --skip-bad "), std::string::npos);
}

}  // namespace
}  // namespace ulmus
