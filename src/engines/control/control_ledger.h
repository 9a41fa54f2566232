#pragma once

#include <string>

#include "core/ledger.h"
#include "engines/control/control_counts.h"
#include "engines/control/control_report.h"

namespace reprise {

// The ledger of a robot that was driven: a branch of a denoising step was computed or reused, a
// planned action applied, held or dropped. What reuse saves is an estimate, the seconds of a step
// with all branches computed times the share of them that was reused. `policy` is the text of
// sampler and policy.
Ledger control_ledger(const ControlCounts& counts, const ControlReport& report,
                      const std::string& policy);

}  // namespace reprise
