#include "data/block_shuffle.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <numeric>
#include <set>

#include "data/support.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/data/sampler.hpp"

namespace ulmus {
namespace {

using test::expect_error;
using Indices = std::vector<std::int64_t>;

Indices every_third(std::int64_t below) {
  Indices indices;
  for (std::int64_t i = 0; i < below; i += 3) indices.push_back(i);
  return indices;
}

TEST(BlockShuffle, IsReadAndWritten) {
  EXPECT_EQ(BlockShuffle::parse("full", 8).text(), "full");
  EXPECT_EQ(BlockShuffle::parse("block", 1024).text(), "block:rows=64,blocks=512");
  EXPECT_EQ(BlockShuffle::parse("block", 1'000'000).rows, 1);
  EXPECT_EQ(BlockShuffle::parse("block:blocks=3,rows=7", 8).text(), "block:rows=7,blocks=3");
  expect_error(ErrorKind::usage, {"shuffle", "'blok'", "'block'"}, [] { BlockShuffle::parse("blok", 8); });
  expect_error(ErrorKind::usage, {"'full:2'", "nothing"}, [] { BlockShuffle::parse("full:2", 8); });
  expect_error(ErrorKind::usage, {"'row'", "'rows'"}, [] { BlockShuffle::parse("block:row=2", 8); });
  expect_error(ErrorKind::usage, {"rows", "is 0", "1 or more"}, [] { BlockShuffle::parse("block:rows=0", 8); });
}

TEST(BlockShuffle, ShowsEverySampleOnceAndOneWindowAfterTheOther) {
  const Indices indices = every_third(1000);
  const BlockShuffle shuffle{.rows = 10, .blocks = 7};
  const detail::BlockOrder epoch = detail::block_order(shuffle, indices, 5, 2);
  Indices sorted = epoch.order;
  std::ranges::sort(sorted);
  EXPECT_EQ(sorted, indices);
  ASSERT_EQ(epoch.windows.size(), 15u);  // 100 blocks, 7 at a time
  std::set<std::int64_t> seen;
  for (std::size_t w = 0; w < epoch.windows.size(); ++w) {
    const auto& window = epoch.windows[w];
    const auto end = w + 1 < epoch.windows.size() ? epoch.windows[w + 1].first : std::ssize(epoch.order);
    EXPECT_LE(window.blocks.size(), 7u);
    for (const std::int64_t block : window.blocks) EXPECT_TRUE(seen.insert(block).second) << "read twice";
    for (std::int64_t p = window.first; p < end; ++p)
      EXPECT_TRUE(std::ranges::binary_search(window.blocks, epoch.order[static_cast<std::size_t>(p)] / 10));
  }
}

TEST(BlockShuffle, IsAFunctionOfSeedEpochAndBlocks) {
  Indices indices = every_third(600);
  const BlockShuffle shuffle{.rows = 8, .blocks = 4};
  const Indices order = detail::block_order(shuffle, indices, 1, 0).order;
  EXPECT_NE(detail::block_order(shuffle, indices, 1, 1).order, order);
  EXPECT_NE(detail::block_order(shuffle, indices, 2, 0).order, order);
  EXPECT_NE(detail::block_order({.rows = 16, .blocks = 4}, indices, 1, 0).order, order);
  std::ranges::reverse(indices);
  EXPECT_EQ(detail::block_order(shuffle, indices, 1, 0).order, order);
}

/// Features in memory that note which were announced before they were read.
class Announced : public FeatureSource {
 public:
  void read(std::int64_t index, std::span<float> values) const override {
    const std::lock_guard lock(mutex_);
    if (!announced_.contains(index)) ++surprises;
    std::ranges::fill(values, static_cast<float>(index));
  }
  void will_read(std::int64_t first, std::int64_t count) const override {
    const std::lock_guard lock(mutex_);
    for (std::int64_t i = first; i < first + count; ++i) announced_.insert(i);
    most = std::max(most, count);
  }
  mutable int surprises = 0;
  mutable std::int64_t most = 0;

 private:
  mutable std::mutex mutex_;
  mutable std::set<std::int64_t> announced_;
};

Indices samples_of(Loader& loader, std::int64_t epoch, std::int64_t first_batch = 0) {
  Indices samples;
  loader.start(epoch, first_batch);
  for (Batch batch; loader.next(batch);)
    for (std::int64_t i = 0; i < batch.size; ++i)
      samples.push_back(static_cast<std::int64_t>(batch.inputs[static_cast<std::size_t>(i)]));
  return samples;
}

class BlockLoader : public ::testing::Test {
 protected:
  Dataset data() const {
    return Dataset({.name = "numbers",
                    .class_names = {"a", "b"},
                    .shape = {.channels = 1, .height = 1, .width = 1},
                    .labels = Indices(1003, 1),
                    .sha256 = "",
                    .notes = {}},
                   std::shared_ptr<const FeatureSource>(source_));
  }
  LoaderOptions options(int threads) const {
    return {.batch_size = 16, .shuffle = true, .seed = 9, .threads = threads, .blocks = {.rows = 10, .blocks = 8}};
  }
  Indices all() const {
    Indices indices(1003);
    std::iota(indices.begin(), indices.end(), std::int64_t{0});
    return indices;
  }
  const std::shared_ptr<Announced> source_ = std::make_shared<Announced>();
};

TEST_F(BlockLoader, AnnouncesWindowsBeforeItReadsThem) {
  for (const int threads : {0, 1, 3}) {
    Loader loader(data(), all(), options(threads));
    EXPECT_EQ(samples_of(loader, 4), detail::block_order({.rows = 10, .blocks = 8}, all(), 9, 4).order);
    EXPECT_EQ(samples_of(loader, 4, 30), [&] {
      const Indices order = detail::block_order({.rows = 10, .blocks = 8}, all(), 9, 4).order;
      return Indices(order.begin() + 30 * 16, order.end());
    }());
  }
  EXPECT_EQ(source_->surprises, 0);
  EXPECT_EQ(source_->most, 10);
}

TEST_F(BlockLoader, OfSeveralProcessesShareAnEpoch) {
  const Indices order = detail::block_order({.rows = 10, .blocks = 8}, all(), 9, 0).order;
  for (std::int64_t rank = 0; rank < 2; ++rank) {
    LoaderOptions of_rank = options(1);
    of_rank.shard = {.rank = rank, .world = 2};
    Loader loader(data(), all(), of_rank);
    Indices expected;
    for (std::size_t p = static_cast<std::size_t>(rank); p < order.size(); p += 2) expected.push_back(order[p]);
    EXPECT_EQ(samples_of(loader, 0), expected);
  }
  EXPECT_EQ(source_->surprises, 0);
}

TEST_F(BlockLoader, DrawsFromAllWhereTheSamplerDraws) {
  LoaderOptions drawn = options(1), full = options(1);
  drawn.sampler.kind = full.sampler.kind = Sampler::Kind::sqrt;
  full.blocks = {};
  Loader with(data(), all(), drawn), without(data(), all(), full);
  EXPECT_EQ(samples_of(with, 0), samples_of(without, 0));
}

}  // namespace
}  // namespace ulmus
