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

void ControlCounts::add_step(const ControlCounts& of_one, int64_t n_robots, double seconds) {
  n_branches_computed += n_robots * of_one.n_branches_computed;
  n_branches_reused += n_robots * of_one.n_branches_reused;
  flops += static_cast<double>(n_robots) * of_one.flops;
  saved_flops += static_cast<double>(n_robots) * of_one.saved_flops;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].n += n_robots * of_one.steps[i].n;
    if (of_one.steps[i].n != 0) steps[i].seconds += seconds;
  }
}

}  // namespace reprise
