#include "engines/generate/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "core/atomic_file.h"
#include "core/chat_tokens.h"
#include "core/error.h"
#include "policies/registry.h"
#include "support/tiny_chat_model.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int32_t kCtx = 2048;

// Shows the latest message in another way than the earlier ones, as templates do that drop the
// reasoning of earlier turns.
constexpr const char* kRewriting =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + (' now' if loop.last else '') + '\n' + "
    "m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

std::string error_of(const std::function<void()>& call) {
  try {
    call();
    return "no error";
  } catch (const Error& error) {
    return error.what();
  }
}

bool operator==(const ChatMessage& a, const ChatMessage& b) {
  return a.role == b.role && a.content == b.content;
}

class ConversationTest : public ::testing::Test {
 protected:
  fs::path folder_ =
      fs::temp_directory_path() / ("reprise_conversation_" + std::to_string(getpid()));
  Backend backend_{2};
  std::shared_ptr<const TextModel> model_;

  void SetUp() override {
    fs::create_directories(folder_);
    model_ = load("a.gguf", 1);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::shared_ptr<const TextModel> load(const std::string& name, uint32_t seed) const {
    const std::string path = folder_ / name;
    test::write_tiny_model(test::tiny_chat_model({.n_layer = 3, .n_embd_head = 32, .seed = seed}),
                           path);
    return TextModel::load(path);
  }
  Conversation begin(const std::string& kv = "full", const std::string& system = "") const {
    return {model_, backend_, make_kv_policy(kv), chat_template_of(*model_, ""), system};
  }
  Conversation begin_rewriting() const {
    SpecialTexts special = special_texts(*model_->file, model_->tokenizer);
    return {model_, backend_, make_kv_policy("full"),
            ChatTemplate::parse("rewriting", kRewriting, std::move(special)), ""};
  }
  static AnswerReport ask(Conversation& conversation, const std::string& text,
                          int32_t max_tokens = 24) {
    AnswerOptions options;
    options.max_tokens = max_tokens;
    return conversation.turn(text, kCtx, options, {}, nullptr);
  }
  std::vector<int32_t> tokens_of(const std::string& text) const {
    return model_->tokenizer.tokenize(text, false, true);
  }
  std::string path(const std::string& name) const { return folder_ / name; }
};

// What every failed call must leave alone.
struct Snapshot {
  std::vector<ChatMessage> messages;
  SequenceState state;

  explicit Snapshot(Conversation& c) : messages(c.messages()), state(c.sequence().save()) {}
  bool operator==(const Snapshot& other) const {
    return std::ranges::equal(messages, other.messages,
                              [](const auto& a, const auto& b) { return a == b; }) &&
           state.n_past == other.state.n_past && state.layers == other.state.layers;
  }
};

TEST_F(ConversationTest, TheTinyModelSpeaksPrintableText) {
  Conversation conversation = begin();
  const AnswerReport report = ask(conversation, "hello there");
  EXPECT_EQ(report.reason, FinishReason::kMaxTokens);
  EXPECT_EQ(report.tokens.size(), 24U);
  EXPECT_EQ(report.text, model_->tokenizer.detokenize(report.tokens));
  EXPECT_TRUE(std::ranges::all_of(report.text, [](char c) { return c >= 0x20 && c < 0x7f; }));
}

TEST_F(ConversationTest, ATurnReadsItsOwnTokensAlone) {
  Conversation conversation = begin();
  const AnswerReport first = ask(conversation, "hello");
  const std::vector<int32_t> first_prompt =
      tokens_of("<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(conversation.sequence().n_past(),
            static_cast<int32_t>(first_prompt.size() + first.tokens.size()));
  const AnswerReport second = ask(conversation, "and then?");
  const std::vector<int32_t> second_prompt =
      tokens_of("<|im_end|>\n<|im_start|>user\nand then?<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_FALSE(conversation.was_reread());
  EXPECT_EQ(conversation.sequence().last_prefill().n_tokens,
            static_cast<int32_t>(second_prompt.size()));

  // The same passes on a bare sequence: same tokens, same shapes, so the same text.
  Sequence sequence(model_->decoder, backend_, make_kv_policy("full"));
  sequence.prefill(first_prompt, {.n_growth = 24});
  for (const int32_t token : first.tokens) sequence.decode(token);
  AnswerOptions options;
  options.max_tokens = 24;
  const AnswerReport want = generate_answer(
      sequence, *model_, sequence.prefill(second_prompt, {.n_growth = 24}), options, {});
  EXPECT_EQ(second.tokens, want.tokens);
}

TEST_F(ConversationTest, MessagesAlternateAndTheSystemMessageStays) {
  Conversation conversation = begin("full", "Be brief.");
  ask(conversation, "one");
  ask(conversation, "two");
  std::vector<std::string> roles;
  for (const ChatMessage& message : conversation.messages()) roles.push_back(message.role);
  EXPECT_THAT(roles, testing::ElementsAre("system", "user", "assistant", "user", "assistant"));
  conversation.clear();
  ASSERT_EQ(conversation.messages().size(), 1U);
  EXPECT_EQ(conversation.messages().front().content, "Be brief.");
}

TEST_F(ConversationTest, ClearBeginsAnew) {
  Conversation conversation = begin();
  const AnswerReport first = ask(conversation, "hello");
  ask(conversation, "more");
  conversation.clear();
  EXPECT_TRUE(conversation.messages().empty());
  EXPECT_EQ(conversation.sequence().n_past(), 0);
  EXPECT_EQ(ask(conversation, "hello").tokens, first.tokens);
  EXPECT_FALSE(conversation.was_reread());
}

TEST_F(ConversationTest, ATemplateThatRewritesEarlierTurnsMakesItReadAgain) {
  Conversation conversation = begin_rewriting();
  ask(conversation, "one");
  EXPECT_FALSE(conversation.was_reread());
  const std::string answer = conversation.messages().back().content;
  ask(conversation, "two");
  EXPECT_TRUE(conversation.was_reread());
  EXPECT_EQ(conversation.sequence().last_prefill().n_tokens,
            static_cast<int32_t>(
                tokens_of("<|im_start|>user\none<|im_end|>\n<|im_start|>assistant\n" + answer +
                          "<|im_end|>\n<|im_start|>user now\ntwo<|im_end|>\n"
                          "<|im_start|>assistant\n")
                    .size()));
}

TEST_F(ConversationTest, AFailedReReadIsMadeUpForByTheNextTurn) {
  Conversation conversation = begin_rewriting();
  ask(conversation, "one");
  const auto stop = [](int64_t, int64_t) { throw Error("stopped"); };
  EXPECT_THROW(conversation.turn("two", kCtx, {}, {}, stop), Error);
  EXPECT_EQ(conversation.messages().size(), 2U);
  const AnswerReport got = ask(conversation, "two");
  EXPECT_TRUE(conversation.was_reread());
  Conversation undisturbed = begin_rewriting();
  ask(undisturbed, "one");
  EXPECT_EQ(got.tokens, ask(undisturbed, "two").tokens);
}

TEST_F(ConversationTest, ASavedConversationGoesOnWithTheSameText) {
  for (const char* kv : {"full", "full:type=q8_0", "cake:budget=40,window=8"}) {
    Conversation first = begin(kv, "Be brief.");
    ask(first, "one " + std::string(80, 'x'));
    first.save(path("saved"));
    const AnswerReport want = ask(first, "two");
    Conversation second = begin(kv);  // the system message comes from the file
    ask(second, "something else");
    second.load(path("saved"));
    EXPECT_EQ(second.messages().size(), 3U) << kv;
    EXPECT_EQ(ask(second, "two").tokens, want.tokens) << kv;
    EXPECT_FALSE(second.was_reread()) << kv;
    second.clear();
    EXPECT_EQ(second.messages().front().content, "Be brief.") << kv;
  }
}

TEST_F(ConversationTest, RefusesDamagedAndForeignFiles) {
  Conversation conversation = begin();
  ask(conversation, "hello");
  conversation.save(path("saved"));
  ask(conversation, "more");
  const Snapshot before(conversation);
  const std::string good = read_file(path("saved"), 1 << 30);
  const auto refuses = [&](const std::string& bytes) {
    write_file(path("bad"), std::as_bytes(std::span(bytes)));
    std::string error = error_of([&] { conversation.load(path("bad")); });
    EXPECT_THAT(error, HasSubstr(path("bad")));
    EXPECT_TRUE(Snapshot(conversation) == before);
    return error;
  };
  for (const size_t n : {size_t{0}, size_t{1}, good.find('\n'), good.find('\n') + 3,
                         good.size() / 2, good.size() - 1}) {
    refuses(good.substr(0, n));
  }
  for (size_t at = 0; at < good.size(); at += 1 + good.size() / 97) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x20);
    refuses(bad);
  }
  EXPECT_THAT(refuses("hello\n12345678"), HasSubstr("no saved conversation"));
  EXPECT_THAT(refuses("{\"format\":\"reprise-conversation-0\"}\n12345678"),
              HasSubstr("this version of reprise"));

  model_ = load("b.gguf", 2);  // differs in its weights alone
  Conversation other = begin();
  ask(other, "hello");
  EXPECT_THAT(error_of([&] { other.load(path("saved")); }), HasSubstr("another model file"));
  EXPECT_EQ(other.messages().size(), 2U);
}

TEST_F(ConversationTest, RefusesAnotherCacheType) {
  Conversation f16 = begin();
  ask(f16, "hello");
  f16.save(path("saved"));
  Conversation q8 = begin("full:type=q8_0");
  ask(q8, "hello");
  const Snapshot before(q8);
  EXPECT_THAT(error_of([&] { q8.load(path("saved")); }), HasSubstr("start with type=f16"));
  EXPECT_TRUE(Snapshot(q8) == before);
}

// A file size limit stands for a full disk: the write fails half-way.
TEST_F(ConversationTest, AFullDiskLeavesTheOldFile) {
  Conversation conversation = begin();
  ask(conversation, "hello");
  conversation.save(path("saved"));
  const std::string old = read_file(path("saved"), 1 << 30);
  ask(conversation, "more");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{1000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_THROW(conversation.save(path("saved")), Error);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(read_file(path("saved"), 1 << 30), old);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 2);
}

TEST_F(ConversationTest, RefusesATurnThatPassesTheContext) {
  Conversation conversation = begin();
  ask(conversation, "hello", 5);
  const Snapshot before(conversation);
  const int32_t n_past = conversation.sequence().n_past();
  const auto n_turn = static_cast<int32_t>(
      tokens_of("<|im_end|>\n<|im_start|>user\nmore<|im_end|>\n<|im_start|>assistant\n").size());
  const std::string error =
      error_of([&] { conversation.turn("more", n_past + n_turn, {}, {}, nullptr); });
  EXPECT_THAT(error, HasSubstr(std::to_string(n_past) + " tokens and this message " +
                               std::to_string(n_turn) + " more"));
  EXPECT_TRUE(Snapshot(conversation) == before);
  // One token of room is enough for one token of answer.
  EXPECT_EQ(conversation.turn("more", n_past + n_turn + 1, {}, {}, nullptr).tokens.size(), 1U);
}

TEST_F(ConversationTest, ARefusedPrefillLeavesTheConversation) {
  Conversation conversation = begin("cake:budget=40,window=8");
  ask(conversation, "hello");
  const Snapshot before(conversation);
  const auto stop = [](int64_t n_done, int64_t n_total) {
    if (2 * n_done > n_total) throw Error("stopped");
  };
  EXPECT_THROW(conversation.turn(std::string(900, 'x'), kCtx, {}, {}, stop), Error);
  EXPECT_TRUE(Snapshot(conversation) == before);
  EXPECT_THROW(conversation.turn("\xff", kCtx, {}, {}, nullptr), Error);
  EXPECT_TRUE(Snapshot(conversation) == before);
}

TEST_F(ConversationTest, ACancelledAnswerStaysAsFarAsItGot) {
  Conversation conversation = begin();
  AnswerEvents events;
  int32_t n_asked = 0;
  events.is_cancelled = [&] { return n_asked++ == 3; };
  const AnswerReport report = conversation.turn("hello", kCtx, {}, events, nullptr);
  EXPECT_EQ(report.reason, FinishReason::kCancelled);
  EXPECT_EQ(report.tokens.size(), 3U);
  EXPECT_EQ(conversation.messages().size(), 2U);
  ask(conversation, "go on");
  EXPECT_FALSE(conversation.was_reread());
  EXPECT_EQ(conversation.messages().size(), 4U);
}

TEST_F(ConversationTest, AnEventThatThrowsKeepsWhatWasShown) {
  Conversation conversation = begin();
  AnswerEvents events;
  std::string shown;
  events.on_text = [&](std::string_view text) {
    shown += text;
    if (shown.size() > 4) throw std::runtime_error("closed");
  };
  EXPECT_THROW(conversation.turn("hello", kCtx, {}, events, nullptr), std::runtime_error);
  ASSERT_EQ(conversation.messages().size(), 2U);
  EXPECT_THAT(shown, HasSubstr(conversation.messages().back().content));
  ask(conversation, "go on");
  EXPECT_FALSE(conversation.was_reread());
}

}  // namespace
}  // namespace reprise
