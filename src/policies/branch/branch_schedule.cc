#include "policies/branch/branch_schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <set>

#include "core/error.h"

namespace reprise {
namespace {

constexpr int32_t kMaxLayers = 1024;
constexpr int32_t kMaxSteps = 65536;

const BranchShape& checked(const BranchShape& shape) {
  if (shape.n_layers < 1 || shape.n_layers > kMaxLayers || shape.n_steps < 1 ||
      shape.n_steps > kMaxSteps) {
    throw Error(fmt::format(
        "branch schedule of {} layers and {} steps: there are 1..{} layers and 1..{} steps",
        shape.n_layers, shape.n_steps, kMaxLayers, kMaxSteps));
  }
  if (shape.n_of_a_layer != 2 && shape.n_of_a_layer != 3) {
    throw Error(fmt::format(
        "branch schedule of {} branches a layer: a decoder's layer has 3, an encoder's 2",
        shape.n_of_a_layer));
  }
  return shape;
}

}  // namespace

std::string BranchShape::name_of(int32_t b) const {
  const int32_t layer = layer_of(b);
  const char* name = b == feed_forward_of(layer) ? "feed-forward"
                     : b == layer * n_of_a_layer ? "self attention"
                                                 : "cross attention";
  return fmt::format("{} of layer {}", name, layer);
}

BranchSchedule::BranchSchedule(BranchShape shape, bool computes_all)
    : shape_(checked(shape)),
      n_words_((static_cast<size_t>(shape.n_branches()) + 63) / 64),
      words_(n_words_ * static_cast<size_t>(shape.n_steps)) {
  const int32_t n_steps = computes_all ? shape.n_steps : 1;
  for (int32_t k = 0; k < n_steps; ++k) compute_all_at(k);
}

void BranchSchedule::put(int32_t b, int32_t k, bool is_computed) {
  assert(b >= 0 && b < shape_.n_branches() && k >= 0 && k < shape_.n_steps);
  const uint64_t bit = uint64_t{1} << (b % 64);
  if (is_computed) {
    words_[word(b, k)] |= bit;
  } else {
    words_[word(b, k)] &= ~bit;
  }
}

void BranchSchedule::set(int32_t b, int32_t k, bool is_computed) {
  if (k == 0 && !is_computed) {
    throw Error(
        fmt::format("branch schedule: {} is not computed at step 0, where nothing is there "
                    "to be reused; make the schedule again",
                    shape_.name_of(b)));
  }
  put(b, k, is_computed);
}

void BranchSchedule::set_steps(int32_t b, std::span<const int32_t> steps) {
  if (steps.empty() || steps.front() != 0) {
    throw Error(
        fmt::format("branch schedule: the steps of {} begin with {}, not with 0, where "
                    "nothing is there to be reused; make the schedule again",
                    shape_.name_of(b), steps.empty() ? "none" : fmt::format("{}", steps.front())));
  }
  for (size_t i = 1; i < steps.size(); ++i) {
    if (steps[i] <= steps[i - 1]) {
      throw Error(
          fmt::format("branch schedule: step {} of {} follows step {}; steps rise, make "
                      "the schedule again",
                      steps[i], shape_.name_of(b), steps[i - 1]));
    }
  }
  if (steps.back() >= shape_.n_steps) {
    throw Error(
        fmt::format("branch schedule: {} has step {}, the sampler takes {} (0..{}); make "
                    "the schedule for this sampler",
                    shape_.name_of(b), steps.back(), shape_.n_steps, shape_.n_steps - 1));
  }
  for (int32_t k = 0; k < shape_.n_steps; ++k) put(b, k, false);
  for (const int32_t k : steps) put(b, k, true);
}

void BranchSchedule::compute_all_at(int32_t k) {
  for (int32_t b = 0; b < shape_.n_branches(); ++b) put(b, k, true);
}

std::vector<int32_t> BranchSchedule::steps_of(int32_t b) const {
  std::vector<int32_t> steps;
  for (int32_t k = 0; k < shape_.n_steps; ++k) {
    if (computes(b, k)) steps.push_back(k);
  }
  return steps;
}

int64_t BranchSchedule::n_computed() const {
  int64_t n = 0;
  for (int32_t k = 0; k < shape_.n_steps; ++k) n += n_computed_at(k);
  return n;
}

int32_t BranchSchedule::n_computed_at(int32_t k) const {
  int32_t n = 0;
  for (const uint64_t word : mask(k)) n += std::popcount(word);
  return n;
}

int32_t BranchSchedule::n_distinct_masks() const {
  const auto less = [](std::span<const uint64_t> a, std::span<const uint64_t> b) {
    return std::ranges::lexicographical_compare(a, b);
  };
  std::set<std::span<const uint64_t>, decltype(less)> masks(less);
  for (int32_t k = 0; k < shape_.n_steps; ++k) masks.insert(mask(k));
  return static_cast<int32_t>(masks.size());
}

}  // namespace reprise
