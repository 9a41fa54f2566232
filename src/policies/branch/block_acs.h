#pragma once

#include "policies/branch/calibrated_branch.h"
#include "policies/registry.h"

namespace reprise {

// Each branch its own schedule from its own similarities (acs.h); the rule of branch/bac as well.
void acs_of_each_branch(const StepSimilarity& similarity, int32_t n_updates,
                        BranchSchedule& schedule);

extern const PolicyEntry kBlockAcsBranch;

}  // namespace reprise
