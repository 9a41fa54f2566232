#include "engines/infill/dllm_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <utility>

#include "core/arithmetic_peak.h"
#include "core/binomial.h"
#include "core/error.h"
#include "core/quantities.h"
#include "core/stopwatch.h"
#include "engines/generate/libllama_peer.h"
#include "engines/infill/equal_rows_gain.h"

namespace reprise {
namespace {

using Kind = BenchTarget::Kind;

// Right of 128 with one token a pass, where the model was trained.
const std::map<std::string, int32_t> kPublishedRight = {
    {"story", 111}, {"record", 128}, {"control", 100}, {"listing", 35}};
constexpr int32_t kPublishedOf = 128;

const DllmMethod kAdaBlock{"adablock", "threshold:tau=0.9", "dual"};
const DllmMethod kShuffled{"shuffled", kAdaBlock.commit, kAdaBlock.refresh};
const std::vector<std::string> kFixedSpans = {"fixed:len=4", "fixed:len=8", "fixed:len=16",
                                              "fixed:len=32", "whole"};

BenchSample once(double value) { return {1, value, value, value}; }

// Operations of a pass: of every row the layers' weights and attention, of every head row the
// output. Source: specs of the project, dllm section 6; two to a multiply-add.
struct PassCost {
  explicit PassCost(const DecoderHparams& hp)
      : row_weights(2.0 * hp.n_layer *
                    (int64_t{hp.n_embd} * hp.n_embd_head * (2 * hp.n_head + 2 * hp.n_head_kv) +
                     3 * int64_t{hp.n_embd} * hp.n_ff)),
        row_key(4.0 * hp.n_layer * hp.n_embd_head * hp.n_head),
        head(2.0 * hp.n_embd * hp.n_vocab) {}

  double row_weights;  // of one row
  double row_key;      // of one row and one key
  double head;         // of one head row

  double pass(double n_rows, double n_keys, double n_heads) const {
    return n_rows * (row_weights + row_key * n_keys) + n_heads * head;
  }
};

struct Timed {
  DllmMethod method;
  std::vector<double> answer_s = {};  // [rounds], mean of the round's answers
  std::vector<DllmOutcome> outcomes = {};
  double total_s = 0;
  double plan_s = 0;
  int64_t n_plan_rows = 0;
};

// Fills one prompt alone.
void take_turn(const TextModel& model, const Backend& backend, const DllmPrompt& prompt,
               const DllmEvalOptions& options, const InfillEvents& events, Timed& timed) {
  DllmEvalOptions alone = options;
  alone.n_batch = 1;
  const DllmResult result = evaluate_dllm(model, backend, timed.method, {prompt}, alone, events);
  timed.outcomes.push_back(result.outcomes.front());
  timed.total_s += result.total_s;
  timed.plan_s += result.plan_s;
  timed.n_plan_rows += result.n_plan_rows;
  timed.answer_s.back() += result.total_s;
}

// Passes over a whole canvas of ours and of libllama in turn.
struct PeerPasses {
  std::vector<double> ours_s;
  std::vector<double> plain_s;
  std::vector<double> flash_s;
};

PeerPasses time_passes(const TextModel& model, const Backend& backend, const Canvas& canvas,
                       int32_t n_rounds, const std::function<void()>& on_turn) {
  const auto n = canvas.n();
  PeerOptions options{
      .n_ubatch = n, .n_threads = backend.n_threads(), .n_ctx = n, .pool = backend.pool()};
  LibllamaPeer plain(model.file->path(), options);
  options.is_flash = true;
  LibllamaPeer flash(model.file->path(), options);
  CanvasCache cache(model.decoder->hparams(), GGML_TYPE_F16, n, backend.kv_placement());
  InfillPass pass(model.decoder, backend);
  const ProposalRule rule{.forbidden = model.decoder->hparams().mask_token};
  std::vector<int32_t> wanted(n);
  std::iota(wanted.begin(), wanted.end(), 0);
  const std::vector<InfillRows> rows = {{canvas.ids, &cache, {0, n}, wanted, &rule, 0}};
  PeerPasses out;
  const auto time = [&](std::vector<double>& seconds, const auto& run) {
    on_turn();
    const Stopwatch stopwatch;
    run();
    seconds.push_back(stopwatch.seconds());
  };
  const auto peer = [&](LibllamaPeer& side) {
    side.clear();
    side.extend_all(canvas.ids);
  };
  for (int32_t i = 0; i <= 2 * n_rounds; ++i) {
    time(out.ours_s, [&] { pass.compute(rows); });
    time(out.plain_s, [&] { peer(plain); });
    time(out.flash_s, [&] { peer(flash); });
  }
  // The first turns find no pages and no frequency yet.
  for (auto* seconds : {&out.ours_s, &out.plain_s, &out.flash_s}) seconds->erase(seconds->begin());
  return out;
}

std::vector<double> divided(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(a[i] / b[i]);
  return out;
}

std::vector<double> inverse(const std::vector<double>& seconds) {
  std::vector<double> out;
  for (const double s : seconds) out.push_back(1 / s);
  return out;
}

double mean_rows(const std::vector<DllmOutcome>& outcomes) {
  double rows = 0;
  for (const DllmOutcome& outcome : outcomes) rows += static_cast<double>(outcome.n_rows);
  return rows / static_cast<double>(outcomes.size());
}

double mean_steps(const std::vector<DllmOutcome>& outcomes) {
  double steps = 0;
  for (const DllmOutcome& outcome : outcomes) steps += outcome.n_steps;
  return steps / static_cast<double>(outcomes.size());
}

double share_right(const std::vector<DllmOutcome>& outcomes) {
  const auto n = std::ranges::count_if(
      outcomes, [](const DllmOutcome& outcome) { return outcome.verdict.is_right; });
  return static_cast<double>(n) / static_cast<double>(outcomes.size());
}

// Round i has the i-th prompt of every task. Throws Error where a task has fewer.
std::vector<std::vector<DllmPrompt>> rounds_of(const std::vector<DllmPrompt>& prompts,
                                               int32_t n_rounds) {
  std::map<std::string, std::vector<DllmPrompt>> by_task;
  for (const DllmPrompt& prompt : prompts) by_task[prompt.task].push_back(prompt);
  std::vector<std::vector<DllmPrompt>> rounds(n_rounds);
  for (const auto& [task, of_task] : by_task) {
    if (of_task.size() < rounds.size()) {
      throw Error(fmt::format("{} rounds: task '{}' has {} prompts; lower --runs", n_rounds, task,
                              of_task.size()));
    }
    for (size_t i = 0; i < rounds.size(); ++i) rounds[i].push_back(of_task[i]);
  }
  return rounds;
}

class DllmBench {
 public:
  DllmBench(const TextModel& model, const Backend& backend, const DllmBenchOptions& options,
            const std::function<void()>& on_turn, BenchReport& report)
      : model_(model),
        backend_(backend),
        options_(options),
        on_turn_(on_turn),
        report_(report),
        cost_(model.decoder->hparams()) {
    events_.is_cancelled = [this] {
      on_turn_();
      return false;
    };
  }

  // Methods in turn, one text at a time.
  void time_methods(const std::vector<DllmPrompt>& prompts) {
    std::vector<Timed> all = {{kTop1Method},
                              {{"fixed:len=32", kTop1Method.commit, "dual"}},
                              {{"fixed:len=32", kAdaBlock.commit, "none"}},
                              {{"fixed:len=32", kAdaBlock.commit, "prefix"}},
                              {{"fixed:len=32", kAdaBlock.commit, "dual"}},
                              {kShuffled},
                              {kAdaBlock}};
    const std::vector<std::vector<DllmPrompt>> rounds = rounds_of(prompts, options_.n_rounds);
    for (const std::vector<DllmPrompt>& round : rounds) {
      for (Timed& timed : all) timed.answer_s.push_back(0);
      for (const DllmPrompt& prompt : round) {
        for (Timed& timed : all) {
          on_turn_();
          take_turn(model_, backend_, prompt, options_.eval, events_, timed);
        }
      }
      for (Timed& timed : all) timed.answer_s.back() /= static_cast<double>(round.size());
    }
    for (const Timed& timed : all) {
      report_.rows.push_back({timed.method.name(),
                              options_.eval.budget,
                              {{"answers_s", bench_sample(inverse(timed.answer_s))},
                               {"rows", once(mean_rows(timed.outcomes))},
                               {"passes", once(mean_steps(timed.outcomes))},
                               {"right", once(share_right(timed.outcomes))}}});
    }
    const Timed& top1 = all.front();
    const Timed& adablock = all.back();
    add("token_forwards_top1_over_dual_adablock",
        once(mean_rows(top1.outcomes) / mean_rows(adablock.outcomes)), {{Kind::kAtLeast, 8}});
    add("wall_speedup_dual_adablock_vs_no_cache_top1",
        bench_sample(divided(top1.answer_s, adablock.answer_s)), {{Kind::kAtLeast, 5}});
    add("planning_share_of_step", once(adablock.plan_s / adablock.total_s),
        {{Kind::kAtMost, 0.005}});
    // Proposals behind the span, which only its planning looks at.
    const double canvas = dllm_canvas(model_, prompts.front().prompt, options_.eval).n();
    const double n_rows =
        mean_rows(adablock.outcomes) * static_cast<double>(adablock.outcomes.size());
    const auto plan_rows = static_cast<double>(adablock.n_plan_rows);
    add("plan_rows_share_of_step",
        once(plan_rows * cost_.head / cost_.pass(n_rows, canvas, plan_rows)));
  }

  void time_against_peer(const DllmPrompt& prompt) {
    const Canvas canvas = dllm_canvas(model_, prompt.prompt, options_.eval);
    const PeerPasses passes = time_passes(model_, backend_, canvas, options_.n_rounds, on_turn_);
    const auto n = static_cast<double>(canvas.n());
    const double peak = ArithmeticPeak(backend_, Arithmetic::kInt8).measure();
    const double bound = peak / cost_.pass(n, n, n);
    const auto row = [&](const char* name, const BenchSample& passes_s) {
      report_.rows.push_back({name, options_.eval.budget, {{"passes_s", passes_s}}});
    };
    const BenchSample ours = bench_sample(inverse(passes.ours_s));
    row("one pass over the canvas", ours);
    row("libllama, one pass", bench_sample(inverse(passes.plain_s)));
    row("libllama flash, one pass", bench_sample(inverse(passes.flash_s)));
    row("bound: int8 arithmetic", once(bound));
    const BenchSample plain = bench_sample(divided(passes.plain_s, passes.ours_s));
    const BenchSample flash = bench_sample(divided(passes.flash_s, passes.ours_s));
    add("passes_per_s_vs_libllama", plain.median < flash.median ? plain : flash,
        {{Kind::kAtLeast, 1}});
    add("pass_share_of_int8_bound", once(ours.median / bound));
  }

  // Exact answers by span, with the dual cache.
  void judge_spans(const std::vector<DllmPrompt>& prompts) {
    const std::vector<DllmPrompt> taken = first_of_each_task(prompts, options_.n_per_task);
    std::vector<DllmResult> results;
    const auto judge = [&](const DllmMethod& method) {
      on_turn_();
      results.push_back(evaluate_dllm(model_, backend_, method, taken, options_.eval, events_));
      const DllmResult& result = results.back();
      report_.rows.push_back({"spans: " + method.name(),
                              options_.eval.budget,
                              {{"rows", once(result.rows_per_answer())},
                               {"passes", once(mean_steps(result.outcomes))},
                               {"right", once(share_right(result.outcomes))},
                               {"mean_span", once(result.mean_span())}}});
    };
    judge(kTop1Method);
    for (const std::string& span : kFixedSpans) judge({span, kAdaBlock.commit, kAdaBlock.refresh});
    judge(kAdaBlock);
    judge(kShuffled);
    std::vector<const DllmResult*> fixed;
    for (size_t i = 1; i <= kFixedSpans.size(); ++i) fixed.push_back(&results[i]);
    const DllmResult& adablock = results[kFixedSpans.size() + 1];
    const auto gain = [&](const char* key, const std::vector<const DllmResult*>& others,
                          std::optional<BenchTarget> target = {}) {
      const GainAtEqualRows g = gain_at_equal_rows(adablock, others);
      add(key, {static_cast<int32_t>(taken.size()), g.gain, g.low, g.high}, target);
    };
    gain("adablock_minus_best_fixed_at_equal_forwards", fixed);
    gain("adablock_minus_shuffled", {&results.back()});
    // The other half of token_forwards_top1_over_dual_adablock's target.
    gain("exact_match_dual_adablock_minus_top1", {&results.front()}, {{Kind::kAtLeast, -0.02}});
    add("rows_shuffled_over_adablock",
        once(results.back().rows_per_answer() / adablock.rows_per_answer()));
  }

  // One token a pass in the published setting.
  void judge_published(const std::vector<DllmPrompt>& published) {
    if (options_.n_exact == 0) return;
    const std::vector<DllmPrompt> taken = first_of_each_task(published, options_.n_exact);
    DllmEvalOptions eval = options_.eval;
    eval.n_canvas = -1;
    on_turn_();
    const DllmResult result = evaluate_dllm(model_, backend_, kTop1Method, taken, eval, events_);
    std::map<std::string, std::pair<int32_t, int32_t>> by_task;  // right, all
    for (size_t i = 0; i < taken.size(); ++i) {
      auto& [n_right, n] = by_task[taken[i].task];
      n_right += result.outcomes[i].verdict.is_right ? 1 : 0;
      ++n;
    }
    for (const auto& [task, counts] : by_task) {
      const auto& [n_right, n] = counts;
      const Interval interval = wilson_interval(n_right, n);
      const BenchSample sample{n, static_cast<double>(n_right) / n, interval.low, interval.high};
      const auto known = kPublishedRight.find(task);
      std::optional<BenchTarget> target;
      if (known != kPublishedRight.end()) {
        // Within the interval of the published count.
        const Interval of = wilson_interval(known->second, kPublishedOf);
        target = {Kind::kNear, (of.low + of.high) / 2, (of.high - of.low) / 2};
      }
      add("exact_match_top1_" + task, sample, target);
    }
  }

 private:
  void add(std::string key, const BenchSample& value, std::optional<BenchTarget> target = {}) {
    report_.ratios.push_back({std::move(key), value, target});
  }

  const TextModel& model_;
  const Backend& backend_;
  const DllmBenchOptions& options_;
  const std::function<void()>& on_turn_;
  BenchReport& report_;
  PassCost cost_;
  InfillEvents events_;
};

}  // namespace

BenchReport bench_dllm(const TextModel& model, const Backend& backend,
                       const std::vector<DllmPrompt>& prompts,
                       const std::vector<DllmPrompt>& published, const DllmBenchOptions& options,
                       const std::function<void()>& on_turn) {
  BenchReport report;
  report.bench = "dllm";
  report.title = "Diffusion text";
  report.machine = this_machine();
  report.setting = "budget";
  report.facts = {{"model", std::filesystem::path(model.file->path()).filename().string()},
                  {"threads", std::to_string(backend.n_threads())},
                  {"canvas of the first prompt",
                   std::to_string(dllm_canvas(model, prompts.front().prompt, options.eval).n())}};
  report.columns = {
      {.key = "answers_s",
       .title = "answers/s",
       .format = BenchFormat::kRate,
       .plot = BenchColumn::Plot::kBars,
       .caption = "One text at a time."},
      {.key = "passes_s", .title = "passes/s", .format = BenchFormat::kRate},
      {.key = "rows",
       .title = "rows/answer",
       .format = BenchFormat::kNumber,
       .plot = BenchColumn::Plot::kBars,
       .is_less_better = true,
       .caption = "Token-forwards: rows computed over all passes, padding included."},
      {.key = "passes", .title = "passes/answer", .format = BenchFormat::kNumber},
      {.key = "right", .title = "right", .format = BenchFormat::kShare},
      {.key = "mean_span", .title = "mean span", .format = BenchFormat::kNumber},
  };
  report.highlights = {kTop1Method.name(), kAdaBlock.name()};
  DllmBench bench(model, backend, options, on_turn, report);
  bench.time_methods(prompts);
  bench.time_against_peer(prompts.front());
  bench.judge_spans(prompts);
  bench.judge_published(published);
  report.notes = {
      "Speed: methods take turns, one text at a time, one prompt of every task a round; shuffled "
      "without the run that it has its spans from. token_forwards_top1_over_dual_adablock counts "
      "only together with exact_match_dual_adablock_minus_top1. Quality by "
      "span: dual cache, tau 0.9, prompts of every task alike; adablock_minus_best_fixed compares "
      "it with the best that fixed spans reach at as many rows, with the 95 % interval of a "
      "bootstrap over prompts.",
      "libllama computes the same canvas in one non-causal batch with the logits of every row, as "
      "ours does in that row; its faster setting counts, flash attention on or off.",
      "The bound is the pass's operations, attention included, over the measured int8 peak: "
      "attention itself computes in F32."};
  return report;
}

}  // namespace reprise
