#include "engines/generate/prompt.h"

#include <algorithm>

#include "core/chat_tokens.h"

namespace reprise {
namespace {

int32_t common_prefix(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  const auto [in_a, in_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<int32_t>(in_a - a.begin());
}

}  // namespace

std::string UserMessage::text() const {
  if (document.empty()) return question;
  return question.empty() ? document : document + "\n\n" + question;
}

Prompt chat_prompt(const TextModel& model, const ChatTemplate& chat_template,
                   const std::string& system, const UserMessage& user) {
  std::vector<ChatMessage> messages;
  if (!system.empty()) messages.push_back({"system", system});
  messages.push_back({"user", user.text()});
  Prompt prompt;
  prompt.tokens = tokenize_chat(model.tokenizer, chat_template.render_parts(messages, true));
  if (!user.document.empty()) {
    messages.back().content = user.document;
    prompt.n_document = common_prefix(
        prompt.tokens, tokenize_chat(model.tokenizer, chat_template.render_parts(messages, true)));
  }
  return prompt;
}

Prompt raw_prompt(const TextModel& model, const UserMessage& user) {
  Prompt prompt;
  prompt.tokens = model.tokenizer.tokenize(user.text(), true, true);
  if (!user.document.empty()) {
    prompt.n_document =
        common_prefix(prompt.tokens, model.tokenizer.tokenize(user.document, true, true));
  }
  return prompt;
}

int32_t cut_middle(Prompt& prompt, int32_t n_max) {
  const auto n_tokens = static_cast<int32_t>(prompt.tokens.size());
  if (n_tokens <= n_max) return 0;
  const int32_t n_cut = n_tokens - n_max;
  const int32_t first = n_max / 2;
  prompt.tokens.erase(prompt.tokens.begin() + first, prompt.tokens.begin() + first + n_cut);
  prompt.n_document = std::max(std::min(prompt.n_document, first), prompt.n_document - n_cut);
  return n_cut;
}

}  // namespace reprise
