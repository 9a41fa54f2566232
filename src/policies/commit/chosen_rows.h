#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/kernels/proposal.h"

namespace reprise {

// One number of every row. Throws Error, opened by the policy's name, when one is not finite.
std::vector<float> finite_scores(std::string_view policy, std::span<const Proposal> rows,
                                 float Proposal::*score);

// Writes the indices of the n highest scores, rising; among equals the lower index is chosen. An n
// beyond the scores means all of them. Throws Error when a score is NaN.
void choose_highest(std::span<const float> scores, size_t n, std::vector<int32_t>& chosen);

}  // namespace reprise
