#pragma once

#include "policies/registry.h"

namespace reprise {

// The steps of the first self-attention branch for all. Source: the "Unified ACS" ablation of
// arXiv 2506.13456, as its authors' code, which does not compute the last step besides.
extern const PolicyEntry kUnifiedBranch;

}  // namespace reprise
