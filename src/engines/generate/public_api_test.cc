#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "reprise/generate.h"
#include "support/tiny_chat_model.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string error_of(const std::function<void()>& call) {
  try {
    call();
    return "no error";
  } catch (const Error& error) {
    return error.what();
  }
}

class PublicApi : public ::testing::Test {
 protected:
  fs::path folder_ = fs::temp_directory_path() / ("reprise_api_" + std::to_string(getpid()));

  void SetUp() override {
    fs::create_directories(folder_);
    test::write_tiny_model(test::tiny_chat_model({.n_layer = 3}), folder_ / "tiny.gguf");
  }
  void TearDown() override { fs::remove_all(folder_); }

  LanguageModel model() const { return LanguageModel::load(folder_ / "tiny.gguf"); }
};

TEST_F(PublicApi, NamesTheModel) {
  EXPECT_EQ(model().name(), "tiny");
  EXPECT_EQ(model().n_ctx_train(), 2048);
  EXPECT_THAT(error_of([&] { LanguageModel::load(folder_ / "none.gguf"); }),
              HasSubstr("none.gguf"));
}

TEST_F(PublicApi, StreamsWhatItReturns) {
  Chat chat(model(), {.n_threads = 2, .max_tokens = 20});
  std::string streamed;
  const Answer answer = chat.ask("hello", "", [&](std::string_view text) { streamed += text; });
  EXPECT_EQ(answer.text, streamed);
  EXPECT_EQ(answer.reason, FinishReason::kMaxTokens);
  EXPECT_EQ(answer.ledger.n_answer_tokens, 20);
  EXPECT_EQ(chat.messages().size(), 2U);
}

TEST_F(PublicApi, PutsTheDocumentBeforeTheMessage) {
  Chat chat(model(), {.max_tokens = 1});
  chat.ask("Who?", "A long text.");
  EXPECT_EQ(chat.messages().front().content, "A long text.\n\nWho?");
}

TEST_F(PublicApi, TheLedgerSaysWhatWasDropped) {
  Chat chat(model(), {.kv = "cake:budget=40,window=8", .max_tokens = 4});
  EXPECT_THROW(chat.ledger_json(), Error);
  const Answer answer = chat.ask(std::string(300, 'x'));
  const AnswerLedger& ledger = answer.ledger;
  EXPECT_EQ(ledger.n_entries_kept + ledger.n_entries_dropped,
            3 * (ledger.n_prompt_tokens + ledger.n_answer_tokens));
  EXPECT_EQ(ledger.n_entries_kept, 3 * (40 + 4));
  EXPECT_LE(ledger.kv_bytes, ledger.peak_kv_bytes);
  EXPECT_LT(ledger.kv_bytes, ledger.full_kv_bytes);
  const auto json = nlohmann::json::parse(chat.ledger_json());
  EXPECT_EQ(json.at("units").at(0).at("dropped"), ledger.n_entries_dropped);
  EXPECT_EQ(json.at("facts").at("policy"), "cake:budget=40,window=8");
  EXPECT_EQ(json.at("units").at(0).at("saved").at("is_estimate"), true);
  chat.clear();
  EXPECT_THROW(chat.ledger_json(), Error);
}

TEST_F(PublicApi, ACallbackMayCancel) {
  Chat chat(model());
  size_t n_pieces = 0;
  const Answer answer = chat.ask("hello", "", [&](std::string_view) {
    if (++n_pieces == 3) chat.cancel();
  });
  EXPECT_EQ(answer.reason, FinishReason::kCancelled);
  EXPECT_EQ(answer.text.size(), 3U);  // the tiny model's characters are tokens
  EXPECT_EQ(chat.ask("more").reason, FinishReason::kMaxTokens);
}

TEST_F(PublicApi, AnotherThreadMayCancel) {
  Chat chat(model(), {.max_tokens = 1500});
  std::atomic<bool> has_begun = false;
  std::thread other([&] {
    while (!has_begun) std::this_thread::yield();
    chat.cancel();
  });
  const Answer answer = chat.ask("hello", "", [&](std::string_view) { has_begun = true; });
  other.join();
  EXPECT_EQ(answer.reason, FinishReason::kCancelled);
  EXPECT_LT(answer.ledger.n_answer_tokens, 1500);
}

TEST_F(PublicApi, AQuestionCancelledWhileItIsReadIsForgotten) {
  Chat chat(model(), {.max_tokens = 8});
  chat.ask("hello");
  // Keeps cancelling until ask() has come back: some of it falls into the prefill.
  std::atomic<bool> is_over = false;
  std::thread other([&] {
    while (!is_over) chat.cancel();
  });
  const Answer answer = chat.ask(std::string(1500, 'x'));
  is_over = true;
  other.join();
  EXPECT_EQ(answer.reason, FinishReason::kCancelled);
  EXPECT_EQ(answer.text, "");
  EXPECT_EQ(answer.ledger.n_prompt_tokens, 0);
  EXPECT_EQ(chat.messages().size(), 2U);
  EXPECT_THROW(chat.ledger_json(), Error);
}

TEST_F(PublicApi, GoesOnWithASavedConversation) {
  const ChatOptions options{.max_tokens = 12, .temperature = 0.8F, .seed = 7};
  Chat first(model(), options);
  first.ask("hello");
  first.save(folder_ / "saved");
  Chat second(model(), options);
  second.load(folder_ / "saved");
  EXPECT_EQ(second.messages().size(), 2U);
  EXPECT_EQ(second.ask("more").text, first.ask("more").text);
  EXPECT_THROW(second.load(folder_ / "tiny.gguf"), Error);
}

TEST_F(PublicApi, ChatsMoveAndShareTheirModel) {
  const LanguageModel shared = model();
  Chat a(shared, {.n_threads = 1, .max_tokens = 6});
  Chat b(shared, {.n_threads = 1, .max_tokens = 6});
  const std::string text = a.ask("hello").text;
  Chat moved = std::move(a);
  EXPECT_EQ(moved.messages().size(), 2U);
  std::string from_b;
  std::thread other([&] { from_b = b.ask("hello").text; });
  moved.ask("more");
  other.join();
  EXPECT_EQ(from_b, text);
}

TEST_F(PublicApi, NamesTheWrongOption) {
  const LanguageModel m = model();
  const auto refuses = [&](ChatOptions options) {
    return error_of([&] { Chat(m, std::move(options)); });
  };
  EXPECT_THAT(refuses({.kv = "caek"}), HasSubstr("did you mean 'cake'"));
  EXPECT_THAT(refuses({.n_threads = 1000}), HasSubstr("1000"));
  EXPECT_THAT(refuses({.n_ctx = 4096}), HasSubstr("trained for 2048 tokens"));
  EXPECT_THAT(refuses({.n_ctx = -1}), HasSubstr("n_ctx is -1"));
  EXPECT_THAT(refuses({.max_tokens = 0}), HasSubstr("max_tokens is 0"));
  EXPECT_THAT(refuses({.chat_template = "chatmk"}), HasSubstr("chatml"));
  EXPECT_THAT(refuses({.stop = {""}}), HasSubstr("stop string is empty"));
  EXPECT_THAT(refuses({.grammar = "rot ::= [a-z]"}), HasSubstr("root"));
  EXPECT_THAT(refuses({.top_p = 2}), HasSubstr("top"));
  Chat small(m, {.n_ctx = 64});
  EXPECT_THAT(error_of([&] { small.ask(std::string(100, 'x')); }), HasSubstr("context of 64"));
  EXPECT_TRUE(small.messages().empty());
}

}  // namespace
}  // namespace reprise
