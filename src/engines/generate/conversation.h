#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/chat_template.h"
#include "engines/generate/answer.h"
#include "engines/generate/sequence.h"
#include "engines/text_model.h"

namespace reprise {

// A conversation with a chat model: its messages, and a sequence that holds what the policy kept of
// them. Every turn adds only its own tokens.
class Conversation {
 public:
  // `system` may be empty. Throws Error.
  Conversation(std::shared_ptr<const TextModel> model, const Backend& backend,
               std::shared_ptr<const KvPolicy> policy, ChatTemplate chat_template,
               std::string system);

  // Adds a user's message and answers it. Throws Error when the template refuses, when the total
  // would pass n_ctx, when the policy's budget is too small, or when memory is short; the messages
  // are then as before, and also when `progress` throws. A cancelled answer stays as far as it got,
  // and one in whose middle an event throws.
  AnswerReport turn(const std::string& user, int32_t n_ctx, const AnswerOptions& options,
                    const AnswerEvents& events, const PrefillProgress& progress);

  const std::vector<ChatMessage>& messages() const { return messages_; }
  Sequence& sequence() { return sequence_; }
  // Whether the last turn had to read the whole conversation again, because the template rewrites
  // earlier turns.
  bool was_reread() const { return was_reread_; }
  void clear();

  // The conversation with its cache, complete or absent. Throws Error when the disk is full or the
  // path cannot be written.
  void save(const std::string& path) const;
  // Throws Error when the file is damaged, or was made by another model, cache type or program
  // version; the conversation is then as before.
  void load(const std::string& path);

 private:
  void add_answer(const std::string& text);

  std::shared_ptr<const TextModel> model_;
  ChatTemplate template_;
  std::string system_;
  Sequence sequence_;
  std::vector<ChatMessage> messages_;
  std::string seen_;  // the rendered text whose tokens the sequence has seen
  bool was_reread_ = false;
};

}  // namespace reprise
