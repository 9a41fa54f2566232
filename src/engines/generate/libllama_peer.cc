#include "engines/generate/libllama_peer.h"

#include <fmt/format.h>

#include "core/error.h"

namespace reprise {
namespace {

// Keeps what libllama logs about its weight buffers while it loads a model; nothing else tells.
class BufferLog {
 public:
  BufferLog() {
    llama_log_get(&before_, &before_data_);
    llama_log_set(listen, this);
  }
  ~BufferLog() { llama_log_set(before_, before_data_); }
  BufferLog(const BufferLog&) = delete;
  BufferLog& operator=(const BufferLog&) = delete;
  const std::string& buffers() const { return buffers_; }

 private:
  // "load_tensors:   CPU_Mapped model buffer size =    93.55 MiB"
  static void listen(ggml_log_level /*level*/, const char* text, void* self) {
    const std::string_view line(text);
    const size_t middle = line.find(" model buffer size = ");
    const size_t colon = line.find(':');
    if (middle == std::string_view::npos || colon > middle) return;
    const size_t name = line.find_first_not_of(' ', colon + 1);
    const size_t size = line.find_first_not_of(' ', line.find('=') + 1);
    const size_t end = line.find_last_not_of("\n ");
    if (name > middle || size > end) return;
    std::string& out = static_cast<BufferLog*>(self)->buffers_;
    if (!out.empty()) out += ", ";
    out +=
        fmt::format("{} {}", line.substr(name, middle - name), line.substr(size, end + 1 - size));
  }

  ggml_log_callback before_ = nullptr;
  void* before_data_ = nullptr;
  std::string buffers_;
};

}  // namespace

LibllamaPeer::LibllamaPeer(const std::string& path, const PeerOptions& options)
    : model_(nullptr, llama_model_free), ctx_(nullptr, llama_free) {
  {
    const BufferLog log;
    model_.reset(llama_model_load_from_file(path.c_str(), llama_model_default_params()));
    weight_buffers_ = log.buffers();
  }
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
  if (options.pool != nullptr) llama_attach_threadpool(ctx_.get(), options.pool, options.pool);
}

void LibllamaPeer::decode(std::span<const int32_t> tokens, Logits logits) {
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  llama_batch batch = llama_batch_init(n_tokens, 0, 1);
  batch.n_tokens = n_tokens;
  for (int32_t i = 0; i < n_tokens; ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = n_past_ + i;
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    const bool is_wanted = logits == Logits::kAll || (logits == Logits::kLast && i == n_tokens - 1);
    batch.logits[i] = static_cast<int8_t>(is_wanted);
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
  decode(tokens, Logits::kLast);
  return {llama_get_logits_ith(ctx_.get(), -1), static_cast<size_t>(n_vocab_)};
}

std::vector<float> LibllamaPeer::extend_all(std::span<const int32_t> tokens) {
  decode(tokens, Logits::kAll);
  std::vector<float> logits;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const float* row = llama_get_logits_ith(ctx_.get(), static_cast<int32_t>(i));
    logits.insert(logits.end(), row, row + n_vocab_);
  }
  return logits;
}

void LibllamaPeer::append(std::span<const int32_t> tokens) { decode(tokens, Logits::kNone); }

void LibllamaPeer::rewind(int32_t n_past) {
  forget(n_past, n_past_);
  n_past_ = n_past;
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
