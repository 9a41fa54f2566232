#include "core/tokenizer.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/utf8.h"
#include "llama.h"

namespace reprise {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;  // libllama counts bytes and tokens in 32 bits

}  // namespace

Tokenizer Tokenizer::load(const std::string& path) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  llama_model* model = llama_model_load_from_file(path.c_str(), params);
  if (model == nullptr) {
    throw Error(fmt::format("{}: the vocabulary cannot be read; convert the model again", path));
  }
  return Tokenizer(std::shared_ptr<llama_model>(model, llama_model_free));
}

const llama_vocab* Tokenizer::vocab() const { return llama_model_get_vocab(model_.get()); }
int32_t Tokenizer::n_vocab() const { return llama_vocab_n_tokens(vocab()); }

std::vector<int32_t> Tokenizer::tokenize(std::string_view text, bool add_special,
                                         bool parse_special) const {
  if (text.size() >= kMaxTextBytes) {
    throw Error(fmt::format("a text of {} bytes is too long, at most {} are read; shorten it",
                            text.size(), kMaxTextBytes - 1));
  }
  check_utf8(text, "text");
  std::vector<int32_t> tokens(text.size() + 2);
  const int32_t n =
      llama_tokenize(vocab(), text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                     static_cast<int32_t>(tokens.size()), add_special, parse_special);
  if (n < 0) throw Error(fmt::format("a text of {} bytes gives too many tokens", text.size()));
  tokens.resize(n);
  return tokens;
}

std::string Tokenizer::piece(int32_t token) const {
  std::string text(64, '\0');
  int32_t n = llama_token_to_piece(vocab(), token, text.data(), static_cast<int32_t>(text.size()),
                                   0, false);
  if (n < 0) {
    text.resize(-n);
    n = llama_token_to_piece(vocab(), token, text.data(), static_cast<int32_t>(text.size()), 0,
                             false);
  }
  text.resize(n);
  return text;
}

std::string Tokenizer::detokenize(std::span<const int32_t> tokens) const {
  std::string text;
  for (const int32_t token : tokens) text += piece(token);
  return text;
}

bool Tokenizer::is_end(int32_t token) const { return llama_vocab_is_eog(vocab(), token); }
int32_t Tokenizer::bos() const { return llama_vocab_bos(vocab()); }
int32_t Tokenizer::eos() const { return llama_vocab_eos(vocab()); }

}  // namespace reprise
