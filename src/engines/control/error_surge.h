#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engines/control/diffusion_policy.h"

namespace reprise {

// What one schedule makes of the feed-forwards' outputs, the ones that are reused longest from bad
// inputs: BAC's error surge (arXiv 2506.13456, section 3.3). The noisy actions are the schedule's
// own, so that what has drifted in earlier steps is in the errors too.
struct ErrorSurge {
  struct Update {
    int32_t k = 0;
    double error = 0;  // relative L2, rms over observations
  };
  std::string branch;  // the value of --branch
  int32_t n_bubbling = 0;
  double evaluations = 0;                    // of a chunk, in whole forwards
  std::vector<double> feed_forward;          // [n_layers]: rms over the steps where it is computed
  std::vector<std::vector<Update>> updates;  // [n_layers], without step 0

  // Over the updates of all feed-forwards that `other` has as well: bubbling adds updates, and an
  // average over more steps is another average.
  double rms_where(const ErrorSurge& other) const;
};

// BAC with that many updates, one for each number of bubbling branches, on one call an observation
// [To][Do], noise seeds counting up from first_seed. `on_turn` is told before each and may throw to
// stop. Throws Error as choose_branch and act().
std::vector<ErrorSurge> measure_error_surge(
    const std::shared_ptr<const PolicyTransformerModel>& model, const Backend& backend,
    const SamplerSpec& sampler, int32_t n_updates, std::span<const int32_t> bubbling,
    std::span<const std::vector<float>> observations, uint64_t first_seed,
    const std::function<void()>& on_turn);

}  // namespace reprise
