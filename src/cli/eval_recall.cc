#include "cli/eval_recall.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "cli/eval_flags.h"
#include "cli/explain.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/recall_layers.h"
#include "cli/usage_error.h"
#include "core/error.h"
#include "core/model_folders.h"
#include "core/quantities.h"
#include "core/split_mix.h"
#include "core/text_table.h"
#include "engines/generate/equal_bytes.h"
#include "engines/generate/recall_eval.h"
#include "engines/text_model.h"
#include "policies/kv/cake.h"
#include "policies/registry.h"

namespace reprise {
namespace {

constexpr const char* kSharedQuestions = "recall/facts.jsonl";
constexpr size_t kEqualBytesSample = 3;  // questions whose prompts the budgets are scaled on

struct RecallFlags {
  EvalFlags eval;
  std::string questions_path;
  std::string chat_template;
  std::string protocol = "all";
  std::string grid;
  std::string budget;
  int32_t n_window = 0;          // 0: each policy's own
  int32_t n_questions = 0;       // 0: all
  std::optional<uint64_t> seed;  // of the draw; none: the first ones
  bool wants_equal_bytes = false;
  bool wants_layers = false;
};

// {uniform, CAKE} split x {mean, CAKE} indicator, which isolates each idea of CAKE, and what it is
// compared with: all other policies that hold a budget. The first one is SnapKV by another name.
std::vector<std::string> grid_2x2(const std::string& budget, int32_t n_window) {
  const std::string of_budget = fmt::format("budget={}", budget);
  const std::string common =
      n_window > 0 ? fmt::format("{},window={}", of_budget, n_window) : of_budget;
  std::vector<std::string> texts;
  for (const char* split : {"uniform", "waterfill"}) {
    for (const int gamma : {0, 200}) {
      texts.push_back(fmt::format("cake:{},split={},gamma={}", common, split, gamma));
    }
  }
  for (const PolicyEntry* entry : kv_policies_with_budget()) {
    if (entry == &kCakeKv) continue;
    texts.push_back(
        fmt::format("{}:{}", entry->bare_name(), entry->has_option("window") ? common : of_budget));
  }
  texts.emplace_back("full");
  return texts;
}

std::vector<NamedPolicy> chosen_policies(const RecallFlags& flags) {
  std::vector<std::string> texts = flags.eval.kv;
  if (!flags.grid.empty()) {
    const std::vector<std::string> grid = grid_2x2(flags.budget, flags.n_window);
    texts.insert(texts.end(), grid.begin(), grid.end());
  } else if (texts.empty()) {
    texts = flags.eval.default_kv;
  }
  if (flags.wants_equal_bytes) {
    for (const char* quantised : {"full:type=q8_0", "full:type=q4_0"}) {
      if (std::ranges::find(texts, quantised) == texts.end()) texts.emplace_back(quantised);
    }
  }
  return checked_flag([&] { return named_policies(texts); });
}

std::vector<RecallProtocol> chosen_protocols(const std::string& name) {
  std::vector<RecallProtocol> protocols;
  for (const RecallProtocol protocol :
       {RecallProtocol::kLast, RecallProtocol::kAfter, RecallProtocol::kTurn2}) {
    if (name == "all" || name == recall_protocol_name(protocol)) protocols.push_back(protocol);
  }
  return protocols;
}

std::string questions_path(const RecallFlags& flags) {
  namespace fs = std::filesystem;
  if (!flags.questions_path.empty()) return flags.questions_path;
  const fs::path beside =
      fs::path(find_model(flags.eval.model)).replace_filename("questions.jsonl");
  std::error_code ignored;
  if (fs::is_regular_file(beside, ignored)) return beside.string();
  for (const ModelFolder& folder : model_folders()) {
    const fs::path shared = fs::path(folder.path) / kSharedQuestions;
    if (fs::is_regular_file(shared, ignored)) return shared.string();
  }
  throw Error(
      fmt::format("no questions: neither {} nor {} in a folder of models; give a file with "
                  "--questions FILE",
                  beside.string(), kSharedQuestions));
}

// The questions to ask, as tokens.
struct Questions {
  std::string path;
  std::vector<RecallCase> cases;
  int64_t n_too_long = 0;
};

void draw(std::vector<RecallQuestion>& questions, uint64_t seed) {
  SplitMix64 rng(seed);
  for (size_t i = questions.size(); i > 1; --i) {
    std::swap(questions[i - 1], questions[rng.next() % i]);
  }
}

Questions choose_questions(const RecallFlags& flags, const TextModel& model,
                           std::span<const RecallProtocol> protocols) {
  Questions chosen;
  chosen.path = questions_path(flags);
  std::vector<RecallQuestion> all = read_recall_questions(chosen.path);
  if (flags.seed) draw(all, *flags.seed);
  if (flags.n_questions > 0) all.resize(std::min<size_t>(all.size(), flags.n_questions));
  std::optional<ChatTemplate> chat_template;
  if (std::ranges::count(all, RecallQuestion::Kind::kFacts, &RecallQuestion::kind) > 0) {
    chat_template = chat_template_of(model, flags.chat_template);
  }
  const int32_t n_ctx = model.decoder->hparams().n_ctx_train;
  int32_t n_longest = 0;
  for (RecallQuestion& question : all) {
    RecallCase asked = make_recall_case(model, chat_template, protocols, std::move(question));
    n_longest = std::max(n_longest, asked.n_longest());
    if (asked.n_longest() > n_ctx) {
      ++chosen.n_too_long;
    } else {
      chosen.cases.push_back(std::move(asked));
    }
  }
  if (chosen.cases.empty()) {
    throw Error(
        fmt::format("{}: all {} questions are longer than the model's context of {} tokens "
                    "(the longest has {}); shorten the documents",
                    chosen.path, chosen.n_too_long, n_ctx, n_longest));
  }
  if (chosen.n_too_long > 0) {
    spdlog::info("{} of {} questions are longer than the context of {} tokens and are left out",
                 chosen.n_too_long, all.size(), n_ctx);
  }
  return chosen;
}

std::vector<NamedPolicy> equalized(const RecallFlags& flags, const TextModel& model,
                                   const Backend& backend, std::vector<NamedPolicy> policies,
                                   const Questions& questions) {
  if (!flags.wants_equal_bytes) return policies;
  const auto sample =
      std::span(questions.cases).first(std::min(kEqualBytesSample, questions.cases.size()));
  int64_t n_tokens = 0;
  for (const RecallCase& asked : sample) n_tokens += static_cast<int64_t>(asked.one_turn.size());
  const auto n_evicting = std::ranges::count_if(
      policies, [](const NamedPolicy& policy) { return !policy.is_unlimited(); });
  Progress progress("measuring bytes", "tokens", n_tokens * n_evicting);
  int64_t n_done = 0;
  policies = at_equal_bytes(model, backend, std::move(policies), sample, [&](int64_t n_new) {
    throw_if_interrupted();
    progress.update(n_done += n_new);
  });
  progress.finish();
  return policies;
}

bool is_first_of_protocol(std::span<const RecallRow> rows, size_t i) {
  return i == 0 || rows[i].protocol != rows[i - 1].protocol;
}

void print_table(std::span<const RecallRow> rows, const std::string& path) {
  fmt::print("recall: {} questions of {}\n", format_count(rows.front().all.n), path);
  using Align = TextTable::Align;
  TextTable table({{"protocol", Align::kLeft},
                   {"policy", Align::kLeft},
                   {"right", Align::kRight},
                   {"95 % interval", Align::kRight},
                   {"p", Align::kRight},
                   {"KL, nats", Align::kRight},
                   {"same best", Align::kRight},
                   {"held", Align::kRight},
                   {"time", Align::kRight}});
  for (size_t i = 0; i < rows.size(); ++i) {
    const RecallRow& row = rows[i];
    const Interval interval = wilson_interval(row.all.n_right, row.all.n);
    table.add({recall_protocol_name(row.protocol), row.policy, format_share(row.all.share()),
               fmt::format("{:.1f}..{:.1f}", 100 * interval.low, 100 * interval.high),
               is_first_of_protocol(rows, i) ? "-" : fmt::format("{:.3g}", row.p_vs_first()),
               format_nats(row.agreement.kl.value()), format_share(row.agreement.same_best()),
               format_bytes(static_cast<int64_t>(row.held_bytes.value())),
               format_seconds(row.seconds)});
  }
  fmt::print("{}", table.text());
}

nlohmann::ordered_json to_json(const RecallCount& count) {
  return {{"n", count.n}, {"n_right", count.n_right}, {"accuracy", count.share()}};
}

nlohmann::ordered_json to_json(const RecallRow& row) {
  const Interval interval = wilson_interval(row.all.n_right, row.all.n);
  nlohmann::ordered_json cells = {{"protocol", recall_protocol_name(row.protocol)},
                                  {"policy", row.policy}};
  cells.update(to_json(row.all));
  cells["interval"] = {interval.low, interval.high};
  cells["n_right_first_alone"] = row.n_lost;
  cells["n_right_alone"] = row.n_gained;
  cells["p_vs_first"] = row.p_vs_first();
  cells["by_depth"] = nlohmann::ordered_json::array();
  for (const RecallCount& count : row.by_depth) cells["by_depth"].push_back(to_json(count));
  cells["kl"] = row.agreement.kl.value();
  cells["kl_error"] = row.agreement.kl.error();
  cells["same_best"] = row.agreement.same_best();
  cells["n_answer_tokens"] = row.agreement.kl.n();
  cells["attention_error"] = nlohmann::ordered_json::array();  // by layer
  for (const Mean& mean : row.attention_error.layers()) {
    cells["attention_error"].push_back(mean.value());
  }
  cells["held_bytes"] = row.held_bytes.value();
  cells["n_dropping"] = row.n_dropping;
  cells["seconds"] = row.seconds;
  return cells;
}

void write_json(std::span<const RecallRow> rows, const RecallFlags& flags,
                const Questions& questions) {
  nlohmann::ordered_json out = {{"eval", "recall"},
                                {"model", flags.eval.model},
                                {"questions", questions.path},
                                {"n_questions", rows.front().all.n},
                                {"n_too_long", questions.n_too_long},
                                {"rows", nlohmann::ordered_json::array()}};
  for (const RecallRow& row : rows) out["rows"].push_back(to_json(row));
  write_eval_json(out, flags.eval.json_path);
}

// A budget that never binds measures nothing.
void note_idle_policies(std::span<const RecallRow> rows, std::span<const NamedPolicy> policies) {
  for (size_t i = 0; i < policies.size(); ++i) {
    if (policies[i].is_unlimited()) continue;
    std::vector<std::string> idle;
    for (size_t at = i; at < rows.size(); at += policies.size()) {
      if (rows[at].n_dropping == 0) idle.emplace_back(recall_protocol_name(rows[at].protocol));
    }
    if (idle.empty()) continue;
    spdlog::info("--kv {}: the budget held every prompt whole, nothing was dropped (protocol {})",
                 policies[i].text, fmt::join(idle, ", "));
  }
}

void eval_recall(const RecallFlags& flags) {
  check_json_path(flags.eval.json_path);
  std::vector<NamedPolicy> policies = chosen_policies(flags);
  Backend backend = flags.eval.compute.backend();
  ProductLog products;
  backend.set_products(&products);
  const std::shared_ptr<const TextModel> model = flags.eval.compute.load(flags.eval.model, backend);
  explain_weights(*model, flags.eval.compute);
  const std::vector<RecallProtocol> protocols = chosen_protocols(flags.protocol);
  const Questions questions = choose_questions(flags, *model, protocols);
  policies = equalized(flags, *model, backend, std::move(policies), questions);
  RecallEval eval(model, backend, policies, protocols);
  int64_t n_tokens = 0;
  for (const RecallCase& asked : questions.cases) n_tokens += eval.n_read(asked);
  Progress progress("asking", "tokens", n_tokens);
  int64_t n_done = 0;
  try {
    for (const RecallCase& asked : questions.cases) {
      eval.ask(asked, [&](int64_t n_new) {
        throw_if_interrupted();
        progress.update(n_done += n_new);
      });
    }
  } catch (const Interrupted&) {  // what is whole so far
    if (eval.rows().front().all.n > 0) print_table(eval.rows(), questions.path);
    throw;
  }
  progress.finish();
  explain_products(products, flags.eval.compute);
  print_table(eval.rows(), questions.path);
  if (flags.wants_layers) print_recall_layers(eval.rows());
  if (!flags.eval.json_path.empty()) write_json(eval.rows(), flags, questions);
  note_idle_policies(eval.rows(), policies);
}

}  // namespace

void add_eval_recall(CLI::App& eval, int& exit_code) {
  auto flags = std::make_shared<RecallFlags>();
  CLI::App* verb = eval.add_subcommand(
      "recall",
      "answers to questions about documents, when the question comes last and is judged "
      "with the document, after its compression, or in a second turn");
  flags->eval.default_kv = {"full", "cake:budget=25%"};
  add_eval_flags(*verb, flags->eval);
  verb->add_option(
          "--questions", flags->questions_path,
          "JSON Lines of document, question, answer, depth and kind (pairs or facts); "
          "default: questions.jsonl beside the model, else the facts that come with Reprise")
      ->type_name("FILE");
  verb->add_option("--protocol", flags->protocol, "when the question comes")
      ->check(CLI::IsMember({"last", "after", "turn2", "all"}))
      ->capture_default_str();
  verb->add_option("--n", flags->n_questions, "ask at most N questions; default: all")
      ->check(CLI::Range(1, 1 << 24));
  verb->add_option("--seed", flags->seed,
                   "draw the N questions by lot, the same ones for the same seed; default: the "
                   "first N")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--chat-template", flags->chat_template,
                   "template NAME or FILE instead of the model's own");
  CLI::Option* grid =
      verb->add_option("--grid", flags->grid,
                       "2x2: uniform and CAKE split by mean and CAKE indicator, all other policies "
                       "and the full cache, at --budget")
          ->check(CLI::IsMember({"2x2"}));
  CLI::Option* budget =
      verb->add_option("--budget", flags->budget, "of every policy of the grid")->needs(grid);
  grid->needs(budget);
  verb->add_option("--window", flags->n_window, "of every policy of the grid")
      ->check(CLI::Range(4, 256))
      ->needs(grid);
  verb->add_flag("--equal-bytes", flags->wants_equal_bytes,
                 "scale the budgets until all hold as many bytes as the first evicting policy, and "
                 "show the quantised full caches beside");
  verb->add_flag("--layers", flags->wants_layers,
                 "show in every layer how far the attention's output is from the full cache's: "
                 "relative L2 error, over the right answer's tokens; always in --json");
  verb->footer(
      "p: of equally good, against the first policy (exact McNemar). KL and same best: against "
      "the\n"
      "full cache, over the right answer's tokens. docs/evaluation.md explains how to read it.\n\n"
      "Examples:\n"
      "  reprise eval recall smollm2 --kv full --kv cake:budget=256 --n 20 --layers\n"
      "  reprise eval recall recall --grid 2x2 --budget 32 --window 8 --equal-bytes --n 100");
  verb->callback([flags, &exit_code] {
    eval_recall(*flags);
    exit_code = 0;
  });
}

}  // namespace reprise
