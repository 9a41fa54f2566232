#pragma once

#include <string>

#include "nets/policy_file.h"

namespace reprise {

// What a policy's file may ask for; each throws Error with the file's path, the value, and what is
// built in.
void check_policy_form(const std::string& path, const std::string& form);
// Refuses a policy of whose chunk all actions are executed (pred_action_steps_only).
void check_policy_slice(const std::string& path, bool predicts_executed_only);
void check_policy_sizes(const std::string& path, const PolicyHparams& hparams);
void check_policy_noise(const std::string& path, const NoiseScheduleSpec& noise,
                        const std::string& variance_type);
void check_control_rate(const std::string& path, double control_hz);

}  // namespace reprise
