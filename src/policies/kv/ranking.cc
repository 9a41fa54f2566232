#include "policies/kv/ranking.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "core/error.h"

namespace reprise {

void rank_candidates(std::span<const float> scores, int32_t n_keep, std::span<int32_t> order) {
  assert(order.size() == scores.size());
  assert(n_keep >= 0 && n_keep <= static_cast<int32_t>(scores.size()));
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) {
      throw Error(fmt::format(
          "score of KV candidate {} of {} is not a number; the model file or its inputs are broken",
          i, scores.size()));
    }
  }
  std::iota(order.begin(), order.end(), 0);
  const auto is_better = [&](int32_t a, int32_t b) {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  };
  const auto end_kept = order.begin() + n_keep;
  if (end_kept != order.end()) std::nth_element(order.begin(), end_kept, order.end(), is_better);
  std::sort(order.begin(), end_kept, is_better);
}

}  // namespace reprise
