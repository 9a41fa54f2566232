#pragma once

#include <cstdint>
#include <string_view>

#include "policies/branch/branch_schedule.h"
#include "policies/options.h"

namespace reprise {

// What options of several branch policies share.
inline constexpr int32_t kMaxUpdates = 1000;  // the longest noise schedule in use

// "true|false", the default first.
OptionSpec force_last_option(std::string_view fallback);
bool forces_last(const Options& options);

// Throws Error, opened by the policy's name, unless 1 <= n_updates <= K.
void check_updates(std::string_view policy, int32_t n_updates, const BranchShape& shape);

}  // namespace reprise
