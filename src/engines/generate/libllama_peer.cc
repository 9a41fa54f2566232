#include "engines/generate/libllama_peer.h"

#include <fmt/format.h>

#include "core/error.h"

namespace reprise {

LibllamaPeer::LibllamaPeer(const std::string& path, const PeerOptions& options)
    : model_(nullptr, llama_model_free), ctx_(nullptr, llama_free) {
  model_.reset(llama_model_load_from_file(path.c_str(), llama_model_default_params()));
  if (model_ == nullptr) throw Error(fmt::format("{}: libllama cannot load it", path));
  n_vocab_ = llama_vocab_n_tokens(llama_model_get_vocab(model_.get()));
  llama_context_params params = llama_context_default_params();
  params.n_ctx = options.n_ctx;
  params.n_batch = options.n_ctx;
  params.n_ubatch = options.n_ubatch;
  params.n_threads = options.n_threads;
  params.n_threads_batch = options.n_threads;
  params.type_k = options.type_kv;
  params.type_v = options.type_kv;
  params.flash_attn_type =
      options.is_flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  ctx_.reset(llama_init_from_model(model_.get(), params));
  if (ctx_ == nullptr) {
    throw Error(
        fmt::format("{}: libllama cannot make a context of {} tokens", path, options.n_ctx));
  }
}

void LibllamaPeer::decode(std::span<const int32_t> tokens, bool wants_all) {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  llama_batch batch = llama_batch_init(n_tokens, 0, 1);
  batch.n_tokens = n_tokens;
  for (int32_t i = 0; i < n_tokens; ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = n_past_ + i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = static_cast<int8_t>(wants_all || i == n_tokens - 1);
  }
  const int32_t status = llama_decode(ctx_.get(), batch);
  llama_batch_free(batch);
  if (status != 0) {
    throw Error(fmt::format("libllama cannot decode {} tokens behind {} (status {})", n_tokens,
                            n_past_, status));
  }
  n_past_ += n_tokens;
}

std::span<const float> LibllamaPeer::extend(std::span<const int32_t> tokens) {
  decode(tokens, false);
  return {llama_get_logits_ith(ctx_.get(), -1), static_cast<size_t>(n_vocab_)};
}

std::vector<float> LibllamaPeer::extend_all(std::span<const int32_t> tokens) {
  decode(tokens, true);
  std::vector<float> logits;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const float* row = llama_get_logits_ith(ctx_.get(), static_cast<int32_t>(i));
    logits.insert(logits.end(), row, row + n_vocab_);
  }
  return logits;
}

void LibllamaPeer::forget(int32_t first, int32_t last) {
  if (!llama_memory_seq_rm(llama_get_memory(ctx_.get()), 0, first, last)) {
    throw Error(fmt::format("libllama cannot remove positions {} to {}", first, last));
  }
}

void LibllamaPeer::clear() {
  llama_memory_clear(llama_get_memory(ctx_.get()), true);
  n_past_ = 0;
}

}  // namespace reprise
