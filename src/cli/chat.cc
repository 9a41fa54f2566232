#include "cli/chat.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "cli/answer_output.h"
#include "cli/chat_command.h"
#include "cli/exit_codes.h"
#include "cli/explain.h"
#include "cli/generate_flags.h"
#include "cli/interrupt.h"
#include "cli/ledger_output.h"
#include "cli/line_input.h"
#include "cli/progress.h"
#include "cli/span_recorder.h"
#include "core/error.h"
#include "core/quantities.h"
#include "core/utf8.h"
#include "engines/generate/answer.h"
#include "engines/generate/conversation.h"
#include "engines/generate/entry_cost.h"
#include "engines/generate/text_ledger.h"
#include "engines/text_model.h"

namespace reprise {
namespace {

struct ChatFlags {
  GenerateFlags generate;
  std::string ledger = "line";
};

bool is_dim() {
  const char* no_color = std::getenv("NO_COLOR");
  return isatty(STDERR_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
}

// Remarks beside the conversation; silent with -q.
void remark(const std::string& text) {
  if (!spdlog::should_log(spdlog::level::info)) return;
  if (is_dim()) {
    fmt::print(stderr, "\x1b[2m{}\x1b[0m\n", text);
  } else {
    fmt::print(stderr, "{}\n", text);
  }
}

// One conversation between a user and a model.
class ChatSession {
 public:
  explicit ChatSession(const ChatFlags& flags)
      : flags_(flags),
        policy_(flags.generate.policy()),
        options_(flags.generate.checked_answer()),
        backend_(flags.generate.compute.backend()),
        model_(
            TextModel::load(flags.generate.model, flags.generate.compute.weight_place(backend_))),
        n_ctx_(flags.generate.context(model_->decoder->hparams())),
        conversation_(model_, backend_, policy_,
                      chat_template_of(*model_, flags.generate.chat_template),
                      flags.generate.system) {
    explain_weights(*model_, flags.generate.compute);
    check_answer_options(options_, *model_);
    check_utf8(flags.generate.system, "--system");
  }

  void greet() const {
    const std::string& name = model_->decoder->hparams().name;
    remark(fmt::format("{} · context of {} tokens · --kv {} · /help lists the commands",
                       name.empty() ? flags_.generate.model : name, format_count(n_ctx_),
                       flags_.generate.policy_text()));
  }
  void answer(const std::string& message);
  // False to leave.
  bool obey(const ChatCommand& command);

 private:
  AnswerReport stream_answer(const std::string& message);
  Ledger ledger_of(const AnswerReport& report);
  void show_ledger() const;
  void print_history() const;

  const ChatFlags& flags_;
  std::shared_ptr<const KvPolicy> policy_;
  AnswerOptions options_;
  Backend backend_;
  std::shared_ptr<const TextModel> model_;
  int32_t n_ctx_;
  Conversation conversation_;
  std::optional<Ledger> ledger_;  // of the last answer
  std::optional<double> entry_cost_s_;
  bool has_told_reread_ = false;
  bool has_told_full_ = false;
};

AnswerReport ChatSession::stream_answer(const std::string& message) {
  const int32_t n_layer = model_->decoder->hparams().n_layer;
  std::optional<Progress> progress;
  const auto on_prefill = [&](int64_t n_done, int64_t n_total) {
    throw_if_interrupted();
    const int64_t n_tokens = n_total / n_layer;
    if (n_tokens <= KvStore::kMaxPass) return;  // read in one pass, so there is nothing to wait for
    if (!progress) progress.emplace("reading the message", "tokens", n_tokens);
    progress->update(n_done / n_layer);
    if (n_done == n_total) progress->finish();
  };
  AnswerOutput output(*model_);
  SpanRecorder spans;
  AnswerReport report =
      conversation_.turn(message, n_ctx_, options_, output.events(options_, spans), on_prefill);
  output.end();
  return report;
}

void ChatSession::answer(const std::string& message) {
  check_utf8(message, "your message");
  ledger_.reset();
  AnswerReport report;
  try {
    report = stream_answer(message);
  } catch (const Interrupted&) {
    clear_interrupt();
    remark("(stopped while reading; the message is forgotten)");
    return;
  }
  clear_interrupt();
  if (report.reason == FinishReason::kCancelled) remark("(stopped)");
  if (report.reason == FinishReason::kMaxTokens) {
    const bool is_full = conversation_.sequence().n_past() >= n_ctx_;
    remark(fmt::format("(cut after {} tokens by {})", report.tokens.size(),
                       is_full ? "the end of the context" : "--max-tokens"));
  }
  if (conversation_.was_reread() && !has_told_reread_) {
    remark("(the chat template rewrites earlier turns, so all of them were read again)");
    has_told_reread_ = true;
  }
  const PrefillReport& prefill = conversation_.sequence().last_prefill();
  const bool judged_earlier = prefill.n_entries_before > prefill.n_entries_apart;
  if (prefill.is_cascade && judged_earlier && !has_told_full_) {
    remark(
        "(the KV budget is full: from now on each message decides what stays of earlier ones; "
        "/clear begins anew)");
    has_told_full_ = true;
  }
  if (prefill.is_cascade) {
    explain_prefill(prefill, policy_->plan(), flags_.generate.policy_text());
  }
  ledger_ = ledger_of(report);
  show_ledger();
}

Ledger ChatSession::ledger_of(const AnswerReport& report) {
  Sequence& sequence = conversation_.sequence();
  const std::string& policy = flags_.generate.policy_text();
  Ledger ledger = text_ledger(sequence, report, policy, entry_cost_s_.value_or(0));
  if (ledger.units.front().dropped == 0 || entry_cost_s_) return ledger;
  entry_cost_s_ = measure_entry_cost(*model_->decoder, backend_, sequence.kv().shape(0).kv);
  return text_ledger(sequence, report, policy, *entry_cost_s_);
}

void ChatSession::show_ledger() const {
  if (flags_.ledger == "line") remark(ledger_line(*ledger_));
  if (flags_.ledger == "table") print_ledger(*ledger_, {LedgerChoice::Kind::kTable, ""});
  if (flags_.ledger == "json") print_ledger(*ledger_, {LedgerChoice::Kind::kJson, ""});
}

void ChatSession::print_history() const {
  for (const ChatMessage& message : conversation_.messages()) {
    fmt::print("{}: {}\n", message.role, message.content);
  }
  if (conversation_.messages().empty()) remark("(nothing was said yet)");
}

bool ChatSession::obey(const ChatCommand& command) {
  using Kind = ChatCommand::Kind;
  switch (command.kind) {
    case Kind::kQuit:
      return false;
    case Kind::kHelp:
      fmt::print("{}", chat_help());
      break;
    case Kind::kClear:
      conversation_.clear();
      ledger_.reset();
      remark("(the conversation begins anew)");
      break;
    case Kind::kSave:
      conversation_.save(command.file);
      remark(fmt::format("(saved: {})", command.file));
      break;
    case Kind::kLoad:
      conversation_.load(command.file);
      ledger_.reset();
      remark(fmt::format("({} messages, {} tokens of {}; /history shows them)",
                         conversation_.messages().size(),
                         format_count(conversation_.sequence().n_past()), format_count(n_ctx_)));
      break;
    case Kind::kLedger:
      if (!ledger_) throw Error("no answer yet, so there is no ledger of it");
      fmt::print("{}", ledger_table(*ledger_));
      break;
    case Kind::kHistory:
      print_history();
      break;
  }
  std::fflush(stdout);
  return true;
}

int chat(const ChatFlags& flags) {
  ChatSession session(flags);
  LineInput input("> ", history_path());
  if (input.is_terminal()) session.greet();
  bool has_failed = false;
  bool was_interrupted_before = false;
  for (std::string line;;) {
    const LineEvent event = input.read(line);
    if (event == LineEvent::kEnd) break;
    if (event == LineEvent::kInterrupted) {
      if (was_interrupted_before || !input.is_terminal()) return kExitInterrupted;
      was_interrupted_before = true;
      remark("(Ctrl-C again, or Ctrl-D, leaves)");
      continue;
    }
    was_interrupted_before = false;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      if (const auto command = parse_chat_command(line)) {
        if (!session.obey(*command)) break;
      } else {
        session.answer(line);
      }
    } catch (const std::exception& error) {
      if (std::ferror(stdout) != 0) throw;  // nobody reads what would follow
      fmt::print(stderr, "reprise: {}\n", error.what());
      has_failed = true;
    }
  }
  // A script learns that a part of it failed; a user has seen it.
  return has_failed && !input.is_terminal() ? kExitFailed : 0;
}

}  // namespace

void add_chat(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* verb = app.add_subcommand("chat", "hold a conversation; /help inside lists commands");
  add_generate_flags(*verb, flags->generate, 512);
  verb->add_option("--stop", flags->generate.answer.stop, "text that ends an answer; repeatable")
      ->allow_extra_args(false);
  verb->add_option("--ledger", flags->ledger, "what to say after each answer about its cost")
      ->check(CLI::IsMember({"off", "line", "table", "json"}))
      ->capture_default_str();
  verb->footer(
      "Examples:\n"
      "  reprise chat smollm2\n"
      "  reprise chat smollm2 --kv cake:budget=512 --system \"Answer in one sentence.\"");
  verb->callback([flags, &exit_code] { exit_code = chat(*flags); });
}

}  // namespace reprise
