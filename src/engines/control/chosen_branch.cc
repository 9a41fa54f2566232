#include "engines/control/chosen_branch.h"

#include "engines/control/calibrate.h"
#include "policies/registry.h"

namespace reprise {

ChosenBranch choose_branch(std::string_view text, const PolicyTransformerModel& model,
                           const SamplerSpec& sampler) {
  const ActionSampler steps(sampler, model.noise);
  std::unique_ptr<BranchPolicy> policy = make_branch_policy(text);
  std::optional<CalibrationRecord> calibration;
  if (policy->needs_calibration())
    calibration = load_calibration(policy->file(), model.path, calibration_subject(model, steps),
                                   policy->metric());
  BranchSchedule schedule = policy->schedule(branch_shape(model.hparams, steps),
                                             calibration ? &calibration->calibration : nullptr);
  return {std::string(text), std::move(policy), std::move(calibration), std::move(schedule)};
}

}  // namespace reprise
