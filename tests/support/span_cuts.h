#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/split_mix.h"
#include "policies/registry.h"

namespace reprise::test {

constexpr int32_t kDelimiterVocab = 8;
constexpr int32_t kDelimiter = 1;  // of proposals made for tests; 3 counts as one too

// Proposals of a text as long as the budget; about every `n_line`-th is a delimiter. Confidences
// are multiples of 1/16, so that ties abound.
inline std::vector<Proposal> random_text(uint64_t seed, int32_t budget, uint64_t n_line) {
  SplitMix64 rng(seed);
  std::vector<Proposal> rows(budget);
  for (Proposal& row : rows) {
    row.token = rng.next() % n_line == 0 ? (rng.next() % 2 == 0 ? kDelimiter : 3) : 2;
    row.confidence = static_cast<float>(rng.next() % 17) / 16;
  }
  return rows;
}

// Cuts a whole text with a planner as an engine does: each span is planned at its start, from the
// proposals that the policy looks at. Checks that spans are 1 at least and end with the text.
inline std::vector<SpanPlan> cut(const SpanPolicy& policy, const SpanRequest& request,
                                 std::span<const Proposal> text) {
  const auto planner = policy.begin(request);
  std::vector<SpanPlan> plans;
  for (SpanView view{.n_left = request.budget}; view.n_left > 0; ++view.i_span) {
    view.rows = {};
    const int32_t n_rows = std::min(planner->reach(view), view.n_left);
    if (!text.empty()) view.rows = text.subspan(view.n_done, n_rows);
    plans.push_back(planner->plan(view));
    const int32_t n = plans.back().n;
    if (n < 1 || n > view.n_left) {
      ADD_FAILURE() << "span " << view.i_span << " has " << n << " of " << view.n_left;
      break;
    }
    view.n_done += n;
    view.n_left -= n;
  }
  return plans;
}

inline std::vector<int32_t> lengths(const std::vector<SpanPlan>& plans) {
  std::vector<int32_t> out;
  out.reserve(plans.size());
  for (const SpanPlan& plan : plans) out.push_back(plan.n);
  return out;
}

// Lengths of a policy that looks at no text.
inline std::vector<int32_t> cut(std::string_view spec, int32_t budget) {
  return lengths(cut(*make_span_policy(spec), {.budget = budget}, {}));
}

}  // namespace reprise::test
