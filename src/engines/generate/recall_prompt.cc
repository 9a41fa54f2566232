#include "engines/generate/recall_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

#include "core/chat_tokens.h"
#include "core/error.h"
#include "engines/generate/prompt.h"

namespace reprise {
namespace {

constexpr const char* kFirstQuestion =
    "In which language is this text written? Answer with one word only.";
constexpr const char* kFirstReply = "English";

int32_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return static_cast<int32_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

struct Record {
  std::string_view key;
  std::string_view value;  // with its semicolon
};

// The first record `key=value;` of the document whose key the question does not name.
std::optional<Record> other_record(const RecallQuestion& asked) {
  const std::string_view text = asked.document;
  for (size_t equals = text.find('='); equals != std::string_view::npos;
       equals = text.find('=', equals + 1)) {
    size_t first = equals;
    while (first > 0 && std::isalnum(static_cast<unsigned char>(text[first - 1])) != 0) --first;
    const size_t end = text.find(';', equals);
    if (end == std::string_view::npos) break;
    const std::string_view key = text.substr(first, equals - first);
    if (!key.empty() && asked.question.find(key) == std::string::npos) {
      return Record{key, text.substr(equals + 1, end - equals)};
    }
  }
  return std::nullopt;
}

std::vector<int32_t> tokenize(const TextModel& model, const std::string& text) {
  return model.tokenizer.tokenize(text, true, true);
}

void pairs_in_one_turn(const TextModel& model, RecallCase& out) {
  const RecallQuestion& asked = out.question;
  out.one_turn = tokenize(model, asked.document + asked.question);
  out.n_document = common_prefix(out.one_turn, tokenize(model, asked.document));
}

void pairs_in_two_turns(const TextModel& model, RecallCase& out) {
  const RecallQuestion& asked = out.question;
  const std::optional<Record> other = other_record(asked);
  if (!other) {
    throw Error(
        fmt::format("the question '{}': its document has no other record key=value; that a first "
                    "turn could ask for; leave this question or the protocol turn2 out",
                    asked.question));
  }
  const std::string first_turn = fmt::format("{}?{}=", asked.document, other->key);
  const std::string reply = first_turn + std::string(other->value);
  out.two_turns = tokenize(model, reply + asked.question);
  out.n_first_turn = common_prefix(out.two_turns, tokenize(model, first_turn));
  out.n_reply = common_prefix(out.two_turns, tokenize(model, reply)) - out.n_first_turn;
}

void facts_in_one_turn(const TextModel& model, const ChatTemplate& chat_template, RecallCase& out) {
  Prompt prompt =
      chat_prompt(model, chat_template, "", {out.question.document, out.question.question});
  out.one_turn = std::move(prompt.tokens);
  out.n_document = prompt.n_document;
}

void facts_in_two_turns(const TextModel& model, const ChatTemplate& chat_template,
                        RecallCase& out) {
  const UserMessage first{out.question.document, kFirstQuestion};
  const std::array<ChatMessage, 3> messages = {
      {{"user", first.text()}, {"assistant", kFirstReply}, {"user", out.question.question}}};
  out.two_turns = tokenize_chat(model.tokenizer, chat_template.render_parts(messages, true));
  const std::span<const int32_t> all = out.two_turns;
  out.n_first_turn = common_prefix(all, chat_prompt(model, chat_template, "", first).tokens);
  out.n_reply = common_prefix(all.subspan(out.n_first_turn),
                              model.tokenizer.tokenize(kFirstReply, false, false));
}

}  // namespace

const char* recall_protocol_name(RecallProtocol protocol) {
  switch (protocol) {
    case RecallProtocol::kLast:
      return "last";
    case RecallProtocol::kAfter:
      return "after";
    case RecallProtocol::kTurn2:
      break;
  }
  return "turn2";
}

int32_t RecallCase::n_longest() const {
  return static_cast<int32_t>(std::max(one_turn.size(), two_turns.size()) + answer.size());
}

RecallCase make_recall_case(const TextModel& model,
                            const std::optional<ChatTemplate>& chat_template,
                            std::span<const RecallProtocol> protocols, RecallQuestion question) {
  RecallCase out;
  out.question = std::move(question);
  out.answer = model.tokenizer.tokenize(out.question.answer, false, false);
  const bool wants_two = std::ranges::count(protocols, RecallProtocol::kTurn2) > 0;
  if (out.question.kind == RecallQuestion::Kind::kPairs) {
    pairs_in_one_turn(model, out);
    if (wants_two) pairs_in_two_turns(model, out);
    return out;
  }
  if (!chat_template) throw Error("questions of kind 'facts' need a chat template");
  facts_in_one_turn(model, *chat_template, out);
  if (wants_two) facts_in_two_turns(model, *chat_template, out);
  return out;
}

std::span<const float> read_recall_prompt(Sequence& sequence, const RecallCase& asked,
                                          RecallProtocol protocol, int32_t n_growth,
                                          const TokensRead& read) {
  std::span<const int32_t> tokens = asked.tokens(protocol);
  const auto prefill = [&](std::span<const int32_t> turn, int32_t n_compress, int32_t n_room) {
    const auto n_tokens = static_cast<int64_t>(turn.size());
    sequence.prefill(turn, {.n_growth = n_room,
                            .n_compress = n_compress,
                            .progress = prefill_progress(read, n_tokens)});
  };
  if (protocol == RecallProtocol::kTurn2) {
    prefill(tokens.first(asked.n_first_turn), -1, asked.n_reply);
    for (const int32_t token : tokens.subspan(asked.n_first_turn, asked.n_reply)) {
      sequence.decode(token);
    }
    read(asked.n_reply);
    tokens = tokens.subspan(asked.n_first_turn + asked.n_reply);
  }
  prefill(tokens, protocol == RecallProtocol::kAfter ? asked.n_document : -1, n_growth);
  return sequence.read_again(tokens.back());
}

}  // namespace reprise
