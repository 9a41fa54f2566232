#pragma once

#include <cstdint>
#include <string>

#include "cli/compute_flags.h"
#include "core/gguf_file.h"
#include "engines/generate/sequence.h"
#include "engines/text_model.h"
#include "policies/kv/kv_policy.h"

namespace reprise {

// Says on standard error what a prefill decided: a note when a budget had nothing to drop, and with
// -v what every layer kept and why.
void explain_prefill(const PrefillReport& report, const KvPlan& plan, const std::string& policy);

// Says with -v which kernel multiplies a long prompt with the weights, per weight type, and where
// the weights stand; a note when --mmap off found no memory for a copy.
void explain_weights(const TextModel& model, const ComputeFlags& flags);
// Matrices of the file that no kernel of ours multiplies with a long prompt, but ggml's product.
int64_t n_matrices_by_ggml(const GgufFile& file, const ComputeFlags& flags);

}  // namespace reprise
