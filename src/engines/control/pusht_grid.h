#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engines/control/pusht_eval.h"

namespace reprise {

// Every combination of these values of --sampler and --branch, the uncached sampler of all training
// steps first. Throws Error as choose_branch, and on an unknown sampler.
std::vector<PushtMethod> pusht_methods(const PolicyTransformerModel& model,
                                       const std::vector<std::string>& samplers,
                                       const std::vector<std::string>& branches);

// The methods that BAC has to be compared with honestly: uniform, unified, per-block, joint and
// consecutive schedules, uniform and joint also with as many evaluations as each BAC method; DDIM
// and respaced DDPM with round numbers of steps, with as many evaluations as each BAC method, and
// with as much time, from the noisiest step on. The time of one evaluation and of each BAC method
// is measured here, on `observation` [To][Do], all taking turns. `on_turn` is told before
// each and may throw to stop. Throws Error as choose_branch.
std::vector<PushtMethod> pusht_table_methods(
    const std::shared_ptr<const PolicyTransformerModel>& model, const Backend& backend,
    std::span<const float> observation, const std::function<void()>& on_turn);

}  // namespace reprise
