#include "ulmus/data/imbalance.hpp"

#include <gtest/gtest.h>

#include "data/support.hpp"

namespace ulmus {
namespace {

using Counts = std::vector<std::int64_t>;
using test::expect_error;

Counts counts(std::string_view profile, const Counts& available) {
  return imbalance_counts(ImbalanceProfile::parse(profile), available);
}

TEST(Imbalance, ExponentialIsThePublishedCifar10) {
  EXPECT_EQ(counts("exp:100", Counts(10, 5000)), (Counts{5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50}));
}

TEST(Imbalance, StepKeepsHalfOfTheClasses) {
  EXPECT_EQ(counts("step:10", Counts(4, 50)), (Counts{50, 50, 5, 5}));
  EXPECT_EQ(counts("step:200", Counts(2, 500)), (Counts{500, 2}));
}

TEST(Imbalance, StepKeepsTheLastClassOfAnOddNumber) {
  EXPECT_EQ(counts("step:10", Counts(5, 50)), (Counts{50, 50, 5, 5, 5}));
}

TEST(Imbalance, NoneKeepsEverything) { EXPECT_EQ(counts("none", {3, 0, 9}), (Counts{3, 0, 9})); }

TEST(Imbalance, RatioOneBalances) {
  EXPECT_EQ(counts("exp:1", {7, 5, 9}), (Counts{5, 5, 5}));
  EXPECT_EQ(counts("step:1", {7, 5, 9}), (Counts{5, 5, 5}));
}

TEST(Imbalance, TheRatioAskedForIsMadeWhereAClassHasTooFew) {
  // 6000 of class 0 are not there; of class 2, 60 suffice.
  EXPECT_EQ(counts("exp:100", {5000, 6000, 7000}), (Counts{5000, 500, 50}));
  // Class 2 bounds n_max: trunc(109 / 10) = 10 is the most it has.
  EXPECT_EQ(counts("exp:10", {200, 200, 10}), (Counts{109, 34, 10}));
  EXPECT_EQ(counts("step:2.5", {9, 3}), (Counts{6, 2}));
}

TEST(Imbalance, NeverAsksForMoreThanThereIs) {
  for (std::int64_t a = 0; a < 40; a += 3)
    for (std::int64_t b = 0; b < 40; b += 3)
      for (const char* profile : {"exp:1", "exp:1.5", "exp:7", "exp:1000", "step:3", "step:11"}) {
        const Counts available{a, b, 17};
        const Counts kept = counts(profile, available);
        for (std::size_t c = 0; c < 3; ++c) {
          EXPECT_GE(kept[c], 0);
          EXPECT_LE(kept[c], available[c]) << profile << ' ' << a << ' ' << b;
        }
      }
}

TEST(Imbalance, OneClassIsTheHead) {
  EXPECT_EQ(counts("exp:100", {8}), Counts{8});
  EXPECT_EQ(counts("step:100", {8}), Counts{8});
}

TEST(ImbalanceProfile, ParsesKindAndRatio) {
  EXPECT_EQ(ImbalanceProfile::parse("none").kind, ImbalanceProfile::Kind::none);
  EXPECT_EQ(ImbalanceProfile::parse("exp:20").kind, ImbalanceProfile::Kind::exponential);
  EXPECT_EQ(ImbalanceProfile::parse("exp:20").factor, 0.05);
  EXPECT_EQ(ImbalanceProfile::parse("step:2.5").kind, ImbalanceProfile::Kind::step);
  EXPECT_EQ(ImbalanceProfile::parse("step:2.5").factor, 0.4);
}

TEST(ImbalanceProfile, RefusesWhatItDoesNotKnow) {
  const auto refuse = [](std::string_view text, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::usage, parts, [&] { ImbalanceProfile::parse(text); });
  };
  refuse("expo:100", {"'expo:100'", "did you mean 'exp'?"});
  refuse("pareto:100", {"choose one of none, exp, step"});
  refuse("", {"choose one of none, exp, step"});
  refuse("exp:0.01", {"exp:0.01", "below 1", "exp:100"});
  refuse("exp:-5", {"below 1"});
  refuse("exp", {"needs the ratio", "exp:100"});
  refuse("step:", {"needs the ratio", "step:100"});
  refuse("none:2", {"takes no ratio"});
  refuse("exp:ten", {"exp:ten", "expected a number"});
  refuse("exp:10:20", {"expected a number"});
  refuse("exp:inf", {"expected a finite number"});
}

}  // namespace
}  // namespace ulmus
