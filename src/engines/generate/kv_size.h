#pragma once

#include <cstdint>

#include "ggml.h"
#include "nets/decoder_model.h"

namespace reprise {

// Bytes of the KV cache of a sequence of n_tokens, positions included, when each layer that sees
// the whole context holds n_kept of them (n_tokens: all). Sliding-window layers hold their window
// and one pass at most.
int64_t kv_bytes(const DecoderHparams& hp, ggml_type type, int64_t n_tokens, int64_t n_kept);

}  // namespace reprise
