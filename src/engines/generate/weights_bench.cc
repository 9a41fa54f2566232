#include "engines/generate/weights_bench.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/logprobs.h"
#include "core/quantities.h"
#include "core/resident_memory.h"
#include "engines/generate/agreement.h"
#include "engines/generate/kv_contestant.h"
#include "nets/prompt_copies.h"
#include "policies/registry.h"

namespace reprise {
namespace {

constexpr const char* kAsIs = "as-is";

std::vector<std::string> words_of(const WeightsBenchOptions& options) {
  if (!options.words.empty()) return options.words;
  std::vector<std::string> all;
  for (const WeightWord& known : weight_words()) all.emplace_back(known.word);
  return all;
}

// In a key of JSON.
std::string key_of(std::string word) {
  std::ranges::replace_if(
      word, [](char c) { return c == '-' || c == '='; }, '_');
  return word;
}

// One word of --weights.
struct Side {
  Side(const std::string& name, const std::shared_ptr<const DecoderModel>& model, int32_t n_threads)
      : word(name),
        backend(n_threads, weight_word(name).use),
        copies(with_prompt_copies(model, weight_word(name).form, backend, available_memory())),
        contestant(copies.model, backend, make_kv_policy("full")) {
    backend.rest();
  }

  std::string word;
  Backend backend;
  PromptCopies copies;
  ReprisePolicy contestant;
  std::vector<std::vector<double>> prefill_s;  // [contexts][runs]
  Mean nll;                                    // of the scored tokens
  Agreement agreement;                         // with F32
};

class WeightsBench {
 public:
  WeightsBench(const std::shared_ptr<const DecoderModel>& model, std::span<const int32_t> text,
               const WeightsBenchOptions& options, const std::function<void()>& on_turn)
      : model_(model), options_(options), text_(text), on_turn_(on_turn) {
    for (const std::string& word : words_of(options)) {
      on_turn();
      sides_.push_back(
          std::make_unique<Side>(word, model, Backend::useful_threads(options.n_threads)));
      sides_.back()->prefill_s.resize(options.contexts.size());
    }
  }

  void time() {
    for (size_t c = 0; c < options_.contexts.size(); ++c) {
      const std::span<const int32_t> prompt = text_.first(options_.contexts[c]);
      for (int32_t run = 0; run < options_.n_runs; ++run) {
        for (const auto& side : sides_) {
          on_turn_();
          side->prefill_s[c].push_back(side->contestant.prefill(prompt, 1, {}));
          side->contestant.rest();
        }
      }
    }
  }

  void score() {
    constexpr int32_t kContext = WeightsBenchOptions::kScoredContext;
    const int32_t n_threads = Backend::useful_threads(options_.n_threads);
    const Backend f32(n_threads, WeightUse::kExpand);
    const Backend integers(n_threads, WeightUse::kAsIs);
    Sequence exact(model_, f32, make_kv_policy("full"));
    Sequence as_is(model_, integers, make_kv_policy("full"));
    for (; n_scored_ < options_.n_scored_contexts; ++n_scored_) {
      const size_t first = static_cast<size_t>(n_scored_) * kContext;
      if (first + kContext > text_.size()) break;
      const std::span<const int32_t> context = text_.subspan(first, kContext);
      on_turn_();
      as_is.clear();
      add_nll(as_is_nll_, as_is.extend_all(context), context);
      integers.rest();
      on_turn_();
      exact.clear();
      const std::span<const float> logits = exact.extend_all(context);
      f32.rest();
      for (const auto& side : sides_) {
        on_turn_();
        Sequence sequence(side->copies.model, side->backend, make_kv_policy("full"));
        const std::span<const float> theirs = sequence.extend_all(context);
        add_nll(side->nll, theirs, context);
        side->agreement.add(logits, theirs, model_->hparams().n_vocab);
        side->backend.rest();
      }
    }
  }

  void fill(BenchReport& report) const {
    for (size_t c = 0; c < options_.contexts.size(); ++c)
      for (const auto& side : sides_) report.rows.push_back(row(*side, c));
    const auto base = std::ranges::find(sides_, kAsIs, &Side::word);
    for (size_t c = 0; c < options_.contexts.size() && base != sides_.end(); ++c) {
      for (const auto& side : sides_) {
        if (side == *base) continue;
        std::vector<double> ratios;
        ratios.reserve(options_.n_runs);
        for (int32_t run = 0; run < options_.n_runs; ++run)
          ratios.push_back((*base)->prefill_s[c][run] / side->prefill_s[c][run]);
        report.ratios.push_back(
            {fmt::format("prefill_{}_vs_as_is_{}", key_of(side->word), options_.contexts[c]),
             bench_sample(ratios)});
      }
    }
    if (n_scored_ == 0) return;
    for (const auto& side : sides_) {
      report.ratios.push_back({fmt::format("perplexity_cost_{}", key_of(side->word)),
                               bench_sample({perplexity_change(*side)}),
                               BenchTarget{BenchTarget::Kind::kAtMost, 0.002}});
    }
  }

  std::vector<std::string> notes() const {
    std::vector<std::string> notes = {fmt::format(
        "The words of --weights take turns in one process, {} rounds; pools sleep between their "
        "turns. Single tokens read the file's weights in all of them. The change of perplexity "
        "is against as-is, KL against the file's weights in F32 (expand=f32), over {} contexts of "
        "{} tokens.",
        options_.n_runs, n_scored_, WeightsBenchOptions::kScoredContext)};
    for (const auto& side : sides_) {
      const PromptCopyReport& copies = side->copies.report;
      if (copies.outcome != PromptCopyReport::Outcome::kNoMemory) continue;
      notes.push_back(
          fmt::format("No memory for the copies of {} ({}, {} free): it read the file's weights.",
                      side->word, format_bytes(copies.n_bytes), format_bytes(copies.n_free_bytes)));
    }
    return notes;
  }

 private:
  static void add_nll(Mean& nll, std::span<const float> logits, std::span<const int32_t> context) {
    const size_t n_vocab = logits.size() / context.size();
    for (size_t i = 0; i + 1 < context.size(); ++i)
      nll.add(-log_probabilities(logits.subspan(i * n_vocab, n_vocab), context[i + 1], {}));
  }

  double perplexity_change(const Side& side) const {
    return std::expm1(side.nll.value() - as_is_nll_.value());
  }

  BenchRow row(const Side& side, size_t c) const {
    std::vector<double> rates;
    for (const double s : side.prefill_s[c]) rates.push_back(options_.contexts[c] / s);
    BenchRow row{side.word, options_.contexts[c], {{"prefill_tok_s", bench_sample(rates)}}};
    if (c > 0) return row;  // the rest does not depend on the prompt
    const PromptCopyReport& copies = side.copies.report;
    const bool is_made = copies.outcome == PromptCopyReport::Outcome::kMade;
    row.values.emplace_back("copy_bytes",
                            bench_sample({is_made ? static_cast<double>(copies.n_bytes) : 0}));
    row.values.emplace_back("copy_s", bench_sample({copies.seconds}));
    if (n_scored_ == 0) return row;
    row.values.emplace_back("perplexity_change", bench_sample({perplexity_change(side)}));
    row.values.emplace_back("kl", bench_sample({side.agreement.kl.value()}));
    return row;
  }

  std::shared_ptr<const DecoderModel> model_;
  const WeightsBenchOptions& options_;
  std::span<const int32_t> text_;
  const std::function<void()>& on_turn_;
  std::vector<std::unique_ptr<Side>> sides_;
  int32_t n_scored_ = 0;  // contexts
  Mean as_is_nll_;        // of the file's integers
};

}  // namespace

void WeightsBenchOptions::check() const {
  for (const std::string& word : words) {
    weight_word(word);
    if (std::ranges::count(words, word) > 1)
      throw Error(fmt::format("--weights-list {}: '{}' stands twice", fmt::join(words, ","), word));
  }
  if (contexts.empty() || contexts.front() < 2 || contexts.back() > 1 << 24 ||
      !std::ranges::is_sorted(contexts, std::less_equal{})) {
    throw Error(fmt::format("--contexts {}: give rising numbers of tokens from 2 on",
                            fmt::join(contexts, ",")));
  }
  if (n_runs < 1 || n_runs > 1000)
    throw Error(fmt::format("--runs {}: expected 1 to 1,000", n_runs));
}

BenchReport bench_weights(const std::shared_ptr<const DecoderModel>& model, const std::string& path,
                          std::span<const int32_t> text, const WeightsBenchOptions& options,
                          const std::function<void()>& on_turn) {
  options.check();
  const int64_t n_most =
      std::min<int64_t>(model->hparams().n_ctx_train - 1, static_cast<int64_t>(text.size()));
  if (options.contexts.back() > n_most) {
    throw Error(fmt::format(
        "--contexts {}: that is more than the {} tokens that the model was trained for and the "
        "text has; give shorter contexts",
        options.contexts.back(), n_most));
  }
  WeightsBench bench(model, text, options, on_turn);
  bench.time();
  bench.score();
  BenchReport report;
  report.bench = "weights";
  report.title = "Prompts by what the weights are multiplied as";
  report.machine = this_machine();
  report.columns = {{"prefill_tok_s", "prompt tok/s", BenchFormat::kRate, BenchColumn::Plot::kBars},
                    {"copy_bytes", "copies", BenchFormat::kBytes, BenchColumn::Plot::kNone, true},
                    {"copy_s", "made in s", BenchFormat::kSmall, BenchColumn::Plot::kNone, true},
                    {"perplexity_change", "perplexity change", BenchFormat::kSmall,
                     BenchColumn::Plot::kNone, true},
                    {"kl", "KL, nats", BenchFormat::kSmall, BenchColumn::Plot::kNone, true}};
  const std::string& name = model->hparams().name;
  report.facts = {{"model", name.empty() ? path : name},
                  {"threads", fmt::format("{}", Backend::useful_threads(options.n_threads))}};
  bench.fill(report);
  report.notes = bench.notes();
  return report;
}

}  // namespace reprise
