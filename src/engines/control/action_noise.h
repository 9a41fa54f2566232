#pragma once

#include <cstdint>
#include <span>

#include "core/split_mix.h"

namespace reprise {

// Unit normal numbers of one seed. Each request draws from streams of its own, so that what it gets
// depends neither on the others of a batch nor on threads. Source: Marsaglia's polar method.
class NormalStream {
 public:
  explicit NormalStream(uint64_t seed) : bits_(seed) {}

  float next();
  void fill(std::span<float> values) {
    for (float& value : values) value = next();
  }

 private:
  SplitMix64 bits_;
  float spare_ = 0;
  bool has_spare_ = false;
};

// The seed of one use among several of `seed`: of the i-th chunk of an episode, for example. Two
// uses have streams that have nothing in common.
uint64_t seed_of(uint64_t seed, uint64_t i_use);

}  // namespace reprise
