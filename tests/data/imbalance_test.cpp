#include "ulmus/data/imbalance.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/support.hpp"
#include "temporary_folder.hpp"
#include "ulmus/base/file.hpp"

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
  // Class 0 lacks 6000 samples; for class 2, 60 suffice.
  EXPECT_EQ(counts("exp:100", {5000, 6000, 7000}), (Counts{5000, 500, 50}));
  // Class 2 bounds n_max: trunc(109 / 10) = 10 is all it has.
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

TEST(Imbalance, ParetoIsImageNetLtInShape) {
  // Liu et al., CVPR 2019: 115,846 images, 385 classes of more than 100, at most 1280 per class.
  const Counts kept = counts("pareto:6", Counts(1000, 1280));
  EXPECT_EQ(kept.front(), 1280);
  EXPECT_EQ(std::accumulate(kept.begin(), kept.end(), std::int64_t{0}), 117000);
  EXPECT_EQ(std::ranges::count_if(kept, [](std::int64_t n) { return n > 100; }), 388);
  EXPECT_EQ(Counts(kept.begin(), kept.begin() + 5), (Counts{1280, 1075, 966, 893, 839}));
  EXPECT_EQ(kept.back(), 1);
}

TEST(Imbalance, ParetoIsTheQuantilesOfTheHeader) {
  for (const double alpha : {0.5, 1.0, 2.0, 6.0}) {
    const Counts kept = counts("pareto:" + std::to_string(alpha), Counts(20, 5000));
    const auto q = [&](double c) { return std::pow((c + 1) / 21, -1 / alpha) - 1; };
    for (std::size_t c = 0; c < kept.size(); ++c)
      EXPECT_NEAR(static_cast<double>(kept[c]), std::max(1.0, std::trunc(5000 * q(static_cast<double>(c)) / q(0))), 1)
          << alpha << ' ' << c;
    EXPECT_EQ(kept[0], 5000);
  }
}

TEST(Imbalance, ParetoNeverIncreasesAndLeavesNoClassEmpty) {
  for (const char* alpha : {"0.01", "0.3", "1", "6", "50", "1000"})
    for (const std::int64_t classes : {1, 2, 3, 100, 8142}) {
      const Counts kept = counts(std::string("pareto:") + alpha, Counts(static_cast<std::size_t>(classes), 700));
      EXPECT_TRUE(std::ranges::is_sorted(kept, std::greater{})) << alpha << ' ' << classes;
      EXPECT_EQ(kept.front(), 700);
      EXPECT_GE(kept.back(), 1);
    }
}

TEST(Imbalance, ParetoKeepsItsShapeWhereAClassHasTooFew) {
  // With ten classes and alpha 6 the second has 0.78 of the first, so 39 images permit at most 50.
  Counts available(10, 100);
  available[1] = 39;
  const Counts kept = counts("pareto:6", available);
  EXPECT_EQ(kept, counts("pareto:6", Counts(10, kept[0])));
  EXPECT_EQ(kept[1], 39);
  EXPECT_EQ(counts("pareto:6", {3, 0, 3})[1], 0) << "nothing is available";
}

class GivenCounts : public ::testing::Test {
 protected:
  std::string profile(std::string_view text) const {
    write_file(folder_.path() / "counts.txt", text);
    return "counts:" + file();
  }
  std::string file() const { return (folder_.path() / "counts.txt").string(); }
  void expect_refused(std::string_view text, std::initializer_list<std::string_view> parts) const {
    expect_error(ErrorKind::data, parts, [&] { counts(profile(text), {9, 9, 9}); });
  }

  TemporaryFolder folder_;
};

TEST_F(GivenCounts, AreThoseOfTheFile) {
  EXPECT_EQ(counts(profile("# of each class\n5\n\n 2 # rare\r\n7"), {9, 2, 7}), (Counts{5, 2, 7}));
  EXPECT_EQ(ImbalanceProfile::parse(profile("3\n4\n")).given.lines[1].line, 2);
}

TEST_F(GivenCounts, MayNameTheirClassesInAnyOrder) {
  const std::vector<std::string> names{"cat", "sea lion", "C#, old"};
  const auto kept = [&](std::string_view text) {
    return imbalance_counts(ImbalanceProfile::parse(profile(text)), Counts{9, 9, 9}, names);
  };
  const Counts expected{5, 2, 7};
  EXPECT_EQ(kept("\xef\xbb\xbfspecies,count\r\nsea lion,2\r\n\"C#, old\",7\r\ncat,5\r\n"), expected);
  EXPECT_EQ(kept("\"C#, old\"\t7\ncat\t5 # many\nsea lion\t2"), expected);
  EXPECT_EQ(kept("sea lion 2\n# of the tail\n\"C#, old\" 7\ncat 5\n"), expected);
  EXPECT_EQ(kept("count\n5\n2\n7\n"), expected) << "a header over numbers alone";
  EXPECT_EQ(kept("5\r2\r7\r"), expected);
  EXPECT_EQ(kept(std::string_view("\xff\xfe"
                                  "5\0\n\0"
                                  "2\0\n\0"
                                  "7\0",
                                  12)),
            expected)
      << "UTF-16";
  const auto refused = [&](std::string_view text, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::data, parts, [&] { kept(text); });
  };
  refused("cat,5\nsealion,2\n", {"line 2", file(), "'sealion', which is no class", "did you mean 'sea lion'?"});
  refused("cat,5\nsea lion,2\n", {file(), "no line for the class 'C#, old'"});
  refused("cat,5\ncat,2\n", {"line 2", "'cat' of line 1 again"});
  refused("cat,5\n3\n", {"line 2", "name the class in every line or in none"});
  refused("cat,5,0.5\n", {"line 1", "3 fields"});
  refused("cat,5\nsea lion,99\n\"C#, old\",1\n", {"line 2", "99 images of class 'sea lion'", "there are 9"});
}

TEST_F(GivenCounts, NameTheLineThatIsWrong) {
  expect_refused("5\nmany\n7\n", {"line 2", file(), "'many'"});
  expect_refused("5\n\n0\n7\n", {"line 3", "'0'", "1 or more"});
  expect_refused("5\n-2\n7\n", {"line 2", "'-2'"});
  expect_refused("5\n2 3\n7\n", {"line 2", "'2 3'"});
  expect_refused("5\n2.5\n7\n", {"line 2", "'2.5'"});
  expect_refused("99999999999999999999\n", {"line 1"});
  expect_refused("# c\n5\n2\n10\n", {"line 4", "10 images of class 2", "there are 9"});
  expect_refused("5\n2\n", {"2 numbers", "each of 3 classes", file()});
  expect_refused("# nothing\n", {"no counts"});
  expect_error(ErrorKind::data, {"/nonexistent/counts"}, [] { counts("counts:/nonexistent/counts", {9}); });
}

TEST(ImbalanceProfile, ParsesKindAndRatio) {
  EXPECT_EQ(ImbalanceProfile::parse("none").kind, ImbalanceProfile::Kind::none);
  EXPECT_EQ(ImbalanceProfile::parse("exp:20").kind, ImbalanceProfile::Kind::exponential);
  EXPECT_EQ(ImbalanceProfile::parse("exp:20").factor, 0.05);
  EXPECT_EQ(ImbalanceProfile::parse("step:2.5").kind, ImbalanceProfile::Kind::step);
  EXPECT_EQ(ImbalanceProfile::parse("step:2.5").factor, 0.4);
  EXPECT_EQ(ImbalanceProfile::parse("pareto:2.5").kind, ImbalanceProfile::Kind::pareto);
  EXPECT_EQ(ImbalanceProfile::parse("pareto:2.5").alpha, 2.5);
}

TEST(ImbalanceProfile, RefusesWhatItDoesNotKnow) {
  const auto reject = [](std::string_view text, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::usage, parts, [&] { ImbalanceProfile::parse(text); });
  };
  reject("expo:100", {"'expo:100'", "did you mean 'exp'?"});
  reject("uniform:100", {"choose one of none, exp, step, pareto, counts"});
  reject("", {"choose one of none, exp, step, pareto, counts"});
  reject("exp:0.01", {"exp:0.01", "below 1", "exp:100"});
  reject("exp:-5", {"below 1"});
  reject("exp", {"needs the ratio", "exp:100"});
  reject("step:", {"needs the ratio", "step:100"});
  reject("none:2", {"takes no ratio"});
  reject("exp:ten", {"exp:ten", "expected a number"});
  reject("exp:10:20", {"expected a number"});
  reject("exp:inf", {"expected a finite number"});
  reject("paretto:6", {"did you mean 'pareto'?"});
  reject("pareto", {"needs the power", "pareto:6"});
  reject("pareto:0", {"not from 0.01 to 1000"});
  reject("pareto:2000", {"not from 0.01 to 1000"});
  reject("pareto:six", {"expected a number"});
  reject("counts:", {"names no file", "counts:FILE"});
}

}  // namespace
}  // namespace ulmus
