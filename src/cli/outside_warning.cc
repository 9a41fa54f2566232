#include "cli/outside_warning.h"

#include <spdlog/spdlog.h>

#include "core/quantities.h"
#include "engines/control/control_counts.h"

namespace reprise {

void warn_of_outside(int64_t n_outside) {
  if (n_outside == 0) return;
  spdlog::warn(
      "{} numbers of observations lie outside [-{}, {}] once normalised, where training's lie "
      "within [-1, 1]: the policy does not know such states; see that it was trained in this "
      "environment, with observations in these units and this order",
      format_count(n_outside), kUsualObservation, kUsualObservation);
}

}  // namespace reprise
