#include "engines/generate/thread_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/machine_bench.h"
#include "core/quantities.h"
#include "engines/generate/kv_contestant.h"
#include "policies/registry.h"

namespace reprise {
namespace {

constexpr int32_t kMostThreads = Backend::kMostThreads;
constexpr int32_t kWarmUp = 4;  // untimed tokens before a decode run

std::vector<int32_t> thread_counts(const ThreadBenchOptions& options) {
  return options.thread_counts.empty() ? machine_thread_counts(Backend::useful_threads(0))
                                       : options.thread_counts;
}

enum class Side : uint8_t {
  kAsked,      // ours, asked for n threads
  kStarted,    // ours, with n threads started; where those are more than it would start
  kPeer,       // libllama on n threads
  kPeerFlash,  // the same with flash attention
};

const char* side_name(Side side) {
  switch (side) {
    case Side::kAsked:
      return "full";
    case Side::kStarted:
      return "full, all threads started";
    case Side::kPeer:
      return "libllama";
    case Side::kPeerFlash:
      return "libllama flash";
  }
  return "";
}

// All sides on n threads.
class Pool {
 public:
  Pool(const std::shared_ptr<const DecoderModel>& model, const std::string& path, int32_t n,
       int32_t n_ctx)
      : useful_(Backend::useful_threads(n)), all_(n) {
    add_ours(Side::kAsked, model, useful_);
    if (useful_.n_threads() < n) add_ours(Side::kStarted, model, all_);
    for (const Side side : {Side::kPeer, Side::kPeerFlash}) {
      peers_.push_back(
          std::make_unique<LibllamaPeer>(path, PeerOptions{.is_flash = side == Side::kPeerFlash,
                                                           .n_threads = n,
                                                           .n_ctx = n_ctx,
                                                           .pool = all_.pool()}));
      sides_.emplace_back(
          side, std::make_unique<LibllamaContestant>(*peers_.back(), all_, model->hparams()));
    }
  }

  void rest() const {
    useful_.rest();
    all_.rest();
  }

  using Sides = std::vector<std::pair<Side, std::unique_ptr<KvContestant>>>;
  const Sides& sides() const { return sides_; }

 private:
  void add_ours(Side side, const std::shared_ptr<const DecoderModel>& model, Backend& backend) {
    sides_.emplace_back(side,
                        std::make_unique<ReprisePolicy>(model, backend, make_kv_policy("full")));
  }

  Backend useful_;  // what --threads n starts
  Backend all_;     // n threads
  std::vector<std::unique_ptr<LibllamaPeer>> peers_;
  Sides sides_;
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

using Seconds = std::vector<double> Measured::*;

struct Phase {
  const char* name;
  Seconds seconds;
};
constexpr Phase kPhases[] = {{"decode", &Measured::decode_s}, {"prefill", &Measured::prefill_s}};

// Speed of a over speed of b, run by run.
BenchSample speed_ratio(const Measured& a, const Measured& b, Seconds seconds) {
  std::vector<double> out;
  for (size_t i = 0; i < (a.*seconds).size(); ++i) out.push_back((b.*seconds)[i] / (a.*seconds)[i]);
  return bench_sample(out);
}

class ThreadBench {
 public:
  ThreadBench(const std::shared_ptr<const DecoderModel>& model, const std::string& path,
              std::span<const int32_t> text, const ThreadBenchOptions& options)
      : options_(options), text_(text), counts_(thread_counts(options)) {
    const int32_t n_ctx = options.contexts.back() + kWarmUp + options.n_decode;
    for (const int32_t n : counts_) pools_.push_back(std::make_unique<Pool>(model, path, n, n_ctx));
    for (const auto& pool : pools_) pool->rest();
  }

  void run(const std::function<void()>& on_turn) {
    for (const int32_t context : options_.contexts) {
      At& at = all_.emplace_back(At{context, std::vector<BySide>(pools_.size())});
      const std::span<const int32_t> prompt = text_.first(context);
      const std::span<const int32_t> continuation =
          text_.subspan(context, kWarmUp + options_.n_decode);
      for (int32_t run = 0; run < options_.n_runs; ++run) {
        for (size_t i = 0; i < pools_.size(); ++i) {
          for (const auto& [side, contestant] : pools_[i]->sides()) {
            on_turn();
            take_turn(at.by_pool[i][side], *contestant, prompt, continuation);
          }
        }
      }
    }
  }

  void fill(BenchReport& report) const {
    for (size_t i = 0; i < pools_.size(); ++i) {
      for (const At& at : all_) {
        for (const auto& [side, measured] : at.by_pool[i])
          add_row(side, at, measured, counts_[i], report);
      }
    }
    const auto cores = std::ranges::find(counts_, Backend::useful_threads(0));
    const auto twice = cores == counts_.end() ? cores : std::ranges::find(counts_, 2 * *cores);
    if (twice != counts_.end()) {
      for (const Side side : {Side::kAsked, Side::kStarted})
        add_oversubscription(side, cores - counts_.begin(), twice - counts_.begin(), report);
    }
    for (size_t i = 0; i < pools_.size(); ++i) add_against_peer(i, report);
  }

 private:
  using BySide = std::map<Side, Measured>;
  struct At {
    int32_t context = 0;
    std::vector<BySide> by_pool;
  };

  static void add_row(Side side, const At& at, const Measured& measured, int32_t n_threads,
                      BenchReport& report) {
    report.rows.push_back(
        {fmt::format("{}, context {}", side_name(side), format_count(at.context)),
         n_threads,
         {{"decode_tok_s", bench_sample(rates(measured.decode_s, 1))},
          {"prefill_tok_s", bench_sample(rates(measured.prefill_s, at.context))}}});
  }

  // A side on twice as many threads as cores, over the cores' own speed: the worst, then each.
  void add_oversubscription(Side side, ptrdiff_t cores, ptrdiff_t twice,
                            BenchReport& report) const {
    const std::string key =
        fmt::format("{}_{}_vs_{}_threads", side == Side::kAsked ? "asked_for" : "oversubscribed",
                    counts_[twice], counts_[cores]);
    std::vector<BenchRatio> each;
    for (const At& at : all_) {
      for (const Phase& phase : kPhases) {
        each.push_back({fmt::format("{}_{}_{}", phase.name, key, at.context),
                        speed_ratio(at.by_pool[twice].at(side), at.by_pool[cores].at(Side::kAsked),
                                    phase.seconds)});
      }
    }
    const auto worst = std::ranges::min_element(
        each, {}, [](const BenchRatio& ratio) { return ratio.value.median; });
    report.ratios.push_back({key, worst->value, BenchTarget{BenchTarget::Kind::kAtLeast, 0.9}});
    report.ratios.insert(report.ratios.end(), each.begin(), each.end());
  }

  // Over the faster of libllama's settings.
  void add_against_peer(size_t i_pool, BenchReport& report) const {
    for (const At& at : all_) {
      const BySide& sides = at.by_pool[i_pool];
      for (const Phase& phase : kPhases) {
        const auto against = [&](Side peer) {
          return speed_ratio(sides.at(Side::kAsked), sides.at(peer), phase.seconds);
        };
        const BenchSample plain = against(Side::kPeer);
        const BenchSample flash = against(Side::kPeerFlash);
        report.ratios.push_back({fmt::format("{}_full_vs_libllama_{}_threads_{}", phase.name,
                                             counts_[i_pool], at.context),
                                 plain.median < flash.median ? plain : flash});
      }
    }
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
  report.notes = {
      fmt::format(
          "Sides and thread counts take turns in one process, {} rounds; pools sleep between their "
          "turns. A turn reads the prompt, then decodes {} tokens after {} of warm-up. Ratios over "
          "libllama count the faster of its settings, flash attention on or off.",
          options.n_runs, options.n_decode, kWarmUp),
      fmt::format("This process may use {} cores, and --threads above that starts no more: so does "
                  "'full' here, and asked_for_... is what a user gets. 'full, all threads started' "
                  "starts them all the same, and oversubscribed_... is what that would cost.",
                  Backend::useful_threads(0))};
  return report;
}

}  // namespace reprise
