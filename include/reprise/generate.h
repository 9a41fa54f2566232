#pragma once

// Text generation with a KV cache that adapts: load a model once, hold conversations with it.
//
//   const auto model = reprise::LanguageModel::load("smollm2");
//   reprise::Chat chat(model, {.kv = "cake:budget=1024"});
//   chat.ask("Who wrote it?", document, [](std::string_view text) { std::cout << text; });
//   const reprise::Answer answer = chat.ask("And when?");
//   std::cout << answer.text << '\n' << answer.ledger.n_entries_dropped << " entries dropped\n";

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/answer.h"
#include "reprise/chat_message.h"
#include "reprise/error.h"

namespace reprise {

// A causal language model: weights, vocabulary, chat template. Immutable: copies share it, and any
// number of threads may use it. The weights stay mapped from the file, which must not change.
class LanguageModel {
 public:
  // `model` is the path of a GGUF file, or a name that `reprise list` shows. Throws Error when the
  // file is missing, damaged or of an unknown architecture.
  static LanguageModel load(const std::string& model);

  const std::string& name() const;  // as the file gives it, else the file's name
  int32_t n_ctx_train() const;      // longest context it was trained for, in tokens

 private:
  friend class Chat;
  struct Impl;
  explicit LanguageModel(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// How a conversation is held. The sampling rules apply in the order in which they stand.
struct ChatOptions {
  std::string kv = "full";             // which KV entries stay, as --kv: "cake:budget=1024"
  int32_t n_threads = 0;               // compute threads, 1 to 512; no more are started than this
                                       // process may use cores (0: as many)
  int32_t n_ctx = 0;                   // tokens of the whole conversation; 0: n_ctx_train()
  int32_t max_tokens = 512;            // longest answer, in tokens
  std::string system = {};             // system message; empty: none
  std::string chat_template = {};      // name or file of a template; empty: the model's own
  std::vector<std::string> stop = {};  // texts that end an answer and are not part of it
  std::string grammar = {};            // GBNF text that an answer must follow; empty: none
  float repeat_penalty = 1;            // divides logits of recent tokens, 0.01 to 100; 1: none
  int32_t repeat_last_n = 64;          // how many tokens are recent, 0 to 65536
  int32_t top_k = 40;                  // only the k most probable tokens; 0: all
  float top_p = 0.95F;                 // only the best tokens that add up to p, 0 to 1; 1: all
  float min_p = 0.05F;    // only tokens at least p times as probable as the best; 0: all
  float temperature = 0;  // 0 to 100; 0: the most probable token
  uint64_t seed = 0;      // same seed, threads and options: same answer
};

// Takes the answer piece by piece: whole UTF-8 characters, on the thread that asked. What it throws
// passes through ask(); the answer stays as far as it got.
using OnText = std::function<void(std::string_view text)>;

// A conversation, with the KV entries that the policy kept of it; every turn reads only its own
// tokens. Owns its compute threads and its cache. One thread at a time may use it, cancel() apart;
// different conversations are independent. A moved-from one can only be assigned and destroyed.
class Chat {
 public:
  // Throws Error that names the option which is wrong, and when the model has no chat template and
  // none is given.
  explicit Chat(LanguageModel model, ChatOptions options = {});
  ~Chat();
  Chat(Chat&&) noexcept;
  Chat& operator=(Chat&&) noexcept;

  // Adds a user's message and answers it. A document comes before the message, a blank line
  // between. Throws Error when the text is no UTF-8, when the total would pass n_ctx, when the
  // budget of `kv` is too small, or when memory is short; the conversation is then as before.
  Answer ask(std::string_view message, std::string_view document = {}, const OnText& on_text = {});

  // Stops the ask() that is running, soon: a cancelled answer stays as far as it got, and a
  // question that was still being read is forgotten. Does nothing when none is running. May be
  // called from any thread, and from OnText.
  void cancel() noexcept;

  std::vector<ChatMessage> messages() const;
  // Forgets everything but the system message.
  void clear();

  // The ledger of the last ask() as JSON, {"units": [...], "facts": {...}}, with an estimate of the
  // time saved. Throws Error when that gave no answer.
  std::string ledger_json();

  // Writes the conversation with its cache; the file is complete or as it was before. Throws Error
  // when the path cannot be written or the disk is full.
  void save(const std::string& path) const;
  // Goes on with a saved conversation. Throws Error when the file is damaged, or was made with
  // another model or cache type; the conversation is then as before.
  void load(const std::string& path);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise
