#pragma once

#include <cstdint>

#include "engines/pusht/pusht_geometry.h"

namespace reprise {

// The state that diffusion_policy's environment draws from a seed, through NumPy's RandomState: the
// agent in [50, 450), the block in [100, 400), whole pixels, and an angle. To be placed with
// PlacedBy::kLegacy. The published test seeds are 100000 to 100049. (gym-pusht 0.1.8 places in the
// same way but draws from NumPy's newer generator.)
PushtState legacy_state(uint32_t seed);

}  // namespace reprise
