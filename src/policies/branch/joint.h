#pragma once

#include "policies/registry.h"

namespace reprise {

// One schedule for all branches, the best for their averaged similarities (acs.h). All branches are
// computed together, so that none reads a stale input. Source: ours, after arXiv 2506.13456.
extern const PolicyEntry kJointBranch;

}  // namespace reprise
