#include "engines/generate/kv_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/quantities.h"
#include "core/read_bandwidth.h"
#include "core/resident_memory.h"
#include "engines/generate/kv_bench_report.h"
#include "engines/generate/kv_contestant.h"
#include "policies/kv/kv_options.h"
#include "policies/registry.h"

namespace reprise {
namespace {

std::vector<std::string> policy_texts(const KvBenchOptions& options) {
  constexpr std::string_view kOfEachKind[] = {"cake", "snapkv", "random"};
  std::vector<std::string> texts = {"full"};
  for (const PolicyEntry* entry : kv_policies_with_budget()) {
    const bool is_quick =
        std::ranges::find(kOfEachKind, entry->bare_name()) != std::end(kOfEachKind);
    if (options.has_all_policies || is_quick)
      texts.push_back(fmt::format("{}:budget={}", entry->bare_name(), options.budget));
  }
  if (options.has_all_policies) {  // what replacing entries costs, and what the cascade saves
    const KvRatioSubjects of_cake = KvRatioSubjects::of_budget(options.budget);
    texts.insert(texts.end(), {of_cake.replacing, of_cake.replacing_tova, of_cake.no_cascade});
  }
  texts.emplace_back("full:type=q8_0");
  if (options.has_all_policies) texts.emplace_back("full:type=q4_0");
  texts.insert(texts.end(), options.more_policies.begin(), options.more_policies.end());
  return texts;
}

// Tokens [end - n, end) of the text repeated to both sides.
std::vector<int32_t> tokens_before(std::span<const int32_t> text, size_t end, int32_t n) {
  std::vector<int32_t> out(n);
  for (int32_t i = 0; i < n; ++i)
    out[n - 1 - i] = text[(end + text.size() - 1 - i % text.size()) % text.size()];
  return out;
}

// log softmax of logits; returns the index of the largest.
int64_t log_probs(std::span<const float> logits, std::vector<float>& out) {
  const auto best = std::ranges::max_element(logits);
  double sum = 0;
  for (const float x : logits) sum += std::exp(double{x} - *best);
  const double lse = *best + std::log(sum);
  out.resize(logits.size());
  std::ranges::transform(logits, out.begin(), [&](float x) { return static_cast<float>(x - lse); });
  return best - logits.begin();
}

// What the full cache says about each token of the continuation.
struct Reference {
  std::vector<std::vector<float>> log_probs;  // [n_continuation][n_vocab]
  std::vector<int64_t> best;
};

class KvBench {
 public:
  KvBench(const std::shared_ptr<const DecoderModel>& model, const std::string& path,
          Backend& backend, std::span<const int32_t> text, const KvBenchOptions& options,
          const KvBenchEvents& events)
      : model_(model),
        backend_(backend),
        options_(options),
        events_(events),
        text_(text),
        continuation_(tokens_before(text, text.size(), options.n_continuation)),
        n_growth_(std::max(options.n_continuation, KvBenchOptions::kWarmUp + options.n_decode)),
        empty_(model, backend, make_kv_policy("full")) {
    // The weights are in memory from here on.
    const std::vector<int32_t> first = tokens_before(text_, text_.size(), 8);
    empty_.prefill(first, n_growth_, nullptr);
    empty_.keep();
    base_rss_ = resident_memory().now;
    bandwidth_.emplace();
    PeerOptions peer;
    peer.n_threads = backend.n_threads();
    peer.pool = backend.pool();
    peer.n_ctx = options.contexts.back() + n_growth_;
    for (const bool is_flash : {false, true}) {
      peer.is_flash = is_flash;
      peers_.push_back(std::make_unique<LibllamaPeer>(path, peer));
      if (options.openmp_peer.empty()) continue;
      openmp_peers_.push_back(std::make_unique<PeerProcess>(
          PeerProcess::Options{options.openmp_peer, path, peer.n_threads, peer.n_ctx, is_flash}));
    }
  }

  KvContextMeasured run(int32_t context) {
    enter(context);
    prefill();
    judge();
    decode();
    trace_full();
    for (Side& side : sides_) {
      side.measured.kv_read_bytes = side.contestant->kv_read_bytes();
      measured_.contestants.push_back(std::move(side.measured));
    }
    sides_.clear();
    return std::move(measured_);
  }

  const LibllamaPeer& peer() const { return *peers_.front(); }
  const ReadBandwidth& bandwidth() const { return *bandwidth_; }

 private:
  struct Side {
    KvMeasured measured;
    std::unique_ptr<KvContestant> contestant;
  };

  void enter(int32_t context) {
    measured_ = {};
    measured_.context = context;
    prompt_ = tokens_before(text_, text_.size() - continuation_.size(), context);
    for (const std::string& text : policy_texts(options_)) {
      std::shared_ptr<const KvPolicy> policy = make_kv_policy(text);
      const KvPlan plan = policy->plan();
      const bool is_slack =
          plan.budget.kind == Budget::Kind::kEntries && plan.budget.value >= context;
      if (is_slack && options_.skips_slack) continue;
      add(text, KvMeasured::Side::kPolicy,
          std::make_unique<ReprisePolicy>(model_, backend_, std::move(policy)));
      if (plan.budget.kind == Budget::Kind::kUnlimited) {
        sides_.back().measured.full_cache_type = kv_type_name(plan.type);
      }
    }
    for (size_t i = 0; i < peers_.size(); ++i) {
      const std::string name = i == 0 ? "libllama" : "libllama flash";
      const DecoderHparams& hp = model_->hparams();
      add(name, KvMeasured::Side::kPeer,
          std::make_unique<LibllamaContestant>(*peers_[i], backend_, hp));
      if (openmp_peers_.empty()) continue;
      add(name + " OpenMP", KvMeasured::Side::kPeer,
          std::make_unique<PeerProcessContestant>(*openmp_peers_[i], hp));
    }
  }

  void add(const std::string& name, KvMeasured::Side side,
           std::unique_ptr<KvContestant> contestant) {
    KvMeasured measured;
    measured.name = name;
    measured.side = side;
    sides_.push_back({std::move(measured), std::move(contestant)});
  }

  // Rounds in which each side prefills once.
  void prefill() {
    begin("prefill", int64_t{options_.n_prefill_runs} * measured_.context *
                         static_cast<int64_t>(sides_.size()));
    for (int32_t i = 0; i < options_.n_prefill_runs; ++i) {
      for (Side& side : sides_) prefill_once(side, i == 0);
    }
    end();
    for (Side& side : sides_) side.contestant->keep();
  }

  void prefill_once(Side& side, bool is_first) {
    KvMeasured& m = side.measured;
    const int64_t n_before = n_done_;
    const auto progress = [&](int64_t n_done, int64_t n_total) {
      advance(n_before + n_done * measured_.context / n_total - n_done_);
    };
    const int64_t rss_before = resident_memory().now;
    const bool has_rss = is_first && reset_peak_resident();
    m.prefill_s.push_back(side.contestant->prefill(prompt_, n_growth_, progress));
    side.contestant->rest();
    if (has_rss && m.side == KvMeasured::Side::kPolicy) {
      m.peak_rss_bytes = base_rss_ + resident_memory().peak - rss_before;
    }
    if (is_first) m.peak_kv_bytes = side.contestant->peak_kv_bytes();
    m.peak_formula_bytes = side.contestant->peak_formula_bytes();
    m.policy_share.push_back(side.contestant->policy_share());
    m.copy_share.push_back(side.contestant->copy_share());
  }

  // Every side reads the continuation token by token, as decoding would.
  void judge() {
    const auto n_judged = std::ranges::count_if(
        sides_, [](const Side& side) { return side.contestant->has_logits(); });
    begin("quality", static_cast<int64_t>(n_judged * continuation_.size()));
    Reference reference;
    std::vector<float> mine;
    for (Side& side : sides_) {
      if (!side.contestant->has_logits()) continue;
      const bool is_reference = &side == &sides_.front();
      double kl = 0;
      int32_t n_same = 0;
      for (size_t i = 0; i < continuation_.size(); ++i) {
        const int64_t best = log_probs(side.contestant->decode(continuation_[i]), mine);
        if (is_reference) {
          reference.log_probs.push_back(mine);
          reference.best.push_back(best);
        }
        const std::vector<float>& p = reference.log_probs[i];
        for (size_t v = 0; v < mine.size(); ++v)
          kl += std::exp(double{p[v]}) * (double{p[v]} - mine[v]);
        n_same += best == reference.best[i] ? 1 : 0;
        advance(1);
      }
      const auto n = static_cast<double>(continuation_.size());
      side.measured.quality = {std::max(0.0, kl / n), n_same / n};
    }
    end();
  }

  // Rounds in which each side decodes the same tokens from the same place.
  void decode() {
    const auto n_a_run = int64_t{KvBenchOptions::kWarmUp} + options_.n_decode;
    begin("decode", n_a_run * options_.n_runs * static_cast<int64_t>(sides_.size() + 1));
    for (int32_t i = 0; i < options_.n_runs; ++i) {
      measured_.bandwidth.push_back(bandwidth_->measure(backend_));
      backend_.rest();
      measured_.empty_s.push_back(decode_once(empty_).token_s);
      // Another side first in every run: what stands first after a pause may find the machine
      // slower.
      for (size_t k = 0; k < sides_.size(); ++k) {
        Side& side = sides_[(k + i) % sides_.size()];
        const DecodeRun run = decode_once(*side.contestant);
        side.measured.decode_s.push_back(run.token_s);
        if (run.policy_share > 0) side.measured.replace_share.push_back(run.policy_share);
      }
    }
    end();
    for (Side& side : sides_) side.contestant->rewind();
  }

  void trace_full() {
    KvContestant& full = *sides_.front().contestant;
    for (int32_t i = 0; i < std::max(options_.n_runs, KvBenchOptions::kTracedRuns); ++i) {
      OpTrace trace(backend_.n_threads(), 0);
      backend_.set_trace(&trace);
      full.rewind();
      full.time_decode(tokens_of_a_run().first(KvBenchOptions::kWarmUp));
      const double busy_before_s = trace.busy_s();
      const double s = full.time_decode(tokens_of_a_run().subspan(KvBenchOptions::kWarmUp));
      backend_.set_trace(nullptr);
      const double busy_s = trace.busy_s() - busy_before_s;
      measured_.barrier_share.push_back(1 - busy_s / (s * backend_.n_threads()));
      measured_.traced_s.push_back(s / options_.n_decode);
    }
    full.rewind();
  }

  // The same for everyone: warm-up, then what is timed.
  std::span<const int32_t> tokens_of_a_run() {
    decoded_.resize(KvBenchOptions::kWarmUp + options_.n_decode);
    for (size_t i = 0; i < decoded_.size(); ++i)
      decoded_[i] = continuation_[i % continuation_.size()];
    return decoded_;
  }

  struct DecodeRun {
    double token_s = 0;       // seconds a token
    double policy_share = 0;  // of them spent on replacing entries
  };
  DecodeRun decode_once(KvContestant& contestant) {
    contestant.rewind();
    const std::span<const int32_t> tokens = tokens_of_a_run();
    contestant.time_decode(tokens.first(KvBenchOptions::kWarmUp));
    const double policy_before_s = contestant.decode_policy_s();
    const double seconds = contestant.time_decode(tokens.subspan(KvBenchOptions::kWarmUp));
    const double policy_s = contestant.decode_policy_s() - policy_before_s;
    contestant.rest();
    advance(static_cast<int64_t>(tokens.size()));
    return {seconds / options_.n_decode, policy_s / seconds};
  }

  void begin(const char* what, int64_t n_total) {
    n_done_ = 0;
    if (!events_.on_begin) return;
    events_.on_begin(fmt::format("{} at context {}", what, format_count(measured_.context)),
                     n_total);
  }
  void advance(int64_t n) {
    n_done_ += n;
    if (events_.on_progress) events_.on_progress(n_done_);
  }
  void end() {
    if (events_.on_end) events_.on_end();
  }

  const std::shared_ptr<const DecoderModel> model_;
  Backend& backend_;
  const KvBenchOptions& options_;
  const KvBenchEvents& events_;
  std::span<const int32_t> text_;
  std::vector<int32_t> continuation_;
  std::vector<int32_t> decoded_;
  int32_t n_growth_;
  std::optional<ReadBandwidth> bandwidth_;  // its buffer is no part of anyone's memory
  ReprisePolicy empty_;
  int64_t base_rss_ = 0;
  std::vector<std::unique_ptr<LibllamaPeer>> peers_;        // flash off, flash on
  std::vector<std::unique_ptr<PeerProcess>> openmp_peers_;  // likewise, or none
  std::vector<int32_t> prompt_;
  std::vector<Side> sides_;
  KvContextMeasured measured_;
  int64_t n_done_ = 0;
};

}  // namespace

void KvBenchOptions::check() const {
  if (contexts.empty() || contexts.front() < 64 || contexts.back() > 1 << 24 ||
      !std::ranges::is_sorted(contexts, std::less_equal{})) {
    throw Error(fmt::format("--contexts {}: give rising numbers of tokens from 64 on",
                            fmt::join(contexts, ",")));
  }
  if (n_runs < 1 || n_runs > 1000) {
    throw Error(fmt::format("--runs {}: expected 1 to 1,000", n_runs));
  }
  if (n_prefill_runs < 1 || n_prefill_runs > 1000) {
    throw Error(fmt::format("--prefill-runs {}: expected 1 to 1,000", n_prefill_runs));
  }
}

BenchReport bench_kv(const std::shared_ptr<const DecoderModel>& model, const std::string& path,
                     Backend& backend, std::span<const int32_t> text, const KvBenchOptions& options,
                     const KvBenchEvents& events) {
  options.check();
  for (const std::string& policy : policy_texts(options)) make_kv_policy(policy);
  const DecoderModel& decoder = *model;
  const int32_t n_needed = options.contexts.back() + options.n_continuation;
  if (n_needed > decoder.hparams().n_ctx_train) {
    throw Error(fmt::format(
        "--contexts {}: with {} tokens behind it that is more than the {} tokens that the model "
        "was trained for; give shorter contexts",
        options.contexts.back(), options.n_continuation, decoder.hparams().n_ctx_train));
  }
  if (static_cast<int64_t>(text.size()) <= options.n_continuation) {
    throw Error(fmt::format("the text has {} tokens; {} are needed for the continuation alone",
                            text.size(), options.n_continuation));
  }
  KvBench bench(model, path, backend, text, options, events);
  std::vector<KvContextMeasured> contexts;
  for (const int32_t context : options.contexts) contexts.push_back(bench.run(context));

  BenchReport report;
  report.bench = "kv";
  report.title = "KV cache: speed, memory and quality";
  report.machine = this_machine();
  report.machine.read_buffer_bytes = bench.bandwidth().n_bytes();
  report.facts = {
      {"model", fmt::format("{} ({} weights)",
                            decoder.hparams().name.empty() ? path : decoder.hparams().name,
                            format_bytes(decoder.n_weight_bytes()))},
      {"threads", std::to_string(backend.n_threads())},
      {"peer",
       fmt::format("libllama, F16 cache, ubatch 512, on the same thread pool{}; weights in {}",
                   options.openmp_peer.empty() ? "" : ", and with OpenMP in its own processes",
                   bench.peer().weight_buffers())},
      {"text", fmt::format("{} tokens", format_count(static_cast<int64_t>(text.size())))}};
  const KvRatioSubjects subjects = KvRatioSubjects::of_budget(options.budget);
  const bool is_tied = decoder.output() == decoder.tok_embd();
  const auto embd_bytes = static_cast<int64_t>(ggml_nbytes(decoder.tok_embd()));
  fill_kv_report(contexts, subjects, decoder.n_weight_bytes() - (is_tied ? 0 : embd_bytes), report);
  report.highlights = {"full", subjects.cake, "libllama", "libllama flash"};
  report.notes = {
      fmt::format(
          "Sides take turns in one process on one thread pool, in the same rounds. A decode run is "
          "{} tokens after {} of warm-up, always from the end of the prompt; {} runs. Prefill {} "
          "runs, from an empty cache. Memory counts in the first prefill.",
          options.n_decode, KvBenchOptions::kWarmUp, options.n_runs, options.n_prefill_runs),
      fmt::format(
          "libllama counts with the fastest of its settings, in decode and in prefill: flash "
          "attention on and off{}.",
          options.openmp_peer.empty() ? "" : ", each without and with OpenMP"),
      fmt::format("The bound is the time of one token on an empty cache plus the reading of the "
                  "kept K and V at the bandwidth that the same threads reach {}.",
                  bench.bandwidth().description()),
      fmt::format(
          "KL and the same most probable token: over the text's last {} tokens, read one by "
          "one behind the prompt. A text shorter than the context is repeated in front.",
          options.n_continuation),
      ("peak_kv_bytes_vs_formula: what the KV allocator held at most during the prefill (K, V, "
       "positions, staging, statistics, scores, order) over (B + w L + S) entries with their "
       "positions, 12 bytes a KV head and prompt token, and one page a KV head. peak_rss_vs_full "
       "is full's peak of resident memory over cake's."),
      ("libllama's memory is that of a context made for this prompt and its continuation alone, by "
       "its sizes (K and V in F16, room in steps of 256 tokens); one made for the longest context "
       "serves all."),
      ("score_cost_share_of_prefill: what cake spends on the window's statistics, preferences, "
       "scores, "
       "ranking and splitting. copy_cost_share_of_prefill: on moving what it keeps, first into "
       "pages, "
       "at the end into the cache."),
      ("replace_cost_share_of_decode (decode=cake; _tova: decode=tova): attention probabilities by "
       "the slowest thread of each layer, and the choice and copying of entries, over the time of "
       "a token. decode_replacing_vs_growing compares whole tokens with the same cache growing."),
      ("attention_entries_per_s_vs_f16_bound: (entry, KV head) pairs a second of the best cache "
       "type, in the time of a token beyond that of an empty cache, over the measured bandwidth / "
       "the bytes of an F16 pair; behind it each type. 'bench kernels' measures attention alone.")};
  return report;
}

}  // namespace reprise
