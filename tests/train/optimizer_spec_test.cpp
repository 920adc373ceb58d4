#include "train/optimizer_spec.hpp"

#include <gtest/gtest.h>

#include "data/support.hpp"

namespace ulmus::detail {
namespace {

using test::expect_error;

TEST(OptimizerSpec, IsReadAndWritten) {
  for (const auto& [text, expected] :
       {std::pair("auto", "auto"), std::pair("sgd", "sgd"), std::pair("adamw", "adamw"),
        std::pair("sam", "sam:rho=0.05"), std::pair("sam:base=adamw", "sam:rho=0.05,base=adamw"),
        std::pair("sam:base=sgd,rho=0.2", "sam:rho=0.2,base=sgd"),
        std::pair("sam:focal=3", "sam:rho=0.05,focal=3,sharpness=0.8")}) {
    EXPECT_EQ(OptimizerSpec::parse(text).text(), expected);
    EXPECT_EQ(OptimizerSpec::parse(expected).text(), expected);
  }
  EXPECT_FALSE(OptimizerSpec::parse("sgd").rho);
}

TEST(OptimizerSpec, NamesWhatIsWrong) {
  const auto refused = [](const char* text, std::initializer_list<std::string_view> parts) {
    expect_error(ErrorKind::usage, parts, [&] { OptimizerSpec::parse(text); });
  };
  refused("samm", {"optimizer", "'samm'", "did you mean 'sam'"});
  refused("sgd:rho=1", {"takes nothing", "write 'sgd'"});
  refused("sam:roh=1", {"'roh'", "did you mean 'rho'"});
  refused("sam:rho=0", {"rho", "is 0", "above 0"});
  refused("sam:focal=-1", {"focal", "is -1", "from 0 on"});
  refused("sam:sharpness=1", {"sharpness", "Focal-SAM", "focal=3"});
  refused("sam:rho=x", {"rho", "'x'"});
  refused("sam:base=adam", {"unknown base 'adam'", "did you mean 'adamw'"});
}

}  // namespace
}  // namespace ulmus::detail
