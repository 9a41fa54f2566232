#pragma once

#include <vector>

#include "policies/kv/kv_policy.h"
#include "policies/options.h"

namespace reprise {

// The option "type" alone: how the cache stores its values.
OptionSpec kv_type_option();
KvType kv_type(const Options& options);

// The option "pool" of the policies that smooth what the window says.
OptionSpec kv_pool_option();

// budget, window, type, decode, every and turns, which all evicting policies share, then the
// policy's own.
std::vector<OptionSpec> kv_options(std::vector<OptionSpec> own);

// The plan those options ask for, of a policy that keeps n_sink first entries, and n_min beside the
// window in every layer. Throws Error when a budget in entries has no room for the window, n_sink
// first entries and one more; what bytes and shares amount to is known to the engine alone, which
// holds plan.n_least against them.
KvPlan kv_plan(const Options& options, int32_t n_sink = 0, int32_t n_min = 0);

}  // namespace reprise
