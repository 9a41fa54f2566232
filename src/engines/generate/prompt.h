#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/chat_template.h"
#include "engines/text_model.h"

namespace reprise {

// The tokens of one prompt, and how many of them come before its question.
struct Prompt {
  std::vector<int32_t> tokens;
  int32_t n_document = 0;  // leading tokens up to the document's end; 0 without a document
};

// One user's message: the document, a blank line, the question; so that the question stands in the
// observation window. Either may be empty.
struct UserMessage {
  std::string document;
  std::string question;

  std::string text() const;
};

// Renders and tokenizes a conversation of an optional system message and the user's. Throws Error.
Prompt chat_prompt(const TextModel& model, const ChatTemplate& chat_template,
                   const std::string& system, const UserMessage& user);

// The message as it is, without a template; control tokens in it are parsed.
Prompt raw_prompt(const TextModel& model, const UserMessage& user);

// Cuts tokens out of the middle until n_max are left, as long-context benchmarks do: the first
// n_max / 2 and the last stay. Returns how many went.
int32_t cut_middle(Prompt& prompt, int32_t n_max);

}  // namespace reprise
