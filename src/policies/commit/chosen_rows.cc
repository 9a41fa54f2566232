#include "policies/commit/chosen_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "policies/kv/ranking.h"

namespace reprise {

std::vector<float> finite_scores(std::string_view policy, std::span<const Proposal> rows,
                                 float Proposal::*score) {
  std::vector<float> scores;
  scores.reserve(rows.size());
  for (const Proposal& row : rows) {
    if (!std::isfinite(row.*score)) {
      throw Error(
          fmt::format("{}: the score of masked position {} of {} is {}; the model file or its "
                      "inputs are broken",
                      policy, scores.size(), rows.size(), row.*score));
    }
    scores.push_back(row.*score);
  }
  return scores;
}

void choose_highest(std::span<const float> scores, size_t n, std::vector<int32_t>& chosen) {
  n = std::min(n, scores.size());
  chosen.resize(scores.size());
  rank_candidates(scores, static_cast<int32_t>(n), chosen);
  chosen.resize(n);
  std::ranges::sort(chosen);
}

}  // namespace reprise
