#include "cli/eval_dllm.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/eval_flags.h"
#include "cli/explain.h"
#include "cli/infill_flags.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/usage_error.h"
#include "core/binomial.h"
#include "core/error.h"
#include "core/machine.h"
#include "core/model_folders.h"
#include "core/quantities.h"
#include "core/text_table.h"
#include "engines/infill/dllm_eval.h"
#include "policies/registry.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

struct DllmFlags {
  std::string model;
  ComputeFlags compute;
  std::string json_path;
  std::string prompts_path;
  std::vector<std::string> spans;
  std::vector<std::string> commits;
  std::vector<std::string> refreshes;
  std::string grid;
  int32_t n_per_task = 50;
  std::string eos = "stop";
  DllmEvalOptions options;
};

constexpr std::string_view kSpanGrid = "spans";
// In that grid, until AdaBlock's mean span is known.
constexpr std::string_view kMeanSpan = "fixed:len=mean";

// One token a pass without cache first, then every combination.
std::vector<DllmMethod> chosen_methods(const DllmFlags& flags) {
  std::vector<DllmMethod> methods;
  if (flags.grid == "published") return {kTop1Method};
  if (flags.grid == kSpanGrid) {
    methods.push_back(kTop1Method);
    for (const char* refresh : {"none", "dual"}) {
      for (const std::string_view span :
           {std::string_view("adablock"), kMeanSpan, std::string_view("shuffled"),
            std::string_view("adablock:window=budget"), std::string_view("shuffled:window=budget"),
            std::string_view("fixed:len=4"), std::string_view("fixed:len=16"),
            std::string_view("fixed:len=32"), std::string_view("whole")}) {
        methods.push_back({std::string(span), "threshold:tau=0.9", refresh});
      }
    }
    return methods;
  }
  if (flags.spans.empty() && flags.commits.empty() && flags.refreshes.empty()) {
    return {kTop1Method,
            {"fixed:len=32", "threshold:tau=0.9", "dual"},
            {"adablock", "threshold:tau=0.9", "dual"}};
  }
  const auto or_default = [](const std::vector<std::string>& given, const char* fallback) {
    return given.empty() ? std::vector<std::string>{fallback} : given;
  };
  for (const std::string& refresh : or_default(flags.refreshes, "none"))
    for (const std::string& commit : or_default(flags.commits, "threshold:tau=0.9"))
      for (const std::string& span : or_default(flags.spans, "fixed:len=32"))
        methods.push_back({span, commit, refresh});
  return methods;
}

std::string prompts_path(const DllmFlags& flags) {
  namespace fs = std::filesystem;
  if (!flags.prompts_path.empty()) return flags.prompts_path;
  const char* name = flags.grid == "published" ? "published.jsonl" : "heldout.jsonl";
  const fs::path beside = fs::path(find_model(flags.model)).replace_filename(name);
  std::error_code ignored;
  if (fs::is_regular_file(beside, ignored)) return beside.string();
  throw Error(
      fmt::format("no prompts: {} is not there; give a file with --prompts FILE", beside.string()));
}

// Prompts whose answer only one of two methods gets right.
struct Paired {
  int64_t n_only_first = 0;
  int64_t n_only_this = 0;
};

Paired paired(const DllmResult& first, const DllmResult& other) {
  Paired out;
  for (size_t i = 0; i < other.outcomes.size(); ++i) {
    const bool a = first.outcomes[i].verdict.is_right;
    const bool b = other.outcomes[i].verdict.is_right;
    out.n_only_first += a && !b ? 1 : 0;
    out.n_only_this += b && !a ? 1 : 0;
  }
  return out;
}

template <class Get>
int64_t total(const DllmResult& result, Get get) {
  int64_t n = 0;
  for (const DllmOutcome& outcome : result.outcomes) n += get(outcome);
  return n;
}

double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

ordered_json to_json(const DllmResult& result, const DllmResult& first,
                     const std::vector<DllmPrompt>& prompts) {
  const auto n = static_cast<int64_t>(prompts.size());
  const Interval interval = wilson_interval(result.n_right(), n);
  const Paired pair = paired(first, result);
  ordered_json row = {{"span", result.method.span},
                      {"commit", result.method.commit},
                      {"refresh", result.method.refresh},
                      {"n", n},
                      {"n_right", result.n_right()},
                      {"interval", {interval.low, interval.high}},
                      {"n_right_first_alone", pair.n_only_first},
                      {"n_right_alone", pair.n_only_this},
                      {"p_vs_first", mcnemar_p(pair.n_only_first, pair.n_only_this)}};
  ordered_json tasks = ordered_json::object();
  std::string right;
  for (size_t i = 0; i < prompts.size(); ++i) {
    ordered_json& task = tasks[prompts[i].task];
    if (task.is_null()) task = {{"n", 0}, {"n_right", 0}};
    const bool is_right = result.outcomes[i].verdict.is_right;
    task["n"] = task["n"].get<int>() + 1;
    task["n_right"] = task["n_right"].get<int>() + (is_right ? 1 : 0);
    right += is_right ? '1' : '0';
  }
  row["tasks"] = tasks;
  using O = DllmOutcome;
  const int64_t n_lines = total(result, [](const O& o) { return o.verdict.n_lines; });
  const int64_t n_right_lines = total(result, [](const O& o) { return o.verdict.n_right_lines; });
  const int64_t n_steps = total(result, [](const O& o) { return o.n_steps; });
  row["right_lines_share"] = ratio(n_right_lines, n_lines);
  row["token_forwards"] = total(result, [](const O& o) { return o.n_rows; });
  row["n_full_passes"] = total(result, [](const O& o) { return o.n_full; });
  row["n_partial_passes"] = n_steps - row["n_full_passes"].get<int64_t>();
  row["n_tokens"] = total(result, [](const O& o) { return o.n_tokens; });
  row["n_spans"] = total(result, [](const O& o) { return o.n_spans; });
  row["mean_span"] = result.mean_span();
  row["forced_share"] = ratio(total(result, [](const O& o) { return o.n_forced; }), n_steps);
  const int64_t n_late_known = total(result, [](const O& o) { return o.n_late_known; });
  if (n_late_known > 0)
    row["late_share"] = ratio(total(result, [](const O& o) { return o.n_late; }), n_late_known);
  row["n_forced_wrong"] = total(result, [](const O& o) { return o.n_forced_wrong; });
  row["sure_right_share"] = ratio(total(result, [](const O& o) { return o.n_sure_right; }),
                                  total(result, [](const O& o) { return o.n_sure; }));
  row["seconds"] = result.total_s;
  row["pass_seconds"] = result.pass_s;
  row["plan_seconds"] = result.plan_s;
  row["right"] = right;
  row["rows_by_prompt"] = ordered_json::array();
  for (const O& outcome : result.outcomes) row["rows_by_prompt"].push_back(outcome.n_rows);
  return row;
}

void print_table(const ordered_json& rows, const std::string& path) {
  using Align = TextTable::Align;
  std::vector<TextTable::Column> columns = {{"span"},
                                            {"commit"},
                                            {"refresh"},
                                            {"right", Align::kRight},
                                            {"95 % interval", Align::kRight},
                                            {"p", Align::kRight}};
  for (const auto& [task, count] : rows[0]["tasks"].items())
    columns.push_back({task, Align::kRight});
  for (const char* title :
       {"rows/answer", "full", "partial", "tokens/pass", "mean span", "forced", "late", "time"})
    columns.push_back({title, Align::kRight});
  TextTable table(columns);
  for (const ordered_json& row : rows) {
    const auto n = row["n"].get<double>();
    const double n_passes =
        row["n_full_passes"].get<double>() + row["n_partial_passes"].get<double>();
    std::vector<std::string> cells = {
        row["span"],
        row["commit"],
        row["refresh"],
        format_share(row["n_right"].get<double>() / n),
        fmt::format("{:.1f}..{:.1f}", 100 * row["interval"][0].get<double>(),
                    100 * row["interval"][1].get<double>()),
        &row == &rows[0] ? "-" : fmt::format("{:.3g}", row["p_vs_first"].get<double>())};
    for (const auto& [task, count] : row["tasks"].items())
      cells.push_back(fmt::format("{}/{}", count["n_right"].get<int>(), count["n"].get<int>()));
    cells.push_back(format_count(std::llround(row["token_forwards"].get<double>() / n)));
    cells.push_back(fmt::format("{:.1f}", row["n_full_passes"].get<double>() / n));
    cells.push_back(fmt::format("{:.1f}", row["n_partial_passes"].get<double>() / n));
    cells.push_back(fmt::format("{:.2f}", row["n_tokens"].get<double>() / n_passes));
    cells.push_back(fmt::format("{:.1f}", row["mean_span"].get<double>()));
    cells.push_back(format_share(row["forced_share"]));
    cells.push_back(row.contains("late_share") ? format_share(row["late_share"]) : "-");
    cells.push_back(format_seconds(row["seconds"]));
    table.add(cells);
  }
  fmt::print("{}: {} prompts\n{}", path, rows[0]["n"].get<int>(), table.text());
}

// AdaBlock's mean span with the same commit and refresh, once it has run.
DllmMethod resolved(DllmMethod method, const std::vector<DllmResult>& results) {
  if (method.span != kMeanSpan) return method;
  for (const DllmResult& result : results) {
    if (result.method.span == "adablock" && result.method.commit == method.commit &&
        result.method.refresh == method.refresh)
      method.span = fmt::format("fixed:len={}", std::lround(result.mean_span()));
  }
  return method;
}

void eval_dllm(const DllmFlags& flags) {
  check_json_path(flags.json_path);
  const std::vector<DllmMethod> methods = chosen_methods(flags);
  for (const DllmMethod& method : methods) {
    DllmMethod checked = method;
    if (flags.grid == kSpanGrid && checked.span == kMeanSpan) checked.span = "fixed";
    checked_flag([&] { dllm_infill_options(checked, flags.options); });
  }
  const DllmEvalOptions& options = flags.options;
  Backend backend = flags.compute.backend();
  ProductLog products;
  backend.set_products(&products);
  const std::shared_ptr<const TextModel> model =
      flags.compute.load(flags.model, backend, TextKind::kMasked);
  explain_weights(*model, flags.compute);
  std::set<std::string> spans;
  for (const DllmMethod& method : methods) {
    if (method.span != kMeanSpan && spans.insert(method.span).second)
      warn_of_end_delimiter(*make_span_policy(method.span), *model);
  }
  const std::string path = prompts_path(flags);
  const std::vector<DllmPrompt> prompts =
      first_of_each_task(read_dllm_prompts(path), flags.n_per_task);
  std::vector<DllmResult> results;
  ordered_json rows = ordered_json::array();
  for (const DllmMethod& method : methods) {
    const DllmMethod chosen = resolved(method, results);
    Progress progress(chosen.name(), "answers", static_cast<int64_t>(prompts.size()));
    int64_t n_done = 0;
    InfillEvents events;
    events.is_cancelled = [] {
      throw_if_interrupted();
      return false;
    };
    events.on_step = [&](size_t /*i*/, const InfillSequence& text, bool /*has_span_ended*/) {
      if (text.is_done()) progress.update(++n_done);
    };
    results.push_back(evaluate_dllm(*model, backend, chosen, prompts, options, events));
    progress.finish();
    rows.push_back(to_json(results.back(), results.front(), prompts));
  }
  explain_products(products, flags.compute);
  print_table(rows, path);
  if (flags.json_path.empty()) return;
  const Machine machine = this_machine();
  write_eval_json({{"eval", "dllm"},
                   {"model", flags.model},
                   {"prompts", std::filesystem::path(path).filename().string()},
                   {"cpu", machine.cpu},
                   {"n_threads", backend.n_threads()},
                   {"commit", machine.commit},
                   {"date", machine.date},
                   {"temperature", options.temperature},
                   {"seed", options.seed},
                   {"budget", options.budget},
                   {"pad_canvas", options.n_canvas},
                   {"eos", flags.eos},
                   {"batch", options.n_batch},
                   {"rows", rows}},
                  flags.json_path);
}

}  // namespace

void add_eval_dllm(CLI::App& eval, int& exit_code) {
  auto flags = std::make_shared<DllmFlags>();
  CLI::App* verb = eval.add_subcommand(
      "dllm", "exact answers of a diffusion language model, and what they cost, by policy");
  verb->add_option("model", flags->model, "name of a model ('reprise list') or path")->required();
  const auto policies = [&](const char* name, std::vector<std::string>& into, const char* help) {
    return verb->add_option(name, into, help)->allow_extra_args(false)->type_name("POLICY");
  };
  CLI::Option* span = policies("--span", flags->spans,
                               "which positions are filled together; "
                               "repeatable, as are the next two: all combinations are measured");
  CLI::Option* commit = policies("--commit", flags->commits, "which proposals become text");
  CLI::Option* refresh = policies("--refresh", flags->refreshes, "which rows are computed anew");
  verb->add_option("--grid", flags->grid,
                   "spans: AdaBlock with both windows, each shuffled, and fixed spans, without "
                   "cache and with dual; "
                   "published: the setting that the demo model's figures were published for")
      ->check(CLI::IsMember({"spans", "published"}))
      ->excludes(span)
      ->excludes(commit)
      ->excludes(refresh);
  verb->add_option("--prompts", flags->prompts_path,
                   "JSON Lines of task, prompt and answer; default: heldout.jsonl beside the model")
      ->type_name("FILE");
  verb->add_option("--n", flags->n_per_task, "prompts of each task")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  verb->add_option("--max-tokens", flags->options.budget, "positions of an answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  verb->add_option("--pad-canvas", flags->options.n_canvas,
                   "pad every text to N rows with end tokens, 0 for no padding; default: what the "
                   "model's file says")
      ->check(CLI::Range(0, 1 << 20));
  add_eos_flag(*verb, flags->eos);
  verb->add_option("--batch", flags->options.n_batch, "texts that share a pass")
      ->check(CLI::Range(1, Infiller::kMaxBatch))
      ->capture_default_str();
  verb->add_option("--temp", flags->options.temperature, "temperature of the proposals")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  verb->add_option("--seed", flags->options.seed, "of everything drawn")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_compute_flags(*verb, flags->compute);
  verb->add_option("--json", flags->json_path, "also write all numbers to FILE")->type_name("FILE");
  verb->footer(
      "p: of equally good, against the first row (exact McNemar). Rows: token-forwards, padding\n"
      "included. Forced: passes whose surest proposal was below 0.9. Late: passes that saw such a\n"
      "proposal behind their span. docs/diffusion-llm.md explains how to read it.\n\n"
      "Examples:\n"
      "  reprise eval dllm dllm-demo --n 10\n"
      "  reprise eval dllm dllm-demo --span adablock --span shuffled --refresh dual --n 10");
  verb->callback([flags, &exit_code] {
    const EndChoice end = end_choice(flags->eos);
    flags->options.stops_at_end = end.stops_at_end;
    flags->options.end_tokens = end.end_tokens;
    eval_dllm(*flags);
    exit_code = 0;
  });
}

}  // namespace reprise
