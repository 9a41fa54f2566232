#include "engines/control/branch_recording.h"

#include <algorithm>
#include <cassert>

namespace reprise {

BranchRecording::BranchRecording(BranchShape shape, int32_t n_values)
    : shape_(shape),
      n_values_(n_values),
      values_(static_cast<size_t>(shape.n_branches()) * shape.n_steps * n_values) {}

ActionChunk BranchRecording::record(DiffusionPolicy& policy, const ChunkRequest& request) {
  assert(policy.schedule().shape() == shape_);
  policy.set_observer([this](int32_t b, int32_t k, std::span<const float> output) {
    std::ranges::copy(output, values_.begin() + static_cast<ptrdiff_t>(at(b, k)));
  });
  ActionChunk chunk = policy.act(request);
  policy.set_observer({});
  for (int32_t b = 0; b < shape_.n_branches(); ++b) {
    for (int32_t k = 1; k < shape_.n_steps; ++k) {
      if (policy.schedule().computes(b, k)) continue;
      std::ranges::copy(output(b, k - 1), values_.begin() + static_cast<ptrdiff_t>(at(b, k)));
    }
  }
  return chunk;
}

std::span<const float> BranchRecording::steps_of(int32_t b) const {
  return std::span(values_).subspan(at(b, 0), static_cast<size_t>(shape_.n_steps) * n_values_);
}

std::span<const float> BranchRecording::output(int32_t b, int32_t k) const {
  return std::span(values_).subspan(at(b, k), n_values_);
}

}  // namespace reprise
