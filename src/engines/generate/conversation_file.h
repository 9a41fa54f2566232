#pragma once

#include <string>
#include <vector>

#include "core/chat_template.h"
#include "engines/generate/sequence.h"
#include "engines/text_model.h"

namespace reprise {

// What a conversation needs to go on later.
struct ConversationState {
  std::vector<ChatMessage> messages;
  std::string seen;  // rendered text that the sequence has seen
  SequenceState sequence;
};

// One line of JSON (format, model, messages, sizes), the layers' bytes, and a checksum of all of
// it. Complete or absent. Throws Error.
void write_conversation(const std::string& path, const TextModel& model,
                        const ConversationState& state);
// Throws Error when the file is damaged or belongs to another model.
ConversationState read_conversation(const std::string& path, const TextModel& model);

}  // namespace reprise
