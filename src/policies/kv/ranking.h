#pragma once

#include <cstdint>
#include <span>

namespace reprise {

// Ranks the candidates of one KV head: the first n_keep places of `order` become the indices of the
// n_keep highest scores, best first, ties by the lower index, so that any shorter keep is a prefix.
// `order` has one place a score; the places beyond n_keep are scratch. 0 <= n_keep <=
// scores.size(). Takes 8 bytes a score while it runs. Throws Error when a score is NaN.
void rank_candidates(std::span<const float> scores, int32_t n_keep, std::span<int32_t> order);

}  // namespace reprise
