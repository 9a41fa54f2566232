#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "core/error.h"
#include "engines/control/control_loop.h"
#include "support/counting_control.h"

namespace reprise {
namespace {

using std::chrono::milliseconds;
using test::CountingEnvironment;
using test::CountingPlanner;

// Gives one bad number at a plan of its choice.
class FaultyPlanner final : public ChunkPlanner {
 public:
  enum class Fault : uint8_t { kNan, kShort, kThrows };
  FaultyPlanner(int64_t i_plan, Fault fault) : i_plan_(i_plan), fault_(fault) {}
  const PlannerShape& shape() const override { return test::kPlannerShape; }
  std::vector<float> plan(const PlanRequest& /*request*/) override {
    std::vector<float> chunk(32, 1.0F);
    if (n_++ != i_plan_) return chunk;
    if (fault_ == Fault::kThrows) throw Error("no plan today");
    if (fault_ == Fault::kShort) chunk.pop_back();
    if (fault_ == Fault::kNan) chunk[12] = std::numeric_limits<float>::quiet_NaN();
    return chunk;
  }

 private:
  int64_t i_plan_;
  Fault fault_;
  int64_t n_ = 0;
};

TEST(ControlLoopFault, StopsAtABadPlan) {
  for (const bool is_realtime : {false, true}) {
    for (const auto& [fault, part] : {std::pair{FaultyPlanner::Fault::kNan, "nan"},
                                      {FaultyPlanner::Fault::kShort, "31 numbers, not 32"},
                                      {FaultyPlanner::Fault::kThrows, "no plan today"}}) {
      FaultyPlanner planner(1, fault);
      CountingEnvironment environment;
      ControlLoop loop(planner, {ControlMode::kAsync, 500, 0, is_realtime, {}});
      try {
        loop.run(environment, 1, 10'000, {});
        ADD_FAILURE() << part;
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      }
    }
  }
}

// The second plan is asked for in the last step and comes after the end. In real time 350 ms would
// have to pass until the first one is there for that to be otherwise.
TEST(ControlLoopFault, ToldOfAPlanThatFailsBehindTheEpisodesEnd) {
  for (const bool is_realtime : {false, true}) {
    for (const bool runs_again : {false, true}) {
      FaultyPlanner planner(1, FaultyPlanner::Fault::kThrows);
      CountingEnvironment environment;
      const PlanLatency late = [](int64_t i_plan) { return milliseconds(i_plan == 0 ? 0 : 100); };
      ControlLoop loop(planner, {ControlMode::kAsync, 20, 0, is_realtime, late});
      EXPECT_EQ(loop.run(environment, 1, 9, {}).n_ticks, 9);
      try {
        runs_again ? loop.run(environment, 2, 9, {}), void() : loop.finish();
        ADD_FAILURE() << is_realtime << runs_again;
      } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "no plan today");
      }
      loop.finish();  // it is told once
    }
  }
}

class BlindEnvironment final : public Environment {
 public:
  int32_t n_obs() const override { return 1; }
  int32_t n_action() const override { return 2; }
  void observe(std::span<float> obs) const override {
    obs[0] = std::numeric_limits<float>::infinity();
  }
  void apply(std::span<const float> /*action*/) override {}
  bool is_done() const override { return false; }
  double score() const override { return 0; }
};

TEST(ControlLoopFault, StopsAtABadObservation) {
  CountingPlanner planner;
  ControlLoop loop(planner, {});
  BlindEnvironment environment;
  EXPECT_THROW(loop.run(environment, 1, 5, {}), Error);
}

}  // namespace
}  // namespace reprise
