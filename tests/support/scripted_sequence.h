#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "engines/generate/sequence.h"
#include "support/logits.h"
#include "support/scripted_policy.h"
#include "support/tiny_model_test.h"

namespace reprise::test {

// Scores that keep the latest candidates of every layer and head.
inline float latest(int32_t /*il*/, int32_t /*g*/, int32_t n) { return static_cast<float>(n); }
// Scores that differ from layer to layer and head to head.
inline float scattered(int32_t il, int32_t g, int32_t n) {
  return static_cast<float>((static_cast<uint32_t>(n + 1) * 2654435761U >> (7 + g + il % 3)) %
                            4093);
}

// Sequences of a tiny model under a policy whose scores the test writes.
class ScriptedSequence : public TinyModelTest {
 protected:
  Sequence sequence(const KvPlan& plan, ScriptedPolicy::Score score = latest) {
    return {model_, backend_, std::make_shared<ScriptedPolicy>(plan, std::move(score))};
  }
  Sequence full() { return sequence({}); }
};

}  // namespace reprise::test
