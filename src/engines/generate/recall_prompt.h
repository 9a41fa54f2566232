#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/chat_template.h"
#include "engines/generate/recall_question.h"
#include "engines/generate/sequence.h"
#include "engines/generate/tokens_read.h"
#include "engines/text_model.h"

namespace reprise {

// When the question comes, seen from the eviction.
enum class RecallProtocol : uint8_t {
  kLast,   // at the end of the prompt, judged together with the document
  kAfter,  // behind the document, which was judged alone
  kTurn2,  // in a second turn; the first had the document and another question
};
const char* recall_protocol_name(RecallProtocol protocol);  // "last", "after", "turn2"

// A question as tokens.
struct RecallCase {
  RecallQuestion question;
  std::vector<int32_t> one_turn;   // document and question
  int32_t n_document = 0;          // of them up to the document's end
  std::vector<int32_t> two_turns;  // with turn2: document, another question, its reply, question
  int32_t n_first_turn = 0;        // of them up to where the reply begins
  int32_t n_reply = 0;             // of them the reply
  std::vector<int32_t> answer;     // what is right, to be teacher-forced

  const std::vector<int32_t>& tokens(RecallProtocol protocol) const {
    return protocol == RecallProtocol::kTurn2 ? two_turns : one_turn;
  }
  // The longest sequence that asking it makes.
  int32_t n_longest() const;
};

// Facts are asked with the chat template, whose user message is the document, a blank line and the
// question, and their first turn asks for the document's language. Pairs are document and question
// as they are, and their first turn asks for another record of the document. Throws Error when
// there is no template for facts, or no other record for a first turn.
RecallCase make_recall_case(const TextModel& model,
                            const std::optional<ChatTemplate>& chat_template,
                            std::span<const RecallProtocol> protocols, RecallQuestion question);

// Reads everything up to the answer, with room for n_growth more tokens, and returns the logits
// that follow from what is held then: the prompt's last token is read again, because a prefill's
// own logits come from the whole prompt and would answer in the policy's place
// (Sequence::read_again). Throws Error, and what `read` throws.
std::span<const float> read_recall_prompt(Sequence& sequence, const RecallCase& asked,
                                          RecallProtocol protocol, int32_t n_growth,
                                          const TokensRead& read);

}  // namespace reprise
