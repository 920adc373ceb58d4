#include "train/feature_shuffle.hpp"

#include <gtest/gtest.h>

#include "data/support.hpp"

namespace ulmus::detail {
namespace {

using test::expect_error;

TEST(ChooseShuffle, TakesBlocksForMoreThanHalfOfTheMemory) {
  const auto chosen = [](std::int64_t bytes, const char* option = "auto", const char* sampler = "instance") {
    return choose_shuffle(option, {.width = 1024, .bytes_on_disk = bytes}, sampler, 1000).text();
  };
  EXPECT_EQ(chosen(500), "full");
  EXPECT_EQ(chosen(501), "block:rows=64,blocks=512");
  EXPECT_EQ(chosen(501, "full"), "full");
  EXPECT_EQ(chosen(0, "block:rows=3"), "block:rows=3,blocks=512");
  EXPECT_EQ(chosen(501, "auto", "balanced"), "block:rows=64,blocks=512");
  expect_error(ErrorKind::usage, {"shuffle", "cannot apply", "sampler", "balanced"},
               [&] { chosen(501, "block", "balanced"); });
}

TEST(ChooseShuffle, IsOfFeaturesAlone) {
  EXPECT_EQ(choose_shuffle("auto", {}, "instance", 0).rows, 0);
  expect_error(ErrorKind::usage, {"shuffle", "cannot apply", "images"},
               [] { choose_shuffle("block", {}, "instance", 1); });
}

TEST(RequireMemory, SaysHowMuchIsNeeded) {
  require_memory(1000, 10, "fitting heads");
  expect_error(ErrorKind::environment, {"fitting heads", "1000000000000 samples", "GB"},
               [] { require_memory(1'000'000'000'000, 1000, "fitting heads"); });
}

}  // namespace
}  // namespace ulmus::detail
