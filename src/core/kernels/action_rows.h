#pragma once

#include <cstdint>

#include "core/kernels/layer_norm.h"

namespace reprise {

// What stands around a policy transformer's layers: the embedding of noisy actions in front, the
// last norm and the head behind. Row r is action r % n_horizon of its robot.
struct ActionRows {
  int64_t n_action = 0;              // values of an action, with an observation's where it has one
  int64_t n_horizon = 0;             // rows of a robot
  const float* input = nullptr;      // [n_action][n_embd]: the input projection, transposed
  const float* start = nullptr;      // [n_horizon][n_embd]: its bias plus the positions
  LayerNorm norm;                    // of n_embd values
  const float* head = nullptr;       // [n_action][n_embd]
  const float* head_bias = nullptr;  // [n_action]
};

// x: [n_rows][n_action]; h: [n_rows][n_embd].
void embed_action_rows(const ActionRows& rows, const float* x, int64_t n_rows, float* h);
// y: [n_rows][n_action].
void predict_action_rows(const ActionRows& rows, const float* h, int64_t n_rows, float* y);
// The same as embedding x, adding `sum` [n_rows][n_embd] and predicting, to the bit, in one pass
// over each row. scratch: n_embd values.
void reuse_action_rows(const ActionRows& rows, const float* x, const float* sum, int64_t n_rows,
                       float* y, float* scratch);

}  // namespace reprise
