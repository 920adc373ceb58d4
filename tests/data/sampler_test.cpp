#include "ulmus/data/sampler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "data/support.hpp"
#include "ulmus/base/random.hpp"

namespace ulmus {
namespace {

using test::expect_error;
using Indices = std::vector<std::int64_t>;

constexpr std::int64_t k_epochs = 10;

/// 3 + 30 + 0 + 300 images of interleaved classes; the indices are all images except the first.
struct Data {
  Indices labels;
  Indices indices;
  Indices counts{3, 30, 0, 300};

  Data() {
    for (std::int64_t c = 0; c < 4; ++c)
      labels.insert(labels.end(), static_cast<std::size_t>(counts[static_cast<std::size_t>(c)]), c);
    Stream(1, "mixed").shuffle(std::span(labels));
    labels.insert(labels.begin(), 2);
    indices.resize(labels.size() - 1);
    std::iota(indices.begin(), indices.end(), std::int64_t{1});
  }

  Indices epoch(const char* sampler, std::int64_t epoch, Shard shard = {}) const {
    return sample_epoch(Sampler::parse(sampler), indices, labels,
                        {.seed = 5, .epoch = epoch, .epochs = k_epochs, .shard = shard});
  }
};

/// Pearson's statistic of the classes of `images` against `probabilities`.
double chi_square(const Data& data, const Indices& images, const std::vector<double>& probabilities) {
  std::vector<double> seen(probabilities.size(), 0);
  for (const std::int64_t image : images)
    ++seen[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(image)])];
  double sum = 0;
  for (std::size_t c = 0; c < seen.size(); ++c) {
    const double expected = static_cast<double>(images.size()) * probabilities[c];
    if (expected == 0) {
      EXPECT_EQ(seen[c], 0);
    } else {
      sum += (seen[c] - expected) * (seen[c] - expected) / expected;
    }
  }
  return sum;
}

const std::vector<const char*> k_drawn{"balanced", "sqrt", "progressive", "effective:0.99", "drs:from=0,beta=0.9"};

TEST(Sampler, InstanceIsTheShuffleOfTheSeedAndEpoch) {
  const Data data;
  Indices expected = data.indices;
  Stream(5, "order", 3).shuffle(std::span(expected));
  EXPECT_EQ(data.epoch("instance", 3), expected);
}

TEST(Sampler, ProbabilitiesAreThoseOfTheirFormulas) {
  const Indices counts{3, 30, 0, 300};
  const auto expect = [&](const char* text, std::int64_t epoch, const std::vector<double>& weights) {
    const auto came = class_probabilities(Sampler::parse(text), counts, epoch, k_epochs);
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (std::size_t c = 0; c < counts.size(); ++c) EXPECT_NEAR(came[c], weights[c] / sum, 1e-14) << text << ' ' << c;
  };
  expect("instance", 0, {3, 30, 0, 300});
  expect("balanced", 0, {1, 1, 0, 1});
  expect("sqrt", 0, {std::sqrt(3), std::sqrt(30), 0, std::sqrt(300)});
  expect("progressive", 0, {3, 30, 0, 300});
  expect("progressive", 9, {1, 1, 0, 1});
  const double t = 4.0 / 9;
  expect("progressive", 4, {(1 - t) * 3 / 333 + t / 3, (1 - t) * 30 / 333 + t / 3, 0, (1 - t) * 300 / 333 + t / 3});
  const auto effective = [](double n, double beta) { return (1 - std::pow(beta, n)) / (1 - beta); };
  expect("effective:0.9", 0, {effective(3, 0.9), effective(30, 0.9), 0, effective(300, 0.9)});
  expect("effective:0", 0, {1, 1, 0, 1});
  expect("effective:1", 0, {3, 30, 0, 300});
  expect("drs:from=0.8,beta=1", 7, {3, 30, 0, 300});
  expect("drs:from=0.8,beta=1", 8, {1, 1, 0, 1});
  expect("drs:beta=0.9", 9, {3 / effective(3, 0.9), 30 / effective(30, 0.9), 0, 300 / effective(300, 0.9)});
  expect("drs:from=0,beta=0", 0, {3, 30, 0, 300});
}

TEST(Sampler, EffectiveNumbersKeepTheirDigitsNearOne) {
  const double beta = 1 - 1e-12;
  const auto came = class_probabilities({.kind = Sampler::Kind::effective, .beta = beta}, Indices{1, 1000}, 0, 1);
  EXPECT_NEAR(came[0] * 1001, 1, 1e-8);
}

TEST(Sampler, DeferredBeginsWhereTheDeferredWeightsDo) {
  const auto first_drawn = [](double from, std::int64_t epochs) {
    const Sampler sampler{.kind = Sampler::Kind::deferred, .from = from};
    std::int64_t epoch = 0;
    while (!sampler.draws(epoch, epochs)) ++epoch;
    return epoch;
  };
  EXPECT_EQ(first_drawn(0.8, 200), 160);
  EXPECT_EQ(first_drawn(0.75, 6), 5) << "4.5 is rounded up";
  EXPECT_EQ(first_drawn(1, 10), 9) << "at most the last";
  EXPECT_EQ(first_drawn(0.8, 1), 0);
  const Data data;
  EXPECT_EQ(data.epoch("drs", 7), data.epoch("instance", 7));
  EXPECT_NE(data.epoch("drs", 8), data.epoch("instance", 8));
}

TEST(Sampler, ClassesComeWithTheStatedProbabilities) {
  const Data data;
  for (const char* text : k_drawn)
    for (const std::int64_t epoch : {0, 5, 9}) {
      // Combines the epochs of many seeds: 333 draws alone would not be significant.
      Indices images;
      for (std::uint64_t seed = 0; seed < 60; ++seed) {
        const Indices part = sample_epoch(Sampler::parse(text), data.indices, data.labels,
                                          {.seed = seed, .epoch = epoch, .epochs = k_epochs});
        EXPECT_EQ(part.size(), data.indices.size());
        images.insert(images.end(), part.begin(), part.end());
      }
      const auto stated = class_probabilities(Sampler::parse(text), data.counts, epoch, k_epochs);
      EXPECT_LT(chi_square(data, images, stated), 13.8)
          << text << " epoch " << epoch << ": above with probability 0.001";
      // An error of 0.02 in a probability is detected, so the bound above is meaningful.
      std::vector<double> wrong = stated;
      wrong[0] += 0.02;
      wrong[3] -= 0.02;
      EXPECT_GT(chi_square(data, images, wrong), 13.8) << text;
    }
}

TEST(Sampler, ImagesOfAClassComeEquallyOften) {
  const Data data;
  std::map<std::int64_t, double> seen;
  double draws = 0;
  for (std::int64_t epoch = 0; epoch < k_epochs; ++epoch)
    for (const std::int64_t image : data.epoch("balanced", epoch))
      if (data.labels[static_cast<std::size_t>(image)] == 1) {
        ++seen[image];
        ++draws;
      }
  EXPECT_EQ(seen.size(), 30u);
  double statistic = 0;
  for (const auto& [image, times] : seen) statistic += (times - draws / 30) * (times - draws / 30) / (draws / 30);
  EXPECT_LT(statistic, 58.3) << "29 degrees of freedom: above with probability 0.001";
}

TEST(Sampler, DrawsEveryPositionByItself) {
  const Data data;
  const Indices epoch = data.epoch("sqrt", 2);
  std::vector<Indices> by_class(4);
  for (const std::int64_t index : data.indices)
    by_class[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(index)])].push_back(index);
  const auto probabilities = class_probabilities(Sampler::parse("sqrt"), data.counts, 2, k_epochs);
  for (std::size_t p = 0; p < epoch.size(); ++p) {
    Stream stream(5, "sample", 2, p);
    double u = stream.uniform();
    std::size_t c = 0;
    while (u >= probabilities[c]) u -= probabilities[c++];
    const auto& members = by_class[c];
    EXPECT_EQ(epoch[p], members[static_cast<std::size_t>(stream.below(members.size()))]) << p;
  }
}

TEST(Sampler, ShardsTogetherAreTheEpochOfOneProcess) {
  const Data data;
  for (const char* text : {"instance", "balanced", "sqrt", "progressive", "effective:0.99", "drs"})
    for (const std::int64_t epoch : {1, 9})
      for (const std::int64_t world : {1, 2, 3, 7, 400}) {
        const Indices whole = data.epoch(text, epoch);
        Indices together(whole.size(), -1);
        for (std::int64_t rank = 0; rank < world; ++rank) {
          const Indices shard = data.epoch(text, epoch, {.rank = rank, .world = world});
          for (std::size_t i = 0; i < shard.size(); ++i)
            together.at(static_cast<std::size_t>(rank) + i * static_cast<std::size_t>(world)) = shard[i];
        }
        EXPECT_EQ(together, whole) << text << ' ' << world;
      }
}

TEST(Sampler, EpochsAndSeedsDiffer) {
  const Data data;
  for (const char* text : k_drawn) {
    EXPECT_NE(data.epoch(text, 1), data.epoch(text, 2)) << text;
    EXPECT_EQ(data.epoch(text, 1), data.epoch(text, 1)) << text;
  }
}

TEST(Sampler, OneClassOrNoneIsNoTrouble) {
  for (const char* text : k_drawn) {
    EXPECT_TRUE(sample_epoch(Sampler::parse(text), {}, {}, {.epochs = 1}).empty());
    const Indices labels{4, 4, 4};
    const Indices epoch = sample_epoch(Sampler::parse(text), Indices{0, 2}, labels, {.epochs = 1});
    EXPECT_EQ(epoch.size(), 2u);
    for (const std::int64_t image : epoch) EXPECT_TRUE(image == 0 || image == 2) << text;
  }
}

TEST(Sampler, TextReadsBack) {
  for (const char* text : {"instance", "balanced", "sqrt", "progressive", "effective:0.9999", "drs:from=0.8,beta=1",
                           "drs:from=0.5,beta=0.9999"})
    EXPECT_EQ(Sampler::parse(text).text(), text);
  EXPECT_EQ(Sampler::parse("drs").text(), "drs:from=0.8,beta=1");
  EXPECT_EQ(Sampler::parse("drs:beta=0.5").text(), "drs:from=0.8,beta=0.5");
}

TEST(Sampler, RefusesWhatItDoesNotKnow) {
  const auto reject = [](std::string_view text, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::usage, parts, [&] { Sampler::parse(text); });
  };
  reject("ballanced", {"'ballanced'", "did you mean 'balanced'?"});
  reject("", {"choose one of instance, balanced, sqrt, progressive, effective, drs"});
  reject("balanced:2", {"takes nothing after its name", "write 'balanced'"});
  reject("effective", {"needs its beta", "effective:0.9999"});
  reject("effective:1.5", {"beta", "1.5", "0 to 1"});
  reject("effective:many", {"expected a number"});
  reject("drs:form=0.8", {"unknown key 'form'", "did you mean 'from'?"});
  reject("drs:", {"unknown key ''", "from, beta"});
  reject("drs:from=2", {"from", "expected 0 to 1"});
  reject("drs:from", {"from", "expected a number"});
  reject("drs:from=0.5,from=0.6", {"from is given twice"});
  for (const char* text : {"progressive", "drs"})
    for (const auto& [epoch, epochs] : {std::pair{0, 0}, {10, 10}, {-1, 10}})
      expect_error(ErrorKind::usage, {text, "needs the number of epochs"}, [&, epoch = epoch, epochs = epochs] {
        sample_epoch(Sampler::parse(text), Indices{0}, Indices{0}, {.epoch = epoch, .epochs = epochs});
      });
}

}  // namespace
}  // namespace ulmus
