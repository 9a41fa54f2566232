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
  const bool has_turns = messages_.size() > (system_.empty() ? 0U : 1U);
  std::vector<ChatMessage> messages = messages_;
  messages.push_back({"user", user});
  std::vector<ChatSegment> parts = template_.render_parts(messages, true);
  const std::string rendered = text_of(parts);
  const bool is_new = seen_.empty() || !rendered.starts_with(seen_);
  if (!is_new) parts = behind(parts, seen_.size());
  const std::vector<int32_t> tokens = tokenize_chat(model_->tokenizer, parts);
  const auto n_tokens = static_cast<int32_t>(tokens.size());
  const int32_t n_past = is_new ? 0 : sequence_.n_past();
  const int64_t n_left = int64_t{n_ctx} - n_past - n_tokens;
  if (n_left <= 0) {
    throw Error(fmt::format(
        "the conversation has {} tokens and this message {} more; with an answer they pass the "
        "context of {}: raise it (--ctx), or begin anew (/clear)",
        n_past, n_tokens, n_ctx));
  }
  AnswerOptions limited = options;
  limited.max_tokens = static_cast<int32_t>(std::min<int64_t>(options.max_tokens, n_left));
  if (is_new) {  // should the prefill fail, the next turn reads everything again
    sequence_.clear();
    seen_.clear();
  }
  const std::span<const float> logits = sequence_.prefill(
      tokens, {.n_growth = limited.max_tokens, .n_compress = -1, .progress = progress});
  messages_ = std::move(messages);
  seen_ = rendered;
  was_reread_ = is_new && has_turns;
  std::string text;
  AnswerEvents kept = events;
  kept.on_text = [&](std::string_view piece) {
    text += piece;
    if (events.on_text) events.on_text(piece);
  };
  try {
    AnswerReport report = generate_answer(sequence_, *model_, logits, limited, kept);
    add_answer(text);
    return report;
  } catch (...) {
    add_answer(text);
    throw;
  }
}

void Conversation::add_answer(const std::string& text) {
  messages_.push_back({"assistant", trimmed(text)});
  seen_ += messages_.back().content;
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
