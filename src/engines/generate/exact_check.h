#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/backend.h"
#include "engines/generate/decoder_state.h"

namespace reprise {

// What the same tokens cost with every policy off, and what the exact model thinks of them.
struct ExactCheck {
  double prefill_s = 0;
  double decode_s = 0;
  int64_t peak_kv_bytes = 0;
  int32_t n_steps = 0;      // answer tokens fed back one by one
  int32_t n_same_best = 0;  // of them, how many the exact model finds most probable as well
};

// Reads the prompt with a full F16 cache and feeds it the answer token by token. Throws Error when
// memory is short; what `progress` throws passes through.
ExactCheck check_against_exact(std::shared_ptr<const DecoderModel> model, const Backend& backend,
                               std::span<const int32_t> prompt, std::span<const int32_t> answer,
                               const PrefillProgress& progress);

}  // namespace reprise
