#pragma once

#include "policies/registry.h"

namespace reprise {

// Block-wise Adaptive Caching: each branch's own best steps (acs.h), joined where an update would
// read a stale sum (bubbling.h). Source: arXiv 2506.13456 and its authors' code, which computes the
// last step besides.
extern const PolicyEntry kBacBranch;

}  // namespace reprise
