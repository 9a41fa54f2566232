#include "core/tokenizer.h"

#include <fmt/format.h>

#include <array>
#include <exception>

#include "core/deep_stack.h"
#include "core/error.h"
#include "core/gguf_file.h"
#include "core/printable.h"
#include "core/utf8.h"
#include "core/vocabulary_check.h"
#include "gguf.h"
#include "llama.h"

namespace reprise {
namespace {

// The pre-tokenizers that libllama leaves to std::regex recurse once for each character of a match,
// 320 bytes deep, with a sanitizer four times that: a long row of dashes would end the process.
// Only touched pages of that stack become memory. 16 MiB are 4 million tokens.
constexpr size_t kMaxTextBytes = size_t{16} << 20;
constexpr size_t kStackPerByte = 2048;
constexpr size_t kStackBytesLeast = size_t{1} << 20;
constexpr size_t kSafeTextBytes = 1024;  // on the caller's stack

// What libllama logs as errors on this thread while the object lives; there is one at most.
class ErrorLog {
 public:
  ErrorLog() {
    current = &text_;
    llama_log_set(keep, nullptr);
  }
  ~ErrorLog() { current = nullptr; }
  ErrorLog(const ErrorLog&) = delete;
  ErrorLog& operator=(const ErrorLog&) = delete;

  // What follows libllama's prefixes: "...: error loading model vocabulary: REASON".
  std::string reason() const {
    constexpr std::string_view kPrefix = "error loading model vocabulary: ";
    const size_t at = text_.find(kPrefix);
    const size_t begin = at == std::string::npos ? 0 : at + kPrefix.size();
    return printable(std::string_view(text_).substr(begin, text_.find('\n', begin) - begin));
  }

 private:
  static void keep(ggml_log_level level, const char* text, void* /*user*/) {
    if (level == GGML_LOG_LEVEL_ERROR && current != nullptr) *current += text;
  }

  static thread_local std::string* current;
  std::string text_;
};
thread_local std::string* ErrorLog::current = nullptr;

// The vocabulary's keys as libllama reads them, each in the width that it expects.
class VocabularyKeys {
 public:
  explicit VocabularyKeys(const GgufFile& file) : file_(file) {
    text("general.architecture");
    text("general.name");
    text("tokenizer.ggml.model");
    text("tokenizer.ggml.pre");
    texts("tokenizer.ggml.tokens");
    texts("tokenizer.ggml.merges");
    types("tokenizer.ggml.token_type");
    scores("tokenizer.ggml.scores");
    for (const std::string_view key : special_token_keys()) id(std::string(key));
    for (const std::string key :
         {"tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token",
          "tokenizer.ggml.add_sep_token", "tokenizer.ggml.add_space_prefix",
          "tokenizer.ggml.remove_extra_whitespaces", "tokenizer.ggml.normalizer.lowercase",
          "tokenizer.ggml.normalizer.strip_accents"}) {
      flag(key);
    }
  }
  gguf_context* get() const { return gguf_.get(); }

 private:
  void text(const std::string& key) {
    if (file_.has(key)) gguf_set_val_str(gguf_.get(), key.c_str(), file_.string(key).c_str());
  }
  void texts(const std::string& key) {
    if (!file_.has(key)) return;
    std::vector<const char*> values;
    values.reserve(file_.strings(key).size());
    for (const std::string& value : file_.strings(key)) values.push_back(value.c_str());
    gguf_set_arr_str(gguf_.get(), key.c_str(), values.data(), values.size());
  }
  void types(const std::string& key) {
    if (!file_.has(key)) return;
    const std::vector<int64_t>& found = file_.integers(key);
    const std::vector<int32_t> values(found.begin(), found.end());
    gguf_set_arr_data(gguf_.get(), key.c_str(), GGUF_TYPE_INT32, values.data(), values.size());
  }
  void scores(const std::string& key) {
    const auto found = file_.metadata().find(key);
    if (found == file_.metadata().end()) return;
    std::vector<float> values;
    if (const auto* integers = std::get_if<std::vector<int64_t>>(&found->second)) {
      values.assign(integers->begin(), integers->end());
    } else {
      const std::vector<double>& reals = file_.reals(key);
      values.assign(reals.begin(), reals.end());
    }
    gguf_set_arr_data(gguf_.get(), key.c_str(), GGUF_TYPE_FLOAT32, values.data(), values.size());
  }
  void id(const std::string& key) {
    if (file_.has(key))
      gguf_set_val_u32(gguf_.get(), key.c_str(), static_cast<uint32_t>(file_.integer(key)));
  }
  void flag(const std::string& key) {
    if (file_.has(key)) gguf_set_val_bool(gguf_.get(), key.c_str(), file_.boolean(key));
  }

  const GgufFile& file_;
  std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf_{gguf_init_empty(), gguf_free};
};

}  // namespace

Tokenizer Tokenizer::load(const GgufFile& file) {
  check_vocabulary(file);
  const VocabularyKeys keys(file);
  const ErrorLog log;
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  // Exceptions end inside libllama, as an error in its log.
  std::shared_ptr<llama_model> model(llama_model_init_from_user(
                                         keys.get(), [](ggml_tensor*, void*) {}, nullptr, params),
                                     [](llama_model* m) {
                                       if (m != nullptr) llama_model_free(m);
                                     });
  if (model == nullptr) {
    throw Error(fmt::format("{}: the vocabulary cannot be read: {}; convert the model again",
                            file.path(), log.reason()));
  }
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  const size_t n_tokens = file.strings("tokenizer.ggml.tokens").size();
  if (llama_vocab_n_tokens(vocab) != static_cast<int32_t>(n_tokens)) {
    throw Error(fmt::format("{}: libllama reads {} tokens of {}; convert the model again",
                            file.path(), llama_vocab_n_tokens(vocab), n_tokens));
  }
  // Some pre-tokenizers ask for a BOS themselves; libllama aborts later when there is none.
  if ((llama_vocab_get_add_bos(vocab) && llama_vocab_bos(vocab) == LLAMA_TOKEN_NULL) ||
      (llama_vocab_get_add_eos(vocab) && llama_vocab_eos(vocab) == LLAMA_TOKEN_NULL)) {
    throw Error(fmt::format(
        "{}: pre-tokenizer '{}' adds a BOS or EOS token and the vocabulary has none; convert the "
        "model again",
        file.path(), printable(file.string_or("tokenizer.ggml.pre", ""))));
  }
  return Tokenizer(std::move(model));
}

const llama_vocab* Tokenizer::vocab() const { return llama_model_get_vocab(model_.get()); }
int32_t Tokenizer::n_vocab() const { return llama_vocab_n_tokens(vocab()); }

std::vector<int32_t> Tokenizer::tokenize(std::string_view text, bool add_special,
                                         bool parse_special) const {
  if (text.size() > kMaxTextBytes) {
    throw Error(fmt::format("a text of {} bytes is too long, at most {} are read; shorten it",
                            text.size(), kMaxTextBytes));
  }
  check_utf8(text, "text");
  std::vector<int32_t> tokens(text.size() + 2);
  int32_t n = 0;
  const auto tokenize = [&] {
    const auto call = [&] {
      return llama_tokenize(vocab(), text.data(), static_cast<int32_t>(text.size()), tokens.data(),
                            static_cast<int32_t>(tokens.size()), add_special, parse_special);
    };
    n = call();
    if (n >= 0) return;
    // More tokens than bytes: a space that the vocabulary lacks becomes three bytes, for example.
    tokens.resize(-static_cast<int64_t>(n));
    n = call();
  };
  try {
    if (text.size() <= kSafeTextBytes) {
      tokenize();
    } else {
      on_deep_stack(kStackBytesLeast + text.size() * kStackPerByte, tokenize);
    }
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(fmt::format("a text of {} bytes cannot be split into tokens: {}", text.size(),
                            error.what()));
  }
  tokens.resize(n);
  return tokens;
}

std::string Tokenizer::piece(int32_t token) const {
  std::array<char, 64> buffer;  // most pieces then fit into a string without a heap allocation
  const auto n = llama_token_to_piece(vocab(), token, buffer.data(), buffer.size(), 0, false);
  if (n >= 0) return {buffer.data(), static_cast<size_t>(n)};
  std::string text(-n, '\0');
  llama_token_to_piece(vocab(), token, text.data(), -n, 0, false);
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
