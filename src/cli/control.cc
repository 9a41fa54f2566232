#include "cli/control.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "cli/episode_pictures.h"
#include "cli/eval_flags.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/ledger_output.h"
#include "cli/progress.h"
#include "cli/robot_flags.h"
#include "cli/span_recorder.h"
#include "cli/usage_error.h"
#include "core/error.h"
#include "core/machine.h"
#include "core/sample_mean.h"
#include "core/text_table.h"
#include "engines/control/control_ledger.h"
#include "engines/control/control_loop.h"
#include "engines/control/diffusion_planner.h"
#include "engines/control/pusht_environment.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

struct ControlFlags {
  RobotFlags robot;
  ControlOptions loop;
  std::string mode = "sync";
  std::optional<double> rate_hz;  // else the model's
  int64_t n_seeds = 10;
  uint32_t first_seed = 100000;  // of the published protocol
  int64_t n_steps = kPushtMostSteps;
  PictureFlags pictures;
  LedgerChoice ledger;
  std::string json_path;
};

struct Episode {
  uint32_t seed = 0;
  EpisodeResult result;
};

// Of scores, or of 1 for every solved episode.
SampleMean mean_of(std::span<const Episode> episodes, bool counts_solved) {
  std::vector<double> samples;
  for (const Episode& episode : episodes) {
    samples.push_back(counts_solved ? (episode.result.is_done ? 1.0 : 0.0) : episode.result.score);
  }
  return sample_mean(samples);
}

std::string with_error(const SampleMean& mean, size_t n) {
  return n < 2 ? fmt::format("{:.3f}", mean.mean)
               : fmt::format("{:.3f} ± {:.3f}", mean.mean, mean.standard_error);
}

void print_table(std::span<const Episode> episodes) {
  using Align = TextTable::Align;
  TextTable table({{"seed", Align::kLeft},
                   {"score", Align::kRight},
                   {"success", Align::kRight},
                   {"steps", Align::kRight}});
  int64_t n_steps = 0;
  for (const Episode& episode : episodes) {
    const EpisodeResult& result = episode.result;
    n_steps += result.n_ticks;
    table.add({fmt::format("{}", episode.seed), fmt::format("{:.3f}", result.score),
               result.is_done ? "yes" : "no", fmt::format("{}", result.n_ticks)});
  }
  const size_t n = episodes.size();
  table.add({"mean", with_error(mean_of(episodes, false), n),
             with_error(mean_of(episodes, true), n),
             fmt::format("{:.1f}", static_cast<double>(n_steps) / static_cast<double>(n))});
  fmt::print("{}", table.text());
}

ordered_json to_json(const SampleMean& mean) {
  return {{"mean", mean.mean}, {"standard_error", mean.standard_error}};
}

ordered_json to_json(const ControlFlags& flags, const LoadedRobot& robot,
                     std::span<const Episode> episodes, const Ledger& ledger) {
  const Machine machine = this_machine();
  ordered_json out = {{"model", robot.model->path},
                      {"model_hash", robot.model->hash},
                      {"branch", flags.robot.branch_text()},
                      {"sampler", robot.sampler},
                      {"weights", flags.robot.policy.weights},
                      {"mode", flags.mode},
                      {"rate_hz", flags.loop.rate_hz},
                      {"latency_steps", flags.loop.latency_steps},
                      {"is_realtime", flags.loop.is_realtime},
                      {"cpu", machine.cpu},
                      {"commit", machine.commit},
                      {"date", machine.date},
                      {"score", to_json(mean_of(episodes, false))},
                      {"success", to_json(mean_of(episodes, true))},
                      {"episodes", ordered_json::array()}};
  for (const Episode& episode : episodes) {
    out["episodes"].push_back({{"seed", episode.seed},
                               {"score", episode.result.score},
                               {"is_solved", episode.result.is_done},
                               {"n_steps", episode.result.n_ticks}});
  }
  out["ledger"] = ordered_json::parse(ledger_json(ledger));
  return out;
}

// Adds the episodes that are whole, also where a later one fails.
void run_episodes(const ControlFlags& flags, ControlLoop& loop, EpisodePictures* pictures,
                  SpanRecorder& spans, std::vector<Episode>& episodes) {
  Progress progress("driving", "episodes", flags.n_seeds);
  for (int64_t i = 0; i < flags.n_seeds && !was_interrupted(); ++i) {
    const auto seed = static_cast<uint32_t>(flags.first_seed + i);
    PushtEnvironment environment(seed);
    ControlEvents events;
    events.is_cancelled = was_interrupted;
    if (pictures != nullptr) {
      events.on_tick = [&](const ControlTick& tick) { pictures->add(seed, environment, tick); };
    }
    const EpisodeResult result = loop.run(environment, seed, flags.n_steps, events);
    spans.add("drive", fmt::format("seed {}", seed));
    if (pictures != nullptr) {
      pictures->end_episode(result);
      spans.add("draw", fmt::format("seed {}", seed));
    }
    if (!result.was_cancelled) episodes.push_back({seed, result});
    if (!flags.pictures.is_watched) progress.update(i + 1);
  }
  if (!was_interrupted()) progress.finish();
}

// Keeps the first error of several steps that are all to be tried.
class FirstError {
 public:
  template <typename Step>
  void of(Step step) {
    try {
      step();
    } catch (...) {
      if (!error_) error_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
};

int run_control(ControlFlags flags) {
  flags.loop.mode = checked_flag([&] { return parse_control_mode(flags.mode); });
  check_json_path(flags.json_path);
  if (flags.ledger.kind == LedgerChoice::Kind::kVerify) {
    throw UsageError(
        "--ledger verify: one episode proves nothing here; reprise eval pusht runs "
        "policies on the same seeds with the same noise");
  }
  if (flags.first_seed + static_cast<uint64_t>(flags.n_seeds) > uint64_t{1} << 32) {
    throw UsageError(fmt::format("--first-seed {}: {} seeds from there on do not fit into 32 bits",
                                 flags.first_seed, flags.n_seeds));
  }
  SpanRecorder spans;
  const Backend backend = flags.robot.policy.backend();
  const LoadedRobot robot(flags.robot, backend);
  flags.loop.rate_hz = flags.rate_hz.value_or(robot.model->control_hz);
  DiffusionPlanner planner(*robot.policy);
  checked_flag([&] { return flags.loop.check(planner.shape()), 0; });
  ControlLoop loop(planner, flags.loop);
  spans.add("load", "model");

  std::optional<EpisodePictures> pictures;
  flags.pictures.is_watched = flags.pictures.is_watched && spdlog::should_log(spdlog::level::info);
  if (flags.pictures.is_any()) {
    const std::string detail =
        fmt::format("{}  {}  {}", flags.robot.branch_text(), robot.sampler, flags.mode);
    pictures.emplace(flags.pictures, detail, flags.loop.rate_hz, flags.loop.is_realtime);
  }
  // What is whole is shown and written whatever becomes of a later episode.
  std::vector<Episode> episodes;
  FirstError error;
  error.of([&] { run_episodes(flags, loop, pictures ? &*pictures : nullptr, spans, episodes); });
  error.of([&] { loop.finish(); });
  if (episodes.empty()) error.rethrow();
  error.of([&] {
    if (pictures) pictures->finish();
  });
  if (!episodes.empty()) print_table(episodes);
  Ledger ledger = control_ledger(robot.policy->counts(), loop.report(),
                                 robot.sampler + " " + flags.robot.branch_text());
  ledger.spans = spans.take();
  print_ledger(ledger, flags.ledger);
  error.of([&] {
    if (flags.json_path.empty()) return;
    write_eval_json(to_json(flags, robot, episodes, ledger), flags.json_path);
  });
  error.rethrow();
  return was_interrupted() ? kExitInterrupted : 0;
}

void add_flags(CLI::App& verb, ControlFlags& flags) {
  add_robot_flags(verb, flags.robot);
  verb.add_option("--seeds", flags.n_seeds, "episodes, one a seed")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb.add_option("--first-seed", flags.first_seed,
                  "seed of the first one; the published scores are of 100000 to 100049")
      ->capture_default_str();
  verb.add_option("--steps", flags.n_steps, "control steps of an episode at most")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb.add_option("--mode", flags.mode,
                  "sync: the robot waits for each plan, as in the published protocol; async: the "
                  "next chunk is planned while this one is executed; async+inpaint: and planned to "
                  "continue the actions that will have happened by then")
      ->type_name("MODE")
      ->capture_default_str();
  verb.add_option(
          "--rate", flags.rate_hz,
          "control steps a second; default: the model's. A step of Push-T is 0.1 s of its own "
          "time whatever the rate")
      ->type_name("HZ");
  verb.add_option("--latency-steps", flags.loop.latency_steps,
                  "control steps that pass before a plan is there, of async modes: in simulated "
                  "time exactly, with --realtime what the loop expects at least")
      ->capture_default_str();
  verb.add_flag("--realtime", flags.loop.is_realtime,
                "run by the clock, with an inference thread; without it time is simulated");
  verb.add_option("--video", flags.pictures.video,
                  "write the episodes, one after the other, as a video: a name that ends in .mp4 "
                  "or .webm")
      ->type_name("FILE");
  verb.add_option("--frames", flags.pictures.frames,
                  "write every control step as a PNG file into this folder")
      ->type_name("DIR");
  verb.add_flag("--watch", flags.pictures.is_watched,
                "show the robot in the terminal (a line a step where there is none)");
  add_ledger_flag(verb, flags.ledger);
  verb.add_option("--json", flags.json_path, "write scores and ledger as JSON")->type_name("FILE");
}

}  // namespace

void add_control(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("control", "drive a robot with a diffusion policy");
  auto flags = std::make_shared<ControlFlags>();
  add_flags(*verb, *flags);
  verb->footer(
      "Examples:\n"
      "  reprise control pusht-demo --seeds 3 --watch --video push.mp4\n"
      "  reprise control pusht-demo --branch bac:updates=10,bubbling=5 --realtime --mode async");
  verb->callback([flags, &exit_code] { exit_code = run_control(*flags); });
}

}  // namespace reprise
