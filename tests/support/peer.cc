#include "support/peer.h"

#include <stdexcept>

namespace reprise::test {

Peer::Peer(const std::string& path, const PeerOptions& options)
    : model_(nullptr, llama_model_free), ctx_(nullptr, llama_free) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_model_params model_params = llama_model_default_params();
  model_.reset(llama_model_load_from_file(path.c_str(), model_params));
  if (model_ == nullptr) throw std::runtime_error("libllama cannot load " + path);
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
  if (ctx_ == nullptr) throw std::runtime_error("libllama cannot make a context for " + path);
}

std::vector<float> Peer::extend_all(std::span<const int32_t> tokens) {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  llama_batch batch = llama_batch_init(n_tokens, 0, 1);
  batch.n_tokens = n_tokens;
  for (int32_t i = 0; i < n_tokens; ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = n_past_ + i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  const int32_t status = llama_decode(ctx_.get(), batch);
  llama_batch_free(batch);
  if (status != 0) throw std::runtime_error("llama_decode failed");
  n_past_ += n_tokens;
  const int32_t n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model_.get()));
  std::vector<float> logits;
  for (int32_t i = 0; i < n_tokens; ++i) {
    const float* row = llama_get_logits_ith(ctx_.get(), i);
    logits.insert(logits.end(), row, row + n_vocab);
  }
  return logits;
}

}  // namespace reprise::test
