#include "engines/generate/conversation.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/chat_tokens.h"
#include "core/error.h"
#include "engines/generate/conversation_file.h"

namespace reprise {
namespace {

std::string text_of(std::span<const ChatSegment> parts) {
  std::string text;
  for (const ChatSegment& part : parts) text += part.text;
  return text;
}

// The parts behind the first n bytes.
std::vector<ChatSegment> behind(std::span<const ChatSegment> parts, size_t n) {
  std::vector<ChatSegment> rest;
  for (const ChatSegment& part : parts) {
    const size_t cut = std::min(n, part.text.size());
    n -= cut;
    if (cut < part.text.size()) rest.push_back({part.text.substr(cut), part.is_input});
  }
  return rest;
}

// Templates drop the space around an answer; the messages do it first, so that the next rendering
// begins with this one.
std::string trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

}  // namespace

Conversation::Conversation(std::shared_ptr<const TextModel> model, const Backend& backend,
                           std::shared_ptr<const KvPolicy> policy, ChatTemplate chat_template,
                           std::string system)
    : model_(std::move(model)),
      template_(std::move(chat_template)),
      system_(std::move(system)),
      sequence_(model_->decoder, backend, std::move(policy)) {
  clear();
}

void Conversation::clear() {
  messages_.clear();
  if (!system_.empty()) messages_.push_back({"system", system_});
  sequence_.clear();
  seen_.clear();
}

AnswerReport Conversation::turn(const std::string& user, int32_t n_ctx,
                                const AnswerOptions& options, const AnswerEvents& events,
                                const PrefillProgress& progress) {
  std::vector<ChatMessage> messages = messages_;
  messages.push_back({"user", user});
  std::vector<ChatSegment> parts = template_.render_parts(messages, true);
  const std::string rendered = text_of(parts);
  const bool is_reread = !rendered.starts_with(seen_);
  if (!is_reread) parts = behind(parts, seen_.size());
  const bool is_first = is_reread || seen_.empty();
  const std::vector<int32_t> tokens = tokenize_chat(model_->tokenizer, parts);
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  const int32_t n_past = is_first ? 0 : sequence_.n_past();
  if (n_past + n_tokens >= n_ctx) {
    throw Error(fmt::format(
        "the conversation has {} tokens and this message {} more; with an answer they pass the "
        "context of {}: raise --ctx, or begin anew with /clear",
        n_past, n_tokens, n_ctx));
  }
  AnswerOptions limited = options;
  limited.max_tokens = std::min(options.max_tokens, n_ctx - n_past - n_tokens);
  if (is_reread) sequence_.clear();
  const std::span<const float> logits = sequence_.prefill(
      tokens, {.n_growth = limited.max_tokens, .n_compress = -1, .progress = progress});
  messages_ = std::move(messages);
  seen_ = rendered;
  was_reread_ = is_reread;
  AnswerReport report = generate_answer(sequence_, *model_, logits, limited, events);
  messages_.push_back({"assistant", trimmed(report.text)});
  seen_ += messages_.back().content;
  return report;
}

void Conversation::save(const std::string& path) const {
  write_conversation(path, *model_, {messages_, seen_, sequence_.save()});
}

void Conversation::load(const std::string& path) {
  ConversationState state = read_conversation(path, *model_);
  sequence_.restore(state.sequence);
  messages_ = std::move(state.messages);
  seen_ = std::move(state.seen);
  system_ =
      !messages_.empty() && messages_.front().role == "system" ? messages_.front().content : "";
}

}  // namespace reprise
