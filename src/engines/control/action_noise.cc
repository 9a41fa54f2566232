#include "engines/control/action_noise.h"

#include <cmath>

namespace reprise {

float NormalStream::next() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  double x = 0;
  double y = 0;
  double square = 0;
  do {
    x = 2 * bits_.uniform() - 1;
    y = 2 * bits_.uniform() - 1;
    square = x * x + y * y;
  } while (square >= 1 || square == 0);
  const double factor = std::sqrt(-2 * std::log(square) / square);
  spare_ = static_cast<float>(factor * x);
  has_spare_ = true;
  return static_cast<float>(factor * y);
}

uint64_t seed_of(uint64_t seed, uint64_t i_use) {
  // Mixed twice: seeds and uses that count up must not meet on one diagonal.
  return SplitMix64(SplitMix64(seed).next() + i_use).next();
}

}  // namespace reprise
