#include "engines/control/recording_planner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

namespace reprise {
namespace {

constexpr PlannerShape kShape{
    .n_obs_steps = 2, .n_horizon = 6, .n_action_steps = 3, .n_obs = 1, .n_action = 2};

// Answers with the newest observation plus the seed and `bias`, the latter in one row alone.
class BiasedPlanner final : public ChunkPlanner {
 public:
  BiasedPlanner(int32_t i_row, float bias) : i_row_(i_row), bias_(bias) {}
  const PlannerShape& shape() const override { return kShape; }
  std::vector<float> plan(const PlanRequest& request) override {
    n_frozen += std::ssize(request.frozen);
    std::vector<float> chunk(12, request.obs.back() + static_cast<float>(request.seed));
    for (int32_t i = 0; i < 2; ++i) chunk[2 * i_row_ + i] += bias_;
    return chunk;
  }
  int64_t n_frozen = 0;

 private:
  int32_t i_row_;
  float bias_;
};

TEST(RecordingPlanner, PassesOnAndKeeps) {
  BiasedPlanner planner(0, 0);
  RecordingPlanner recording(planner);
  const std::vector<float> obs = {1, 2};
  const std::vector<float> frozen = {5, 6};
  EXPECT_EQ(recording.plan({obs, frozen, 7}), std::vector<float>(12, 9));
  ASSERT_EQ(recording.plans().size(), 1U);
  EXPECT_EQ(recording.plans()[0].obs, obs);
  EXPECT_EQ(recording.plans()[0].frozen, frozen);
  EXPECT_EQ(recording.plans()[0].seed, 7U);
  EXPECT_EQ(recording.plans()[0].chunk, std::vector<float>(12, 9));
}

TEST(RecordingPlanner, ReplaysIntoTheDifferenceOfWhatIsExecuted) {
  BiasedPlanner planner(0, 0);
  RecordingPlanner recording(planner);
  for (const float newest : {1.0F, -4.0F})
    recording.plan({std::vector<float>{0, newest}, std::vector<float>{5, 6}, 3});
  int64_t n_told = 0;
  const auto count = [&](int64_t i_plan) { EXPECT_EQ(i_plan, n_told++); };
  EXPECT_EQ(replay_rmse(recording.plans(), planner, count), 0);
  EXPECT_EQ(n_told, 2);
  EXPECT_EQ(planner.n_frozen, 8);  // asked the same again
  // Executed are rows 1 to 3: one row of three differs by 3, whose square is a third of the mean.
  for (int32_t i_row = 0; i_row < 6; ++i_row) {
    BiasedPlanner biased(i_row, 3);
    n_told = 0;
    EXPECT_NEAR(replay_rmse(recording.plans(), biased, count),
                i_row >= 1 && i_row <= 3 ? std::sqrt(3.0) : 0, 1e-12)
        << i_row;
  }
  EXPECT_EQ(replay_rmse({}, planner, count), 0);
  EXPECT_THROW(
      replay_rmse(recording.plans(), planner, [](int64_t) { throw std::runtime_error(""); }),
      std::runtime_error);
}

}  // namespace
}  // namespace reprise
