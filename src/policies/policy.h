#pragma once

namespace reprise {

// A pure decision for one kind of unit: numbers in, verdict out. Each kind derives its own
// interface.
class Policy {
 public:
  virtual ~Policy() = default;
};

}  // namespace reprise
