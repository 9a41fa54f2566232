#include "core/kernels/action_rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/kernels/attention_reference_test.h"
#include "core/kernels/simd_targets_test.h"

namespace reprise {
namespace {

struct Rows {
  int64_t n_embd;
  int64_t n_action;
  std::vector<float> input, start, weight, bias, head, head_bias;
  ActionRows rows;

  static constexpr int64_t kHorizon = 4;

  Rows(int64_t embd, int64_t action, std::mt19937& rng)
      : n_embd(embd),
        n_action(action),
        input(random_values(static_cast<size_t>(embd * action), 1, rng)),
        start(random_values(static_cast<size_t>(embd * kHorizon), 1, rng)),
        weight(random_values(static_cast<size_t>(embd), 1, rng)),
        bias(random_values(static_cast<size_t>(embd), 1, rng)),
        head(random_values(static_cast<size_t>(embd * action), 1, rng)),
        head_bias(random_values(static_cast<size_t>(action), 1, rng)),
        rows{.n_action = action,
             .n_horizon = kHorizon,
             .input = input.data(),
             .start = start.data(),
             .norm = {weight.data(), bias.data(), embd},
             .head = head.data(),
             .head_bias = head_bias.data()} {}
};

constexpr int64_t kRobotRows = 2 * Rows::kHorizon;

TEST(ActionRows, EmbedsAndPredictsAsF64) {
  for (const int64_t n_embd : {4, 31, 32, 128}) {
    for (const int64_t n_action : {1, 2, 9}) {
      std::mt19937 rng(static_cast<uint32_t>(n_embd * 10 + n_action));
      const Rows r(n_embd, n_action, rng);
      const std::vector<float> x =
          random_values(static_cast<size_t>(kRobotRows * n_action), 1, rng);
      for_each_simd_target([&](const char* target) {
        SCOPED_TRACE(target);
        std::vector<float> h(static_cast<size_t>(kRobotRows * n_embd));
        embed_action_rows(r.rows, x.data(), kRobotRows, h.data());
        std::vector<float> y(x.size());
        predict_action_rows(r.rows, h.data(), kRobotRows, y.data());
        std::vector<float> normed(h.size());
        layer_norm(r.rows.norm, h.data(), kRobotRows, normed.data());
        for (int64_t t = 0; t < kRobotRows; ++t) {
          for (int64_t i = 0; i < n_embd; ++i) {
            double want = r.start[t % Rows::kHorizon * n_embd + i];
            double magnitude = std::abs(want);
            for (int64_t a = 0; a < n_action; ++a) {
              const double term =
                  static_cast<double>(r.input[a * n_embd + i]) * x[t * n_action + a];
              want += term;
              magnitude += std::abs(term);
            }
            ASSERT_NEAR(h[t * n_embd + i], want, (sum_error(n_action + 1) + kUnit) * magnitude);
          }
          for (int64_t a = 0; a < n_action; ++a) {
            double want = r.head_bias[a];
            double magnitude = std::abs(want);
            for (int64_t i = 0; i < n_embd; ++i) {
              const double term =
                  static_cast<double>(normed[t * n_embd + i]) * r.head[a * n_embd + i];
              want += term;
              magnitude += std::abs(term);
            }
            ASSERT_NEAR(y[t * n_action + a], want, (sum_error(n_embd + 1) + kUnit) * magnitude);
          }
        }
      });
    }
  }
}

TEST(ActionRows, ReuseHasTheBitsOfItsThreeSteps) {
  for (const int64_t n_embd : {31, 128}) {
    std::mt19937 rng(static_cast<uint32_t>(n_embd));
    const Rows r(n_embd, 2, rng);
    const std::vector<float> x = random_values(kRobotRows * 2, 1, rng);
    const std::vector<float> sum = random_values(static_cast<size_t>(kRobotRows * n_embd), 1, rng);
    for_each_simd_target([&](const char* target) {
      SCOPED_TRACE(target);
      std::vector<float> h(sum.size());
      embed_action_rows(r.rows, x.data(), kRobotRows, h.data());
      for (size_t i = 0; i < h.size(); ++i) h[i] += sum[i];
      std::vector<float> want(x.size());
      predict_action_rows(r.rows, h.data(), kRobotRows, want.data());
      std::vector<float> scratch(static_cast<size_t>(n_embd));
      std::vector<float> got(x.size());
      reuse_action_rows(r.rows, x.data(), sum.data(), kRobotRows, got.data(), scratch.data());
      EXPECT_EQ(got, want);
    });
  }
}

}  // namespace
}  // namespace reprise
