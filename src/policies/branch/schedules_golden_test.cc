#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/split_mix.h"
#include "policies/branch/acs.h"
#include "policies/branch/bubbling.h"

// Against tools/golden_branch.py: the authors' code of BAC, written anew in NumPy.
namespace reprise {
namespace {

nlohmann::json golden() {
  std::ifstream file(REPRISE_SOURCE_DIR "/tests/golden/control/branch_schedules.json");
  EXPECT_TRUE(file);
  return nlohmann::json::parse(file);
}

// As the script draws it: independent pairs, or a walk over whole numbers with many equal ones.
std::vector<double> step_matrix(const std::string& kind, uint64_t seed, int32_t n_steps,
                                bool is_distance) {
  SplitMix64 rng(seed);
  const auto n = static_cast<size_t>(n_steps);
  std::vector<double> matrix(n * n);
  std::vector<double> walk;
  for (size_t i = 0; i < n && kind == "walk"; ++i) {
    walk.push_back((walk.empty() ? 0 : walk.back()) + static_cast<double>(rng.next() % 7));
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j) {
      const double distance = walk.empty() ? 0 : std::abs(walk[i] - walk[j]);
      const double value = walk.empty()  ? rng.uniform()
                           : is_distance ? distance
                                         : 1.0 - distance / 1024;
      matrix[i * n + j] = matrix[j * n + i] = value;
    }
  }
  return matrix;
}

TEST(BranchSchedulesGolden, AcsEqualsTheReleasedCode) {
  const nlohmann::json file = golden();
  int32_t n_cases = 0;
  for (const nlohmann::json& want : file["acs"]) {
    const int32_t n_steps = want["n_steps"];
    const bool is_distance = want["is_distance"];
    const std::vector<double> matrix =
        step_matrix(want["kind"], want["seed"], n_steps, is_distance);
    EXPECT_EQ(adaptive_cache_steps({matrix, n_steps, is_distance}, want["n_updates"]),
              want["steps"].get<std::vector<int32_t>>())
        << want.dump();
    ++n_cases;
  }
  EXPECT_EQ(n_cases, 84);
}

TEST(BranchSchedulesGolden, BubblingEqualsTheReleasedCode) {
  const nlohmann::json file = golden();
  int32_t n_cases = 0;
  for (const nlohmann::json& want : file["bubbling"]) {
    BranchSchedule schedule({.n_layers = want["n_layers"], .n_steps = want["n_steps"]}, false);
    BranchSchedule after = schedule;
    for (int32_t b = 0; b < schedule.shape().n_branches(); ++b) {
      schedule.set_steps(b, want["before"][b].get<std::vector<int32_t>>());
      after.set_steps(b, want["after"][b].get<std::vector<int32_t>>());
    }
    bubble_up(want["volatility"].get<std::vector<double>>(), want["n"], schedule);
    EXPECT_EQ(schedule, after) << want.dump();
    ++n_cases;
  }
  EXPECT_GE(n_cases, 48);
}

}  // namespace
}  // namespace reprise
