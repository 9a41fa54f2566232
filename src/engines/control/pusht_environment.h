#pragma once

#include <cstdint>
#include <string>

#include "engines/control/environment.h"
#include "engines/pusht/pusht_world.h"
#include "nets/policy_file.h"

namespace reprise {

inline constexpr const char* kPushtName = "pusht";  // in policies' files and flags

// Why a policy of these sizes cannot drive Push-T; empty when it can.
std::string pusht_misfit(const PolicyHparams& hparams);

// Push-T as a policy meets it: sees the block's corners and the agent, sends the agent to a place.
class PushtEnvironment final : public Environment {
 public:
  // The episode that begins from this seed of the published protocol (100000 and on).
  explicit PushtEnvironment(uint32_t seed);

  int32_t n_obs() const override;
  int32_t n_action() const override;
  void observe(std::span<float> obs) const override;
  void apply(std::span<const float> action) override;
  bool is_done() const override { return is_solved_; }
  double score() const override { return best_reward_; }

  PushtState state() const { return world_.state(); }
  double reward() const { return reward_; }  // of the last step

 private:
  PushtWorld world_;
  double reward_ = 0;
  double best_reward_ = 0;
  bool is_solved_ = false;
};

}  // namespace reprise
