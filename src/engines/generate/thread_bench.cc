#include "engines/generate/thread_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "core/error.h"
#include "core/quantities.h"
#include "engines/generate/kv_contestant.h"
#include "policies/registry.h"

namespace reprise {
namespace {

constexpr int32_t kMostThreads = Backend::kMostThreads;
constexpr int32_t kWarmUp = 4;  // untimed tokens before a decode run

std::vector<int32_t> thread_counts(const ThreadBenchOptions& options) {
  if (!options.thread_counts.empty()) return options.thread_counts;
  const auto n_cores = static_cast<int32_t>(
      std::clamp<uint32_t>(std::thread::hardware_concurrency(), 1, kMostThreads / 2));
  if (n_cores == 1) return {1, 2};
  return {1, n_cores, 2 * n_cores};
}

// Ours on as many threads as it takes when asked for n, and libllama on n.
struct Pool {
  Pool(const std::shared_ptr<const DecoderModel>& model, const std::string& path, int32_t n,
       int32_t n_ctx)
      : backend(Backend::useful_threads(n)),
        peer_backend(n),
        peer(path, {.n_threads = n, .n_ctx = n_ctx, .pool = peer_backend.pool()}),
        ours(model, backend, make_kv_policy("full")),
        theirs(peer, peer_backend, model->hparams()) {}

  Backend backend;
  Backend peer_backend;
  LibllamaPeer peer;
  ReprisePolicy ours;
  LibllamaContestant theirs;
};

// [runs] of one side on one pool at one context.
struct Measured {
  std::vector<double> prefill_s;  // the whole prompt
  std::vector<double> decode_s;   // one token
};

void take_turn(Measured& measured, KvContestant& side, std::span<const int32_t> prompt,
               std::span<const int32_t> continuation) {
  const auto n_growth = static_cast<int32_t>(continuation.size());
  measured.prefill_s.push_back(side.prefill(prompt, n_growth, {}));
  side.time_decode(continuation.first(kWarmUp));
  const std::span<const int32_t> timed = continuation.subspan(kWarmUp);
  measured.decode_s.push_back(side.time_decode(timed) / static_cast<double>(timed.size()));
  side.rest();
}

std::vector<double> rates(const std::vector<double>& seconds, double amount) {
  std::vector<double> out;
  out.reserve(seconds.size());
  for (const double s : seconds) out.push_back(amount / s);
  return out;
}

// Speed of a over speed of b, run by run.
BenchSample speed_ratio(const std::vector<double>& a_s, const std::vector<double>& b_s) {
  std::vector<double> out;
  for (size_t i = 0; i < a_s.size(); ++i) out.push_back(b_s[i] / a_s[i]);
  return bench_sample(out);
}

class ThreadBench {
 public:
  ThreadBench(const std::shared_ptr<const DecoderModel>& model, const std::string& path,
              std::span<const int32_t> text, const ThreadBenchOptions& options)
      : options_(options), text_(text), counts_(thread_counts(options)) {
    const int32_t n_ctx = options.contexts.back() + kWarmUp + options.n_decode;
    for (const int32_t n : counts_) pools_.push_back(std::make_unique<Pool>(model, path, n, n_ctx));
    for (const auto& pool : pools_) pool->backend.rest();
  }

  void run(const std::function<void()>& on_turn) {
    for (const int32_t context : options_.contexts) {
      At& at = all_.emplace_back(At{context, std::vector<Sides>(pools_.size())});
      const std::span<const int32_t> prompt = text_.first(context);
      const std::span<const int32_t> continuation =
          text_.subspan(context, kWarmUp + options_.n_decode);
      for (int32_t run = 0; run < options_.n_runs; ++run) {
        for (size_t i = 0; i < pools_.size(); ++i) {
          on_turn();
          take_turn(at.sides[i].ours, pools_[i]->ours, prompt, continuation);
          on_turn();
          take_turn(at.sides[i].theirs, pools_[i]->theirs, prompt, continuation);
        }
      }
    }
  }

  void fill(BenchReport& report) const {
    for (size_t i = 0; i < pools_.size(); ++i) {
      for (const At& at : all_) {
        add_row("full", at, at.sides[i].ours, counts_[i], report);
        add_row("libllama", at, at.sides[i].theirs, counts_[i], report);
      }
    }
    const auto cores =
        std::ranges::find(counts_, static_cast<int32_t>(std::thread::hardware_concurrency()));
    if (cores == counts_.end()) return;
    const auto twice = std::ranges::find(counts_, 2 * *cores);
    if (twice != counts_.end())
      add_oversubscription(cores - counts_.begin(), twice - counts_.begin(), report);
  }

 private:
  struct Sides {
    Measured ours;
    Measured theirs;
  };
  struct At {
    int32_t context = 0;
    std::vector<Sides> sides;  // [pools]
  };

  static void add_row(const char* side, const At& at, const Measured& measured, int32_t n_threads,
                      BenchReport& report) {
    report.rows.push_back(
        {fmt::format("{}, context {}", side, format_count(at.context)),
         n_threads,
         {{"decode_tok_s", bench_sample(rates(measured.decode_s, 1))},
          {"prefill_tok_s", bench_sample(rates(measured.prefill_s, at.context))}}});
  }

  void add_oversubscription(ptrdiff_t cores, ptrdiff_t twice, BenchReport& report) const {
    const std::string key =
        fmt::format("oversubscribed_{}_vs_{}_threads", counts_[twice], counts_[cores]);
    std::vector<BenchRatio> each;
    for (const At& at : all_) {
      const Measured& a = at.sides[twice].ours;
      const Measured& b = at.sides[cores].ours;
      each.push_back(
          {fmt::format("decode_{}_{}", key, at.context), speed_ratio(a.decode_s, b.decode_s)});
      each.push_back(
          {fmt::format("prefill_{}_{}", key, at.context), speed_ratio(a.prefill_s, b.prefill_s)});
    }
    const auto worst = std::ranges::min_element(
        each, {}, [](const BenchRatio& ratio) { return ratio.value.median; });
    report.ratios = {{key, worst->value, BenchTarget{BenchTarget::Kind::kAtLeast, 0.9}}};
    report.ratios.insert(report.ratios.end(), each.begin(), each.end());
  }

  const ThreadBenchOptions& options_;
  std::span<const int32_t> text_;
  std::vector<int32_t> counts_;
  std::vector<std::unique_ptr<Pool>> pools_;
  std::vector<At> all_;  // [contexts]
};

}  // namespace

void ThreadBenchOptions::check() const {
  if (contexts.empty() || contexts.front() < 1 || contexts.back() > 1 << 24 ||
      !std::ranges::is_sorted(contexts, std::less_equal{})) {
    throw Error(fmt::format("--contexts {}: give rising numbers of tokens from 1 on",
                            fmt::join(contexts, ",")));
  }
  if (!std::ranges::is_sorted(thread_counts, std::less_equal{}) ||
      (!thread_counts.empty() &&
       (thread_counts.front() < 1 || thread_counts.back() > kMostThreads))) {
    throw Error(fmt::format("--threads-list {}: give rising numbers of threads from 1 to {}",
                            fmt::join(thread_counts, ","), kMostThreads));
  }
  if (n_runs < 1 || n_runs > 1000) {
    throw Error(fmt::format("--runs {}: expected 1 to 1,000", n_runs));
  }
}

BenchReport bench_threads(const std::shared_ptr<const DecoderModel>& model, const std::string& path,
                          std::span<const int32_t> text, const ThreadBenchOptions& options,
                          const std::function<void()>& on_turn) {
  options.check();
  const int32_t n_needed = options.contexts.back() + kWarmUp + options.n_decode;
  const int64_t n_most =
      std::min<int64_t>(model->hparams().n_ctx_train, static_cast<int64_t>(text.size()));
  if (n_needed > n_most) {
    throw Error(fmt::format(
        "--contexts {}: with {} tokens behind it that is more than the {} that the model was "
        "trained for and the text has; give shorter contexts",
        options.contexts.back(), kWarmUp + options.n_decode, n_most));
  }
  ThreadBench bench(model, path, text, options);
  bench.run(on_turn);
  BenchReport report;
  report.bench = "threads";
  report.title = "Speed by number of threads";
  report.machine = this_machine();
  report.setting = "threads";
  report.columns = {
      {"decode_tok_s", "decode tok/s", BenchFormat::kRate, BenchColumn::Plot::kLine},
      {"prefill_tok_s", "prefill tok/s", BenchFormat::kRate, BenchColumn::Plot::kLine}};
  const std::string& name = model->hparams().name;
  report.facts = {{"model", name.empty() ? path : name}};
  bench.fill(report);
  for (const BenchRow& row : report.rows) {
    if (row.setting == report.rows.front().setting && report.highlights.size() < 4)
      report.highlights.push_back(row.subject);
  }
  report.notes = {fmt::format(
      "Sides and thread counts take turns in one process, {} rounds; pools sleep between their "
      "turns. A turn reads the prompt, then decodes {} tokens after {} of warm-up. libllama "
      "without "
      "flash attention.",
      options.n_runs, options.n_decode, kWarmUp)};
  return report;
}

}  // namespace reprise
