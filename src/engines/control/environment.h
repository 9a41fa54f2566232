#pragma once

#include <cstdint>
#include <span>

namespace reprise {

// What a policy drives: a simulation or a robot. One control step a call of apply(); all numbers
// are in the environment's own units. Used by one thread at a time.
class Environment {
 public:
  virtual ~Environment() = default;

  virtual int32_t n_obs() const = 0;
  virtual int32_t n_action() const = 0;
  // Writes what is seen now, [n_obs].
  virtual void observe(std::span<float> obs) const = 0;
  // Carries out one action, [n_action], until the next control step.
  virtual void apply(std::span<const float> action) = 0;
  // The task is solved; the episode ends.
  virtual bool is_done() const = 0;
  // Of the episode so far, 0 to 1.
  virtual double score() const = 0;
};

}  // namespace reprise
