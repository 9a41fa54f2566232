#pragma once

#include "cli/compute_flags.h"
#include "engines/text_model.h"

namespace reprise {

// One line on standard error that says what --weights chose for this model: the kernel that
// multiplies a long prompt with each weight type, the bytes of copies and the seconds to load. One
// more where there was no memory for copies.
void explain_prompt_weights(const TextModel& model, const ComputeFlags& flags);

}  // namespace reprise
