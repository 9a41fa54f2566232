#include "engines/control/control_counts.h"

namespace reprise {

void ControlCounts::add_work(const ControlCounts& other) {
  n_branches_computed += other.n_branches_computed;
  n_branches_reused += other.n_branches_reused;
  flops += other.flops;
  saved_flops += other.saved_flops;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].n += other.steps[i].n;
    steps[i].seconds += other.steps[i].seconds;
  }
}

}  // namespace reprise
