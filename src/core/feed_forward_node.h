#pragma once

#include "core/backend.h"

namespace reprise {

enum class Activation : uint8_t { kSilu, kGelu };

// What follows the attention of one layer: output projection and residual, then the gated
// feed-forward network and its residual.
struct FeedForward {
  ggml_tensor* wo = nullptr;  // [n_embd_head * n_head, n_embd]
  ggml_tensor* bo = nullptr;  // [n_embd] F32, or null
  ggml_tensor* post_attn =
      nullptr;                  // [n_embd] F32: weight of an RMS norm before the residual, or null
  ggml_tensor* norm = nullptr;  // [n_embd] F32: of the RMS norm in front of gate and up
  ggml_tensor* gate = nullptr;  // [n_embd, n_ff]
  ggml_tensor* up = nullptr;    // [n_embd, n_ff]
  ggml_tensor* down = nullptr;  // [n_ff, n_embd]
  ggml_tensor* post_ffn = nullptr;  // like post_attn
  float eps = 0;                    // of all norms
  Activation activation = Activation::kSilu;
};

// Where several tokens' next residual stream goes: into a tensor of its own, or in x's place, whose
// memory the caller keeps from layer to layer.
enum class NextStream : uint8_t { kNew, kInPlace };

// x [n_embd, n_tokens] F32, the residual stream in front of the layer; attention
// [n_embd_head * n_head, n_tokens] F32, contiguous both. Returns the next residual stream. A single
// token takes one node, whose threads meet twice inside (once more with post_ffn), and a new
// stream; more tokens, and an arena without kernels, take the usual operations.
ggml_tensor* feed_forward_nodes(GraphArena& arena, const FeedForward& layer, ggml_tensor* x,
                                ggml_tensor* attention, NextStream next = NextStream::kNew);

}  // namespace reprise
