#pragma once

#include <string>

#include "engines/generate/sequence.h"
#include "policies/kv/kv_policy.h"

namespace reprise {

// Says on standard error what a prefill decided: a note when a budget had nothing to drop, and with
// -v what every layer kept and why.
void explain_prefill(const PrefillReport& report, const KvPlan& plan, const std::string& policy);

}  // namespace reprise
