#include "engines/control/control_soak.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "engines/control/chosen_branch.h"
#include "engines/control/control_loop.h"
#include "engines/control/diffusion_planner.h"
#include "engines/control/pusht_environment.h"

namespace reprise {
namespace {

using Kind = BenchTarget::Kind;

constexpr uint32_t kFirstSeed = 400000;

BenchSample once(double value) { return {1, value, value, value}; }

// A loop with its planner, and what is left of its time.
struct Contestant {
  std::string subject;
  std::unique_ptr<DiffusionPolicy> policy;  // null: none
  std::unique_ptr<ChunkPlanner> planner;
  std::unique_ptr<ControlLoop> loop;
  int64_t n_ticks_left = 0;
  uint32_t seed = kFirstSeed;
};

// Episodes one after the other until so many ticks are done or it is cancelled. Ticks done.
int64_t run_slice(Contestant& one, int64_t n_ticks, const IsCancelled& is_cancelled) {
  const int64_t n_before = one.n_ticks_left;
  const ControlEvents events{.is_cancelled = is_cancelled};
  while (n_ticks > 0 && !is_cancelled()) {
    PushtEnvironment environment(one.seed);
    const EpisodeResult episode = one.loop->run(environment, one.seed, n_ticks, events);
    ++one.seed;
    n_ticks -= episode.n_ticks;
    one.n_ticks_left -= episode.n_ticks;
  }
  one.loop->finish();  // it would take the next one's time
  return n_before - one.n_ticks_left;
}

BenchRow row_of(const Contestant& one, double rate_hz) {
  const ControlReport& report = one.loop->report();
  const LatencySummary tick = latency_summary(report.tick_s);
  const LatencySummary chunk = latency_summary(report.chunk_s);
  const double seconds = static_cast<double>(report.n_ticks()) / rate_hz;
  BenchRow row{one.subject, std::llround(seconds), {}};
  const auto add = [&](const char* key, double value) { row.values.push_back({key, once(value)}); };
  add("ticks", static_cast<double>(report.n_ticks()));
  add("tick_p50_ms", 1e3 * tick.p50_s);
  add("tick_p95_ms", 1e3 * tick.p95_s);
  add("tick_max_ms", 1e3 * tick.max_s);
  add("misses", static_cast<double>(report.n_misses));
  add("underruns", static_cast<double>(report.n_underruns));
  add("chunks", static_cast<double>(report.n_chunks()));
  add("chunk_p50_ms", 1e3 * chunk.p50_s);
  add("chunk_p95_ms", 1e3 * chunk.p95_s);
  add("chunk_max_ms", 1e3 * chunk.max_s);
  add("stale_actions", static_cast<double>(report.n_stale));
  add("actions_s", report.actions_per_s());
  return row;
}

std::vector<BenchColumn> columns() {
  const auto column = [](const char* key, const char* title) {
    return BenchColumn{.key = key, .title = title, .is_less_better = true};
  };
  return {column("ticks", "ticks"),
          column("tick_p50_ms", "tick p50 ms"),
          column("tick_p95_ms", "p95"),
          {.key = "tick_max_ms",
           .title = "max",
           .plot = BenchColumn::Plot::kBars,
           .is_less_better = true,
           .caption = "The latest action after its deadline."},
          column("misses", "misses"),
          column("underruns", "underruns"),
          column("chunks", "chunks"),
          column("chunk_p50_ms", "chunk p50 ms"),
          column("chunk_p95_ms", "p95"),
          column("chunk_max_ms", "max"),
          column("stale_actions", "stale actions"),
          {.key = "actions_s", .title = "actions/s"}};
}

}  // namespace

BenchReport soak_control(const ControlSoakOptions& options, const ControlSoakEvents& events) {
  const auto model = PolicyTransformerModel::load(options.model, PolicyWeights::kAsIs);
  const Backend backend(Backend::useful_threads(options.n_threads));
  const SamplerSpec ddpm = SamplerSpec::parse("ddpm", model->noise);
  std::vector<Contestant> contestants(1);
  for (const char* branch : {"full", "bac:updates=10,bubbling=5"}) {
    Contestant& one = contestants.emplace_back();
    one.subject = fmt::format("ddpm {}", branch);
    one.policy = std::make_unique<DiffusionPolicy>(model, backend, ddpm,
                                                   choose_branch(branch, *model, ddpm).schedule);
    one.planner = std::make_unique<DiffusionPlanner>(*one.policy);
  }
  contestants[0].subject = "no policy";
  contestants[0].planner = std::make_unique<IdlePlanner>(contestants[1].planner->shape());
  const auto n_ticks = [&](double seconds) {
    return std::max<int64_t>(1, std::llround(seconds * options.rate_hz));
  };
  for (Contestant& one : contestants) {
    ControlOptions loop;
    loop.mode = ControlMode::kAsync;
    loop.rate_hz = options.rate_hz;
    loop.is_realtime = true;
    one.loop = std::make_unique<ControlLoop>(*one.planner, loop);
    one.n_ticks_left = n_ticks(options.seconds);
  }
  const int64_t n_slice = n_ticks(options.slice_s);
  int64_t n_done = 0;
  while (contestants.back().n_ticks_left > 0 && !events.is_cancelled()) {
    for (Contestant& one : contestants) {
      const int64_t n = std::min(n_slice, one.n_ticks_left);
      n_done += run_slice(one, n, events.is_cancelled);
      if (events.on_slice) events.on_slice(static_cast<double>(n_done) / options.rate_hz);
    }
  }
  BenchReport report;
  report.bench = "control_soak";
  report.title = "Robot control in real time";
  report.machine = this_machine();
  report.setting = "seconds";
  report.facts = {{"model", model->name},
                  {"threads", std::to_string(backend.n_threads())},
                  {"rate", fmt::format("{} Hz", options.rate_hz)},
                  {"mode", std::string(to_string(ControlMode::kAsync))},
                  {"ticks' priority", contestants[0].loop->report().has_realtime_priority
                                          ? "real-time"
                                          : "ordinary; 'ulimit -r 10' allows real-time"}};
  report.columns = columns();
  for (const Contestant& one : contestants) {
    if (one.loop->report().n_ticks() > 0) report.rows.push_back(row_of(one, options.rate_hz));
  }
  const ControlReport& idle = contestants[0].loop->report();
  for (const auto& [name, i] : {std::pair("full", 1), {"bac", 2}}) {
    const ControlReport& of = contestants[i].loop->report();
    if (of.n_ticks() == 0) continue;
    report.ratios.push_back({fmt::format("underruns_cost_{}", name),
                             once(static_cast<double>(of.n_underruns)),
                             {{Kind::kAtMost, 0}}});
    if (of.n_ticks() != idle.n_ticks()) continue;  // it was cancelled between them
    report.ratios.push_back({fmt::format("misses_cost_{}_over_idle", name),
                             once(static_cast<double>(of.n_misses - idle.n_misses)),
                             {{Kind::kAtMost, 0}}});
  }
  report.notes = {
      "The loops take turns. A tick is a miss when its action comes more than 10 ms after its "
      "deadline, an underrun when no planned action was there; 'no policy' is the same loop with a "
      "planner that answers at once."};
  return report;
}

}  // namespace reprise
