#include <fmt/format.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <variant>

#include "core/backend.h"
#include "engines/generate/conversation.h"
#include "engines/generate/entry_cost.h"
#include "engines/generate/prompt.h"
#include "engines/generate/text_ledger.h"
#include "engines/text_model.h"
#include "policies/registry.h"
#include "reprise/generate.h"

namespace reprise {

struct LanguageModel::Impl {
  std::shared_ptr<const TextModel> text;
  std::string name;
};

LanguageModel LanguageModel::load(const std::string& model) {
  std::shared_ptr<const TextModel> text = TextModel::load(model);
  std::string name = text->decoder->hparams().name;
  if (name.empty()) name = std::filesystem::path(model).stem().string();
  return LanguageModel(std::make_shared<const Impl>(Impl{std::move(text), std::move(name)}));
}

const std::string& LanguageModel::name() const { return impl_->name; }
int32_t LanguageModel::n_ctx_train() const { return impl_->text->decoder->hparams().n_ctx_train; }

namespace {

// Leaves a prefill that cancel() has ended.
struct PrefillCancelled {};

AnswerOptions answer_options(const ChatOptions& options, const TextModel& model) {
  AnswerOptions answer;
  answer.max_tokens = options.max_tokens;
  answer.stop = options.stop;
  answer.sampler = {.temp = options.temperature,
                    .top_k = options.top_k,
                    .top_p = options.top_p,
                    .min_p = options.min_p,
                    .repeat_penalty = options.repeat_penalty,
                    .repeat_last_n = options.repeat_last_n,
                    .seed = options.seed,
                    .grammar = options.grammar};
  check_answer_options(answer, model);
  return answer;
}

int32_t context(const ChatOptions& options, const LanguageModel& model) {
  const int32_t n_ctx_train = model.n_ctx_train();
  if (options.n_ctx < 0 || options.n_ctx > n_ctx_train) {
    throw Error(fmt::format("n_ctx is {}: the model '{}' was trained for {} tokens; lower it",
                            options.n_ctx, model.name(), n_ctx_train));
  }
  return options.n_ctx == 0 ? n_ctx_train : options.n_ctx;
}

// A number that text_ledger() has written.
template <typename T>
T fact(const Ledger& ledger, std::string_view key) {
  for (const LedgerFact& entry : ledger.facts) {
    if (entry.key == key) return std::get<T>(entry.value);
  }
  throw Error(fmt::format("the ledger has no '{}'", key));
}

AnswerLedger numbers(const Ledger& ledger) {
  const LedgerUnit& entries = ledger.units.front();
  AnswerLedger out;
  out.n_prompt_tokens = static_cast<int32_t>(fact<int64_t>(ledger, "n_prompt_tokens"));
  out.n_answer_tokens = static_cast<int32_t>(fact<int64_t>(ledger, "n_answer_tokens"));
  out.prefill_s = fact<double>(ledger, "prefill_s");
  out.decode_s = fact<double>(ledger, "decode_s");
  out.policy_s = fact<double>(ledger, "policy_s");
  out.n_entries_kept = entries.computed;
  out.n_entries_dropped = entries.dropped;
  out.kv_bytes = static_cast<int64_t>(entries.spent.value);
  out.peak_kv_bytes = fact<int64_t>(ledger, "peak_kv_bytes");
  out.full_kv_bytes = fact<int64_t>(ledger, "full_kv_bytes");
  return out;
}

}  // namespace

struct Chat::Impl {
  Impl(LanguageModel language_model, ChatOptions given)
      : model(std::move(language_model)),
        options(std::move(given)),
        n_ctx(context(options, model)),
        answering(answer_options(options, text())),
        backend(Backend::useful_threads(options.n_threads)),
        conversation(model.impl_->text, backend, make_kv_policy(options.kv),
                     chat_template_of(text(), options.chat_template), options.system) {}

  const TextModel& text() const { return *model.impl_->text; }
  Ledger ledger(const AnswerReport& report, double cost_s) {
    return text_ledger(conversation.sequence(), report, options.kv, cost_s);
  }

  LanguageModel model;
  ChatOptions options;
  int32_t n_ctx;
  AnswerOptions answering;
  Backend backend;
  Conversation conversation;
  std::optional<AnswerReport> last;  // of the last ask(), when it gave an answer
  std::optional<double> entry_cost_s;
  std::atomic<bool> is_cancelled = false;
};

Chat::Chat(LanguageModel model, ChatOptions options)
    : impl_(std::make_unique<Impl>(std::move(model), std::move(options))) {}
Chat::~Chat() = default;
Chat::Chat(Chat&&) noexcept = default;
Chat& Chat::operator=(Chat&&) noexcept = default;

Answer Chat::ask(std::string_view message, std::string_view document, const OnText& on_text) {
  Impl& chat = *impl_;
  const UserMessage user{std::string(document), std::string(message)};
  AnswerEvents events;
  events.on_text = on_text;
  events.is_cancelled = [&chat] { return chat.is_cancelled.load(); };
  const auto progress = [&chat](int64_t /*n_done*/, int64_t /*n_total*/) {
    if (chat.is_cancelled) throw PrefillCancelled();
  };
  chat.is_cancelled = false;
  chat.last.reset();
  try {
    chat.last = chat.conversation.turn(user.text(), chat.n_ctx, chat.answering, events, progress);
  } catch (const PrefillCancelled&) {
    return {.text = "", .reason = FinishReason::kCancelled, .ledger = {}};
  }
  return {chat.last->text, chat.last->reason, numbers(chat.ledger(*chat.last, 0))};
}

void Chat::cancel() noexcept { impl_->is_cancelled = true; }

std::vector<ChatMessage> Chat::messages() const { return impl_->conversation.messages(); }

void Chat::clear() {
  impl_->last.reset();
  impl_->conversation.clear();
}

std::string Chat::ledger_json() {
  Impl& chat = *impl_;
  if (!chat.last) throw Error("the last ask() gave no answer, so there is no ledger of it");
  const bool has_dropped = numbers(chat.ledger(*chat.last, 0)).n_entries_dropped > 0;
  if (has_dropped && !chat.entry_cost_s) {
    chat.entry_cost_s = measure_entry_cost(*chat.text().decoder, chat.backend,
                                           chat.conversation.sequence().kv().shape(0).kv);
  }
  return reprise::ledger_json(chat.ledger(*chat.last, chat.entry_cost_s.value_or(0)));
}

void Chat::save(const std::string& path) const { impl_->conversation.save(path); }

void Chat::load(const std::string& path) {
  impl_->conversation.load(path);
  impl_->last.reset();
}

}  // namespace reprise
