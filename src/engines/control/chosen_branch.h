#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engines/control/calibration_file.h"
#include "engines/control/denoiser_sampler.h"
#include "policies/branch/branch_policy.h"

namespace reprise {

// What the value of --branch comes to for one model and sampler.
struct ChosenBranch {
  std::string text;                              // as given
  std::unique_ptr<BranchPolicy> policy;          // it names
  std::optional<CalibrationRecord> calibration;  // where the policy needs one
  BranchSchedule schedule;
};

// Loads the calibration where it is needed, from the file that the policy's options name or from
// its usual place. Throws Error on an unknown policy or option, and when the calibration is missing
// or foreign, naming the command that makes it.
ChosenBranch choose_branch(std::string_view text, const PolicyTransformerModel& model,
                           const SamplerSpec& sampler);

}  // namespace reprise
