#pragma once

#include <string_view>
#include <vector>

#include "policies/registry.h"

namespace reprise::test {

// Proposals of these confidences.
inline std::vector<Proposal> confident(const std::vector<float>& confidences) {
  std::vector<Proposal> rows;
  rows.reserve(confidences.size());
  for (const float c : confidences) rows.push_back({.token = 1, .confidence = c});
  return rows;
}

// Rows that a policy commits. The buffer starts full, as an engine's does after a pass.
inline std::vector<int32_t> chosen(const CommitPolicy& policy, const CommitView& view) {
  std::vector<int32_t> out = {7, 8, 9};
  policy.choose(view, out);
  return out;
}

inline std::vector<int32_t> chosen(std::string_view spec, const std::vector<float>& confidences) {
  const std::vector<Proposal> rows = confident(confidences);
  const auto n = static_cast<int32_t>(rows.size());
  return chosen(*make_commit_policy(spec),
                {.rows = rows, .budget = n, .n_span = n, .n_masked_at_start = n});
}

}  // namespace reprise::test
