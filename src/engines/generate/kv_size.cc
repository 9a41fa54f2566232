#include "engines/generate/kv_size.h"

#include <algorithm>

#include "core/kv_store.h"

namespace reprise {

int64_t kv_bytes(const DecoderHparams& hp, ggml_type type, int64_t n_tokens, int64_t n_kept) {
  int64_t n_bytes = 0;
  for (int32_t il = 0; il < hp.n_layer; ++il) {
    const KvLayerShape shape{{hp.n_embd_head, hp.n_head_kv, type}, hp.is_swa[il] ? hp.n_swa : 0};
    const int64_t n_held = shape.is_eligible()
                               ? std::min(n_tokens, n_kept)
                               : std::min(n_tokens, int64_t{shape.n_swa} + KvStore::kMaxPass);
    n_bytes += shape.entry_bytes() * n_held;
  }
  return n_bytes;
}

}  // namespace reprise
