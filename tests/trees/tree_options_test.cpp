#include "ulmus/trees/tree_options.hpp"

#include <gtest/gtest.h>

#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

std::string message_of(const std::string& model) {
  try {
    TreeOptions::parse(model);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "no error";
}

TEST(TreeOptions, ReadsItsKeysAndWritesThemBack) {
  EXPECT_EQ(TreeOptions::parse("trees"), TreeOptions());
  const TreeOptions options = TreeOptions::parse("trees:rounds=20,eta=0.5,depth=3,l2=0,subsample=0.8");
  EXPECT_EQ(options.rounds, 20);
  EXPECT_EQ(options.depth, 3);
  EXPECT_EQ(options.eta, 0.5);
  EXPECT_EQ(options.l2, 0);
  EXPECT_EQ(options.subsample, 0.8);
  EXPECT_EQ(TreeOptions::parse(options.text()), options);
  EXPECT_EQ(TreeOptions().text(), "trees");
}

TEST(TreeOptions, RefusesWhatIsNoKeyOrOutOfRange) {
  EXPECT_NE(message_of("trees:round=20").find("did you mean 'rounds'?"), std::string::npos);
  EXPECT_NE(message_of("trees:eta=0").find("above 0 to 1"), std::string::npos);
  EXPECT_NE(message_of("trees:depth=2.5").find("trees:depth"), std::string::npos);
  EXPECT_NE(message_of("trees:depth=2,depth=3").find("twice"), std::string::npos);
  EXPECT_NE(message_of("trees:").find("unknown key"), std::string::npos);
  EXPECT_NE(message_of("trees:rounds").find("trees:rounds"), std::string::npos);
}

}  // namespace
}  // namespace ulmus
