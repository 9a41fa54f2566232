#include "engines/pusht/legacy_reset.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <random>

namespace reprise {
namespace {

// The three draws of numpy.random.RandomState that a reset makes. std::mt19937 seeds itself as
// RandomState(seed) does (init_genrand).
class RandomState {
 public:
  explicit RandomState(uint32_t seed) : generator_(seed) {}

  // Uniform in [low, high), by throwing away what a mask of bits leaves too large.
  int32_t randint(uint32_t low, uint32_t high) {
    const uint32_t largest = high - low - 1;
    const auto mask = static_cast<uint32_t>((uint64_t{1} << std::bit_width(largest)) - 1);
    uint32_t drawn = generator_() & mask;
    while (drawn > largest) drawn = generator_() & mask;
    return static_cast<int32_t>(low + drawn);
  }

  // Standard normal: the first of the two that Marsaglia's polar method makes at a time.
  double randn() {
    double x, y, square;
    do {
      x = 2 * random_sample() - 1;
      y = 2 * random_sample() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square == 0);
    return std::sqrt(-2 * std::log(square) / square) * y;
  }

 private:
  double random_sample() {  // in [0, 1), a multiple of 2^-53
    const auto high = static_cast<double>(generator_() >> 5);
    const auto low = static_cast<double>(generator_() >> 6);
    return (high * 0x1p26 + low) * 0x1p-53;
  }

  std::mt19937 generator_;
};

}  // namespace

PushtState legacy_state(uint32_t seed) {
  RandomState random(seed);
  PushtState state;  // drawn in this order
  state.agent.x = random.randint(50, 450);
  state.agent.y = random.randint(50, 450);
  state.block.x = random.randint(100, 400);
  state.block.y = random.randint(100, 400);
  state.angle = random.randn() * 2 * std::numbers::pi - std::numbers::pi;
  return state;
}

}  // namespace reprise
