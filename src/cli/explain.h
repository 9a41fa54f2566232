#pragma once

#include <string>

#include "cli/compute_flags.h"
#include "core/product_log.h"
#include "engines/generate/sequence.h"
#include "engines/text_model.h"
#include "policies/kv/kv_policy.h"

namespace reprise {

// Says on standard error what a prefill decided: a note when a budget had nothing to drop, and with
// -v what every layer kept and why.
void explain_prefill(const PrefillReport& report, const KvPlan& plan, const std::string& policy);

// One line that says what --weights chose (explain_prompt_weights.h); with -v where the weights
// stand; a note when --mmap off found no memory for a copy.
void explain_weights(const TextModel& model, const ComputeFlags& flags);
// Says with -v which kernels multiplied the weights, per phase and weight type.
void explain_products(const ProductLog& log, const ComputeFlags& flags);

}  // namespace reprise
