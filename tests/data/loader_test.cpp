#include "ulmus/data/loader.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>

#include "data/support.hpp"
#include "ulmus/base/random.hpp"

namespace ulmus {
namespace {

using test::expect_error;
using test::pixels_of;
using test::synthetic;
using test::with_features;
using test::with_images;
using Indices = std::vector<std::int64_t>;

Indices first(std::int64_t count) {
  Indices indices(static_cast<std::size_t>(count));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  return indices;
}

/// All pixels and labels of an epoch, concatenated.
struct Epoch {
  std::vector<float> pixels;
  Indices labels;
  Indices second_labels;
  std::vector<double> lambdas;
  Indices sizes;
  friend bool operator==(const Epoch&, const Epoch&) = default;
};

Epoch read_epoch(Loader& loader, std::int64_t epoch, std::int64_t first_batch = 0) {
  Epoch result;
  Batch batch;
  loader.start(epoch, first_batch);
  while (loader.next(batch)) {
    result.pixels.insert(result.pixels.end(), batch.inputs.begin(), batch.inputs.end());
    result.labels.insert(result.labels.end(), batch.labels.begin(), batch.labels.end());
    result.second_labels.insert(result.second_labels.end(), batch.second_labels.begin(), batch.second_labels.end());
    result.lambdas.push_back(batch.lambda);
    result.sizes.push_back(batch.size);
  }
  return result;
}

Epoch read_epoch(const Dataset& data, const Indices& indices, const LoaderOptions& options, std::int64_t epoch = 0) {
  Loader loader(data, indices, options);
  return read_epoch(loader, epoch);
}

TEST(Loader, WithoutShuffleKeepsTheOrderOfTheIndices) {
  const Dataset data = synthetic({10, 10, 10});
  const Indices indices{5, 2, 29, 0, 17};
  const Epoch epoch = read_epoch(data, indices, {.batch_size = 2});
  EXPECT_EQ(epoch.sizes, (Indices{2, 2, 1}));
  for (std::size_t i = 0; i < indices.size(); ++i) {
    EXPECT_EQ(epoch.labels[i], data.labels()[static_cast<std::size_t>(indices[i])]);
    const auto pixels = pixels_of(data, indices[i]);
    for (std::size_t p = 0; p < pixels.size(); ++p)
      EXPECT_EQ(epoch.pixels[i * pixels.size() + p], static_cast<float>(pixels[p]) / 255.0f);
  }
}

TEST(Loader, SameBitsForAnyNumberOfThreads) {
  const Dataset data = synthetic({40, 30, 27}, {3, 6, 5});
  LoaderOptions options{.batch_size = 8,
                        .shuffle = true,
                        .augmentation = {.pad = 2, .flip = true},
                        .normalisation = {.mean = {0.5f, 0.4f, 0.3f}, .stddev = {0.2f, 0.3f, 0.4f}},
                        .seed = 9,
                        .threads = 0};
  for (const std::int64_t epoch : {0, 1, 7}) {
    options.threads = 0;
    const Epoch expected = read_epoch(data, first(97), options, epoch);
    EXPECT_EQ(expected.labels.size(), 97u);
    for (const int threads : {1, 2, 5})
      for (const int prefetch : {1, 4}) {
        options.threads = threads;
        options.prefetch = prefetch;
        EXPECT_EQ(read_epoch(data, first(97), options, epoch), expected) << threads << ' ' << prefetch;
      }
  }
}

TEST(Loader, ShufflesAnewEachEpochAndTheSameForTheSameEpoch) {
  const Dataset data = test::described(synthetic({200}), [](DatasetInfo& info) {
    info.class_names.resize(200);
    std::iota(info.labels.begin(), info.labels.end(), std::int64_t{0});
  });
  Loader loader(data, first(200), {.batch_size = 32, .shuffle = true, .seed = 1, .threads = 2});
  const Epoch zero = read_epoch(loader, 0);
  const Epoch one = read_epoch(loader, 1);
  EXPECT_EQ(read_epoch(loader, 0), zero);
  EXPECT_NE(zero.labels, one.labels);
  EXPECT_NE(zero.labels, first(200));
  Indices sorted = zero.labels;
  std::ranges::sort(sorted);
  EXPECT_EQ(sorted, first(200));

  Indices order = first(200);
  Stream(1, "order", 1).shuffle(std::span(order));
  EXPECT_EQ(one.labels, order);
}

TEST(Loader, DropLastLeavesOutTheIncompleteBatch) {
  const Dataset data = synthetic({10});
  Loader all(data, first(10), {.batch_size = 4});
  EXPECT_EQ(all.batches(), 3);
  EXPECT_EQ(all.samples(), 10);
  EXPECT_EQ(read_epoch(all, 0).sizes, (Indices{4, 4, 2}));
  Loader whole(data, first(10), {.batch_size = 4, .drop_last = true});
  EXPECT_EQ(whole.batches(), 2);
  EXPECT_EQ(whole.samples(), 8);
  EXPECT_EQ(read_epoch(whole, 0).sizes, (Indices{4, 4}));
}

TEST(Loader, NothingBeforeTheFirstStartAndAfterTheEnd) {
  Loader loader(synthetic({3}), first(3), {.batch_size = 2});
  Batch batch;
  EXPECT_FALSE(loader.next(batch));
  EXPECT_EQ(read_epoch(loader, 0).labels.size(), 3u);
  EXPECT_FALSE(loader.next(batch));
  Loader empty(synthetic({3}), {}, {});
  EXPECT_EQ(empty.batches(), 0);
  EXPECT_TRUE(read_epoch(empty, 0).labels.empty());
}

TEST(Loader, AugmentationIsACropOfThePaddedImageAndThenAFlip) {
  const ImageShape shape{2, 5, 4};
  const Dataset data = synthetic({60}, shape);
  const std::int64_t pad = 3;
  const Epoch epoch =
      read_epoch(data, first(60), {.batch_size = 7, .augmentation = {.pad = pad, .flip = true}, .seed = 5}, 2);
  int flipped = 0;
  for (std::int64_t index = 0; index < 60; ++index) {
    Stream stream(5, "augment", 2, static_cast<std::uint64_t>(index));
    const auto top = static_cast<std::int64_t>(stream.below(7));
    const auto left = static_cast<std::int64_t>(stream.below(7));
    const bool flip = stream.below(2) == 1;
    flipped += flip;
    const auto image = pixels_of(data, index);
    for (std::int64_t c = 0; c < shape.channels; ++c)
      for (std::int64_t y = 0; y < shape.height; ++y)
        for (std::int64_t x = 0; x < shape.width; ++x) {
          const std::int64_t row = y + top - pad;
          const std::int64_t column = (flip ? shape.width - 1 - x : x) + left - pad;
          const bool inside = row >= 0 && row < shape.height && column >= 0 && column < shape.width;
          const std::int64_t source = (c * shape.height + row) * shape.width + column;
          const float expected = inside ? static_cast<float>(image[static_cast<std::size_t>(source)]) / 255.0f : 0.0f;
          const std::int64_t place = index * shape.pixels() + (c * shape.height + y) * shape.width + x;
          ASSERT_EQ(epoch.pixels[static_cast<std::size_t>(place)], expected)
              << index << ' ' << c << ' ' << y << ' ' << x;
        }
  }
  EXPECT_GT(flipped, 15);
  EXPECT_LT(flipped, 45);
}

TEST(Loader, PaddingIsBlackBeforeNormalisation) {
  const Dataset white = with_images(synthetic({50}, {2, 4, 4}), [](std::int64_t, std::span<std::uint8_t> pixels) {
    std::ranges::fill(pixels, std::uint8_t{255});
  });
  const Normalisation normalisation{.mean = {0.25f, 0.5f}, .stddev = {0.5f, 0.125f}};
  const Epoch epoch = read_epoch(white, first(50), {.augmentation = {.pad = 1}, .normalisation = normalisation});
  std::array<std::set<float>, 2> values;
  for (std::size_t i = 0; i < epoch.pixels.size(); ++i) values[i / 16 % 2].insert(epoch.pixels[i]);
  EXPECT_EQ(values[0], (std::set<float>{-0.5f, 1.5f}));
  EXPECT_EQ(values[1], (std::set<float>{-4.0f, 4.0f}));
}

TEST(Loader, AnErrorIsThrownByTheNextThatWouldHaveReturnedItsBatch) {
  const Dataset sound = synthetic({40});
  const Dataset data = with_images(sound, [sound](std::int64_t index, std::span<std::uint8_t> pixels) {
    if (index == 13) throw Error(ErrorKind::data, "image 13 is damaged");
    sound.read(index, pixels);
  });
  for (const int threads : {0, 1, 3}) {
    Loader loader(data, first(40), {.batch_size = 4, .threads = threads});
    for (const std::int64_t epoch : {0, 1}) {
      loader.start(epoch);
      Batch batch;
      for (int i = 0; i < 3; ++i) ASSERT_TRUE(loader.next(batch));
      expect_error(ErrorKind::data, {"image 13 is damaged"}, [&] { loader.next(batch); });
      for (int i = 4; i < 10; ++i) ASSERT_TRUE(loader.next(batch));
      EXPECT_FALSE(loader.next(batch));
    }
  }
}

TEST(Loader, StopsInTheMiddleOfAnEpoch) {
  const Dataset data = synthetic({500});
  const LoaderOptions options{.batch_size = 3, .shuffle = true, .threads = 3, .prefetch = 2};
  const Epoch expected = read_epoch(data, first(500), options, 4);
  for (const int taken : {0, 1, 5, 166}) {
    Loader loader(data, first(500), options);
    Batch batch;
    loader.start(0);
    for (int i = 0; i < taken; ++i) ASSERT_TRUE(loader.next(batch));
    EXPECT_EQ(read_epoch(loader, 4), expected);
    loader.start(5);
  }
}

TEST(Loader, AnErrorThatNobodyFetchedEndsWithItsEpoch) {
  const Dataset sound = synthetic({20});
  auto broken = std::make_shared<std::atomic<bool>>(true);
  const Dataset data = with_images(sound, [broken, sound](std::int64_t index, std::span<std::uint8_t> pixels) {
    if (*broken) throw std::runtime_error("damaged");
    sound.read(index, pixels);
  });
  Loader loader(data, first(20), {.batch_size = 2, .threads = 2});
  loader.start(0);
  Batch batch;
  EXPECT_THROW(loader.next(batch), std::runtime_error);
  *broken = false;
  EXPECT_EQ(read_epoch(loader, 1).labels.size(), 20u);
}

TEST(Loader, PreparesNoMoreThanPrefetchAheadAndReusesTheBuffers) {
  const Dataset sound = synthetic({100});
  auto reads = std::make_shared<std::atomic<int>>(0);
  const Dataset data = with_images(sound, [reads, sound](std::int64_t index, std::span<std::uint8_t> pixels) {
    ++*reads;
    sound.read(index, pixels);
  });
  Loader loader(data, first(100), {.batch_size = 5, .threads = 4, .prefetch = 3});
  Batch batch;
  loader.start(0);
  std::set<const float*> buffers;
  for (int taken = 0; taken < 10; ++taken) {
    const int expected = 5 * (taken + 3);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (*reads < expected && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    EXPECT_EQ(*reads, expected);
    ASSERT_TRUE(loader.next(batch));
    buffers.insert(batch.inputs.data());
  }
  EXPECT_LE(buffers.size(), 4u) << "three slots and the caller's batch";
}

/// Options that draw all kinds of random numbers, for images that are large enough.
LoaderOptions all_options(const char* sampler, const char* augmentation, const ImageShape& shape) {
  return {.batch_size = 8,
          .shuffle = true,
          .augmentation = Augmentation::parse(augmentation, shape),
          .seed = 4,
          .threads = 0,
          .sampler = Sampler::parse(sampler),
          .epochs = 5};
}

constexpr ImageShape k_shape{3, 12, 10};

TEST(Loader, SameBitsForAnyNumberOfThreadsWithEverySamplerAndAugmentation) {
  const Dataset data = synthetic({40, 20, 5}, k_shape);
  for (const auto& [sampler, augmentation] : {std::pair{"balanced", "rrc+flip+jitter:hue=0.2+randaugment+cutout+mixup"},
                                              {"drs:from=0.4", "crop+flip+autoaugment+cutmix"},
                                              {"progressive", "flip+mixup:0.5"}}) {
    LoaderOptions options = all_options(sampler, augmentation, k_shape);
    for (const std::int64_t epoch : {0, 3}) {
      options.threads = 0;
      const Epoch expected = read_epoch(data, first(65), options, epoch);
      for (const int threads : {1, 3}) {
        options.threads = threads;
        EXPECT_EQ(read_epoch(data, first(65), options, epoch), expected) << sampler << ' ' << threads;
      }
    }
  }
}

TEST(Loader, ResumesInTheMiddleOfAnEpoch) {
  const Dataset data = synthetic({40, 20, 5}, k_shape);
  for (const char* sampler : {"instance", "balanced", "progressive"})
    for (const int threads : {0, 2}) {
      LoaderOptions options = all_options(sampler, "crop+flip+randaugment+mixup", k_shape);
      options.threads = threads;
      Loader loader(data, first(65), options);
      const Epoch whole = read_epoch(loader, 2);
      for (const std::int64_t begin : {0, 1, 5, 8, 9}) {
        const Epoch rest = read_epoch(loader, 2, begin);
        const auto skipped = static_cast<std::ptrdiff_t>(std::min<std::int64_t>(8 * begin, 65));
        EXPECT_EQ(rest.sizes, Indices(whole.sizes.begin() + begin, whole.sizes.end()));
        EXPECT_EQ(rest.labels, Indices(whole.labels.begin() + skipped, whole.labels.end()));
        EXPECT_EQ(rest.second_labels, Indices(whole.second_labels.begin() + skipped, whole.second_labels.end()));
        EXPECT_EQ(rest.lambdas, std::vector<double>(whole.lambdas.begin() + begin, whole.lambdas.end()));
        EXPECT_EQ(rest.pixels,
                  std::vector<float>(whole.pixels.begin() + skipped * k_shape.pixels(), whole.pixels.end()));
      }
      for (const std::int64_t begin : {-1, 10})
        expect_error(ErrorKind::usage, {"cannot begin at batch", "0 to 9"}, [&] { loader.start(2, begin); });
      if (options.sampler.needs_epochs()) expect_error(ErrorKind::usage, {"epoch 5", "of 5"}, [&] { loader.start(5); });
    }
}

TEST(Loader, ShardsTogetherAreTheBatchesOfOneProcess) {
  const Dataset data = synthetic({40, 20, 5}, k_shape);
  for (const char* sampler : {"instance", "balanced"})
    for (const std::int64_t world : {2, 3, 5}) {
      LoaderOptions options = all_options(sampler, "crop+flip+autoaugment", k_shape);
      options.batch_size = 4 * world;
      const Epoch whole = read_epoch(data, first(65), options, 1);
      options.batch_size = 4;
      std::vector<Epoch> shards;
      std::int64_t samples = 0;
      for (std::int64_t rank = 0; rank < world; ++rank) {
        options.shard = {.rank = rank, .world = world};
        Loader loader(data, first(65), options);
        samples += loader.samples();
        shards.push_back(read_epoch(loader, 1));
        EXPECT_EQ(std::ssize(shards.back().sizes), std::ssize(whole.sizes)) << "as many batches on every rank";
        EXPECT_EQ(loader.samples(), std::ssize(shards.back().labels));
      }
      EXPECT_EQ(samples, 65);
      Epoch together;
      for (std::int64_t p = 0; p < 65; ++p) {
        const Epoch& shard = shards[static_cast<std::size_t>(p % world)];
        const auto place = static_cast<std::ptrdiff_t>(p / world);
        together.labels.push_back(shard.labels[static_cast<std::size_t>(place)]);
        const auto begin = shard.pixels.begin() + place * k_shape.pixels();
        together.pixels.insert(together.pixels.end(), begin, begin + k_shape.pixels());
      }
      EXPECT_EQ(together.labels, whole.labels) << sampler << ' ' << world;
      EXPECT_EQ(together.pixels, whole.pixels) << sampler << ' ' << world;
    }
}

TEST(Loader, EveryRankHasAsManyBatchesEvenWhereOneIsEmpty) {
  // 9 samples, batches of 4 per process, two processes: the second batch has one sample for rank 0, none for rank 1.
  const Dataset data = synthetic({9});
  for (const std::int64_t rank : {0, 1}) {
    LoaderOptions options{.batch_size = 4, .threads = 2, .shard = {.rank = rank, .world = 2}};
    Loader loader(data, first(9), options);
    EXPECT_EQ(loader.batches(), 2);
    EXPECT_EQ(loader.samples(), 5 - rank);
    EXPECT_EQ(read_epoch(loader, 0).sizes, (Indices{4, 1 - rank}));
    options.drop_last = true;
    Loader whole(data, first(9), options);
    EXPECT_EQ(whole.batches(), 1);
    EXPECT_EQ(whole.samples(), 4);
    EXPECT_EQ(read_epoch(whole, 0).sizes, Indices{4});
  }
  // Mixing must also work with an empty batch and with a single sample.
  LoaderOptions options{.batch_size = 1, .augmentation = {.mixup = 1}, .shard = {.rank = 1, .world = 2}};
  EXPECT_EQ(read_epoch(synthetic({3}), first(3), options).sizes, (Indices{1, 0}));
}

TEST(Loader, AnImageDrawnTwiceLooksDifferentEachTime) {
  Dataset data = synthetic({1, 50}, k_shape);
  LoaderOptions options = all_options("balanced", "crop:4+flip", k_shape);
  options.batch_size = 51;
  const Epoch epoch = read_epoch(data, first(51), options, 1);
  std::set<std::vector<float>> views;
  for (std::size_t i = 0; i < epoch.labels.size(); ++i)
    if (epoch.labels[i] == 0) {
      const auto begin = epoch.pixels.begin() + static_cast<std::ptrdiff_t>(i) * k_shape.pixels();
      views.emplace(begin, begin + k_shape.pixels());
    }
  EXPECT_GT(views.size(), 10u) << "of the one image of class 0, drawn about 25 times";
}

TEST(Loader, MixesABatchByItsOwnStream) {
  const Dataset data = synthetic({20, 20}, k_shape);
  for (const char* augmentation : {"mixup:0.4", "cutmix"}) {
    LoaderOptions options = all_options("instance", "none", k_shape);
    const Epoch plain = read_epoch(data, first(40), options, 3);
    EXPECT_TRUE(plain.second_labels.empty());
    EXPECT_EQ(plain.lambdas, std::vector<double>(5, 1.0));
    options.augmentation = Augmentation::parse(augmentation, k_shape);
    const Epoch mixed = read_epoch(data, first(40), options, 3);
    EXPECT_EQ(mixed.labels, plain.labels);
    for (std::size_t b = 0; b < 5; ++b) {
      const auto length = static_cast<std::size_t>(k_shape.pixels());
      const auto begin = plain.pixels.begin() + static_cast<std::ptrdiff_t>(8 * b * length);
      std::vector<float> pixels(begin, begin + static_cast<std::ptrdiff_t>(8 * length));
      const Mixing expected = mix(options.augmentation, pixels, 8, k_shape, Stream(4, "mix", 3, b));
      EXPECT_EQ(mixed.lambdas[b], expected.lambda);
      for (std::size_t i = 0; i < 8; ++i)
        EXPECT_EQ(mixed.second_labels[8 * b + i], plain.labels[8 * b + static_cast<std::size_t>(expected.partner[i])]);
      EXPECT_TRUE(
          std::equal(pixels.begin(), pixels.end(), mixed.pixels.begin() + static_cast<std::ptrdiff_t>(8 * b * length)));
    }
  }
}

/// Feature d of sample i is i / 3 - d; the last feature is constant.
Dataset feature_data(std::int64_t samples, std::int64_t features) {
  return with_features(synthetic({samples - samples / 2, samples / 2}, {features, 1, 1}), [](std::int64_t index,
                                                                                             std::span<float> values) {
    for (std::size_t d = 0; d < values.size(); ++d)
      values[d] = d + 1 == values.size() ? -7.5f : static_cast<float>(index) / 3.0f - static_cast<float>(d);
  });
}

TEST(Loader, FeedsFeaturesNormalisedByEach) {
  const Dataset data = feature_data(31, 4);
  LoaderOptions options{.batch_size = 7, .normalisation = channel_statistics(data, first(31)), .threads = 0};
  const Epoch epoch = read_epoch(data, first(31), options);
  ASSERT_EQ(epoch.pixels.size(), 31u * 4);
  for (std::size_t i = 0; i < 31; ++i)
    for (std::size_t d = 0; d < 4; ++d) {
      const float value = d == 3 ? -7.5f : static_cast<float>(i) / 3.0f - static_cast<float>(d);
      EXPECT_EQ(epoch.pixels[4 * i + d], (value - options.normalisation.mean[d]) / options.normalisation.stddev[d]);
    }
  options.shuffle = true;
  options.sampler = Sampler::parse("balanced");
  options.augmentation = {.mixup = 1};
  const Epoch expected = read_epoch(data, first(31), options, 1);
  EXPECT_EQ(expected.second_labels.size(), 31u);
  options.threads = 3;
  EXPECT_EQ(read_epoch(data, first(31), options, 1), expected);
  options.normalisation = {};
  options.shuffle = false;
  options.sampler = {};
  options.augmentation = {};
  EXPECT_EQ(read_epoch(data, first(31), options).pixels[4 * 30], 10.0f) << "as they are";
}

TEST(Loader, RefusesForFeaturesWhatIsForImages) {
  const Dataset data = feature_data(10, 3);
  expect_error(ErrorKind::usage, {"'flip' is for images", "synthetic"},
               [&] { Loader(data, first(10), {.augmentation = {.flip = true}}); });
  expect_error(ErrorKind::usage, {"1 means", "expected 3"},
               [&] { Loader(data, first(10), {.normalisation = {.mean = {0}, .stddev = {1}}}); });
  expect_error(ErrorKind::data, {"sample 10 is asked for", "10 samples"}, [&] { Loader(data, {10}, {}); });
}

TEST(Loader, RefusesASamplerOrShardThatCannotApply) {
  const Dataset data = synthetic({10});
  const auto reject = [&](const LoaderOptions& options, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::usage, parts, [&] { Loader(data, first(10), options); });
  };
  reject({.sampler = Sampler::parse("balanced")}, {"'balanced' cannot apply without shuffle"});
  reject({.shuffle = true, .sampler = Sampler::parse("drs")}, {"drs", "needs the number of epochs"});
  reject({.shard = {.rank = 2, .world = 2}}, {"rank is 2 of 2"});
  reject({.shard = {.rank = -1, .world = 2}}, {"rank is -1"});
  reject({.shard = {.rank = 0, .world = 0}}, {"of 0 processes"});
  reject({.batch_size = 6, .drop_last = true, .shard = {.world = 2}}, {"batch_size 6", "for 2 processes", "up to 5"});
  reject({.augmentation = {.jitter = {.hue = 0.1}}}, {"needs RGB"});
}

TEST(Loader, RefusesOptionsOutOfRange) {
  const Dataset data = synthetic({10}, {2, 4, 3});
  const auto reject = [&](ErrorKind kind, const LoaderOptions& options, std::initializer_list<std::string_view> parts,
                          const Indices& indices) {
    expect_error(kind, parts, [&] { Loader(data, indices, options); });
  };
  const Indices ten = first(10);
  reject(ErrorKind::usage, {.batch_size = 0}, {"batch_size is 0"}, ten);
  reject(ErrorKind::usage, {.threads = -1}, {"threads are -1"}, ten);
  reject(ErrorKind::usage, {.prefetch = 0}, {"prefetch is 0"}, ten);
  reject(ErrorKind::usage, {.augmentation = {.pad = -1}}, {"padding is -1"}, ten);
  reject(ErrorKind::usage, {.augmentation = {.pad = 3}}, {"padding is 3", "0 to 2", "3 x 4"}, ten);
  reject(ErrorKind::usage, {.batch_size = 11, .drop_last = true}, {"11", "drop_last", "10"}, ten);
  reject(ErrorKind::usage, {.normalisation = {.mean = {0.5f}, .stddev = {0.5f}}}, {"1 means", "expected 2"}, ten);
  reject(ErrorKind::usage, {.normalisation = {.mean = {0.5f, 0.5f}, .stddev = {0.5f, 0.0f}}}, {"channel 1"}, ten);
  reject(ErrorKind::usage,
         {.normalisation = {.mean = {std::numeric_limits<float>::quiet_NaN(), 0.5f}, .stddev = {0.5f, 0.5f}}},
         {"channel 0"}, ten);
  reject(ErrorKind::data, {}, {"image 10", "synthetic", "10 images"}, {0, 10});
  reject(ErrorKind::data, {}, {"image -1"}, {-1});
}

TEST(ChannelStatistics, AreMeanAndStandardDeviationOfTheChosenImages) {
  const Dataset data = synthetic({30}, {2, 3, 3});
  const Indices indices{3, 14, 15, 9, 26};
  const Normalisation statistics = channel_statistics(data, indices);
  for (std::size_t c = 0; c < 2; ++c) {
    std::vector<double> values;
    for (const auto index : indices) {
      const auto pixels = pixels_of(data, index);
      for (std::size_t p = 0; p < 9; ++p) values.push_back(pixels[9 * c + p] / 255.0);
    }
    const auto n = static_cast<double>(values.size());
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    EXPECT_NEAR(statistics.mean[c], mean, 1e-7);
    EXPECT_NEAR(statistics.stddev[c], std::sqrt(squares / n), 1e-7);
  }
  const Normalisation reversed = channel_statistics(data, Indices(indices.rbegin(), indices.rend()));
  EXPECT_EQ(reversed.mean, statistics.mean);
  EXPECT_EQ(reversed.stddev, statistics.stddev);
}

TEST(ChannelStatistics, OfFeaturesAreOfEachAndInDoublePrecision) {
  // A large offset: sums of squares in single precision, or in one pass, would lose the variance.
  const Dataset data = with_features(feature_data(40, 3), [](std::int64_t index, std::span<float> values) {
    values[0] = 1e6f + static_cast<float>(index);
    values[1] = static_cast<float>(index % 2);
    values[2] = 4;
  });
  const Normalisation statistics = channel_statistics(data, first(40));
  EXPECT_EQ(statistics.mean, (std::vector<float>{1e6f + 19.5f, 0.5f, 4.0f}));
  EXPECT_FLOAT_EQ(statistics.stddev[0], std::sqrt((40.0f * 40.0f - 1) / 12));
  EXPECT_EQ(statistics.stddev[1], 0.5f);
  EXPECT_EQ(statistics.stddev[2], 1.0f) << "the same everywhere";
  Indices order = first(40);
  Stream(0, "other").shuffle(std::span(order));
  EXPECT_EQ(channel_statistics(data, order).mean, statistics.mean);
  EXPECT_EQ(channel_statistics(data, order).stddev, statistics.stddev);

  const Dataset broken = with_features(data, [](std::int64_t index, std::span<float> values) {
    std::ranges::fill(values, 0.0f);
    if (index == 8) values[1] = std::numeric_limits<float>::quiet_NaN();
  });
  expect_error(ErrorKind::data, {"feature 1 of sample 8", "synthetic", "finite"},
               [&] { channel_statistics(broken, first(40)); });
  expect_error(ErrorKind::usage, {"at least one sample"}, [&] { channel_statistics(data, {}); });
}

TEST(ChannelStatistics, AConstantChannelHasDeviationOne) {
  const Dataset data = with_images(synthetic({4}), [](std::int64_t, std::span<std::uint8_t> pixels) {
    std::ranges::fill(pixels, std::uint8_t{51});
  });
  const Normalisation statistics = channel_statistics(data, first(4));
  EXPECT_EQ(statistics.mean, std::vector<float>{0.2f});
  EXPECT_EQ(statistics.stddev, std::vector<float>{1.0f});
  expect_error(ErrorKind::usage, {"at least one image"}, [&] { channel_statistics(data, {}); });
}

}  // namespace
}  // namespace ulmus
