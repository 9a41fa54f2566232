#include "policies/branch/branch_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;

TEST(BranchOptions, ForceLastIsWhatThePolicyTakesItFor) {
  for (const char* fallback : {"true", "false"}) {
    const OptionSpec specs[] = {force_last_option(fallback)};
    EXPECT_EQ(forces_last(Options("--branch x", specs, "")), fallback == std::string("true"));
    EXPECT_TRUE(forces_last(Options("--branch x", specs, "force_last=true")));
    EXPECT_FALSE(forces_last(Options("--branch x", specs, "force_last=false")));
  }
}

TEST(BranchOptions, RefusesMoreUpdatesThanSteps) {
  const BranchShape shape{.n_layers = 2, .n_steps = 10};
  EXPECT_NO_THROW(check_updates("branch/x", 1, shape));
  EXPECT_NO_THROW(check_updates("branch/x", 10, shape));
  for (const int32_t n : {0, 11}) {
    try {
      check_updates("branch/x", n, shape);
      FAIL() << n;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("the sampler takes 10 steps; write updates=1..10"));
    }
  }
}

}  // namespace
}  // namespace reprise
