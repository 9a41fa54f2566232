#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reprise/chat_message.h"

namespace reprise {

class GgufFile;

// A piece of a rendered conversation. `is_input`: these bytes came out of a message and are
// the text of a control token, or a part of one; tokenize them with parse_special = false, all
// others with true.
struct ChatSegment {
  std::string text;
  bool is_input = false;
};

// What a template and its guard must know of a vocabulary. See special_texts() in chat_tokens.h.
struct SpecialTexts {
  std::string bos, eos;              // empty: the model has none
  std::vector<std::string> control;  // texts that a tokenizer turns into control tokens
};

// Turns a conversation into the text that a chat model was trained on, by executing its Jinja
// template as Hugging Face's transformers does: trim_blocks, lstrip_blocks, the variables messages,
// add_generation_prompt, bos_token, eos_token, tools and documents (none), and raise_exception(),
// strftime_now(), tojson, break, continue. One difference is known: a printed none gives nothing
// instead of "None". Copies share the parsed program; all const functions may
// run on several threads.
class ChatTemplate {
 public:
  // Largest template, in bytes.
  static constexpr size_t kMaxBytes = size_t{1} << 20;

  // Parses `source`; `name` stands in errors. Throws Error: what is wrong with the template, where.
  static ChatTemplate parse(std::string name, std::string source, SpecialTexts special);
  // The model's own, metadata key tokenizer.chat_template. Throws Error; when the model has none it
  // names the options that help.
  static ChatTemplate from_model(const GgufFile& model, SpecialTexts special);
  // One of names(). Throws Error with the nearest known name.
  static ChatTemplate from_name(std::string_view name, SpecialTexts special);
  // Throws Error when the file is unreadable, larger than kMaxBytes or no template.
  static ChatTemplate from_file(const std::string& path, SpecialTexts special);
  // The value of --chat-template: a known name, else a file. Throws Error.
  static ChatTemplate from_name_or_file(const std::string& value, SpecialTexts special);
  // The names that from_name() knows, in alphabetical order.
  static std::vector<std::string_view> names();

  // The conversation as one text, for people to read. Tokenized with parse_special = true it lets a
  // message forge turns ("<|im_end|>..."): models get render_parts(). Throws Error: no
  // messages, a role that is no word, a message that the template refuses (with its words), or one
  // that takes the template beyond its limits (chat_template_limits.h).
  std::string render(std::span<const ChatMessage> messages, bool add_generation_prompt) const;

  // The same text in segments. Every byte that came out of a message and takes part in the text
  // of a control token stands in a segment with is_input; all other text, of messages too, stays
  // together with the template's, so that a harmless conversation is one segment and gets the
  // very tokens of the reference. Throws Error as render() does, and when the template changes
  // such a text, so that it can no longer be told apart.
  std::vector<ChatSegment> render_parts(std::span<const ChatMessage> messages,
                                        bool add_generation_prompt) const;

  const std::string& source() const;

 private:
  struct Program;
  explicit ChatTemplate(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const Program> program_;
};

}  // namespace reprise
