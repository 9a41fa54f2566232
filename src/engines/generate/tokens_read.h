#pragma once

#include <cstdint>
#include <functional>

#include "engines/generate/decoder_state.h"

namespace reprise {

// Told how many more tokens a measurement has read. May throw to stop it.
using TokensRead = std::function<void(int64_t n_new)>;

// The progress of a prefill of n_tokens, told in tokens; keeps a reference to `read`.
inline PrefillProgress prefill_progress(const TokensRead& read, int64_t n_tokens) {
  return [&read, n_tokens, n_told = int64_t{0}](int64_t n_done, int64_t n_total) mutable {
    const int64_t n_read = n_done * n_tokens / n_total;
    read(n_read - n_told);
    n_told = n_read;
  };
}

}  // namespace reprise
