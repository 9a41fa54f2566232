#include "cli/observe_pusht.h"

#include "cli/interrupt.h"
#include "cli/progress.h"
#include "engines/control/pusht_episode.h"

namespace reprise {

std::vector<std::vector<float>> observe_pusht(DiffusionPolicy& policy, uint32_t first_seed,
                                              int32_t n, int32_t n_spread) {
  Progress progress("observing", "chunks", int64_t{n} * n_spread);
  int64_t n_done = 0;
  PushtEvents events;
  events.is_cancelled = was_interrupted;
  events.on_chunk = [&](const PushtEpisode& /*episode*/, std::span<const float> /*obs*/) {
    progress.update(++n_done);
  };
  std::vector<std::vector<float>> found =
      pusht_observations(policy, first_seed, n, n_spread, events);
  throw_if_interrupted();
  progress.finish();
  return found;
}

}  // namespace reprise
