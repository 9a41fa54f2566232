#pragma once

#include <cstdint>

#include "policies/policy.h"

namespace reprise {

// One pass to come, in positions of the whole canvas.
struct RefreshView {
  int32_t n_canvas = 0;  // N: prompt, budget and tail
  int32_t first = 0;     // of the span
  int32_t end = 0;       // behind the span; meaningless at its first pass, which plans it
  int32_t i_step = 0;    // passes of this span before this one
  // Passes since all rows were computed, this one included; 0: they never were.
  int32_t n_since_full = 0;
};

// Rows to compute; all others are reused as they were computed last.
struct RefreshRows {
  int32_t first = 0;
  int32_t end = 0;

  int32_t n() const { return end - first; }
};

// Decides which rows a pass of a diffusion language model computes anew, the keys and values of the
// others being taken from the cache.
class RefreshPolicy : public Policy {
 public:
  // Contains [view.first, view.end); everything at i_step 0.
  virtual RefreshRows rows(const RefreshView& view) const = 0;
};

}  // namespace reprise
