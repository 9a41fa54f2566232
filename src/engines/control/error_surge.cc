#include "engines/control/error_surge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engines/control/branch_error.h"
#include "engines/control/chosen_branch.h"

namespace reprise {

double ErrorSurge::rms_where(const ErrorSurge& other) const {
  double squares = 0;
  size_t n = 0;
  for (size_t il = 0; il < updates.size(); ++il) {
    for (const Update& update : updates[il]) {
      if (std::ranges::find(other.updates[il], update.k, &Update::k) == other.updates[il].end())
        continue;
      squares += update.error * update.error;
      ++n;
    }
  }
  return n == 0 ? 0 : std::sqrt(squares / static_cast<double>(n));
}

std::vector<ErrorSurge> measure_error_surge(
    const std::shared_ptr<const PolicyTransformerModel>& model, const Backend& backend,
    const SamplerSpec& sampler, int32_t n_updates, std::span<const int32_t> bubbling,
    std::span<const std::vector<float>> observations, uint64_t first_seed,
    const std::function<void()>& on_turn) {
  std::vector<ErrorSurge> surges;
  for (const int32_t n_bubbling : bubbling) {
    on_turn();
    const std::string text = fmt::format("bac:updates={},bubbling={}", n_updates, n_bubbling);
    const BranchSchedule schedule = choose_branch(text, *model, sampler).schedule;
    const BranchErrors errors =
        branch_errors(model, backend, sampler, schedule, observations, first_seed);
    ErrorSurge surge;
    surge.branch = text;
    surge.n_bubbling = n_bubbling;
    surge.evaluations = static_cast<double>(schedule.n_computed()) / schedule.shape().n_branches();
    for (int32_t il = 0; il < schedule.shape().n_layers; ++il) {
      const int32_t b = schedule.shape().feed_forward_of(il);
      surge.feed_forward.push_back(errors.at_updates(b, schedule));
      std::vector<ErrorSurge::Update>& updates = surge.updates.emplace_back();
      for (const int32_t k : schedule.steps_of(b)) {
        if (k > 0) updates.push_back({k, errors.at(b, k)});
      }
    }
    surges.push_back(std::move(surge));
  }
  return surges;
}

}  // namespace reprise
