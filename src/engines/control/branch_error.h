#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engines/control/diffusion_policy.h"

namespace reprise {

// How far the output of each branch, as it joins the rows, is from that of the same step when
// everything is computed from the same observations and noise.
struct BranchErrors {
  BranchShape shape;
  std::vector<double>
      relative;  // [n_branches][K]: L2 error over the L2 norm, rms over observations

  double at(int32_t b, int32_t k) const {
    return relative[static_cast<size_t>(b) * shape.n_steps + k];
  }
  // Root mean square over the steps where branch b is computed anew, the first one left out; 0 when
  // it never is. What a feed-forward shows here, it will be reused with: the error surge of BAC,
  // arXiv 2506.13456.
  double at_updates(int32_t b, const BranchSchedule& schedule) const;
};

// One call an observation [To][Do], noise seeds counting up from first_seed. Throws Error as
// act().
BranchErrors branch_errors(const std::shared_ptr<const PolicyTransformerModel>& model,
                           const Backend& backend, const SamplerSpec& sampler,
                           const BranchSchedule& schedule,
                           std::span<const std::vector<float>> observations, uint64_t first_seed);

}  // namespace reprise
