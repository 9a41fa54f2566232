#include "cli/control.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "cli/control_check.h"
#include "cli/control_episodes.h"
#include "cli/episode_pictures.h"
#include "cli/eval_flags.h"
#include "cli/exit_codes.h"
#include "cli/interrupt.h"
#include "cli/ledger_output.h"
#include "cli/outside_warning.h"
#include "cli/robot_flags.h"
#include "cli/span_recorder.h"
#include "cli/usage_error.h"
#include "core/machine.h"
#include "core/sample_mean.h"
#include "engines/control/control_ledger.h"
#include "engines/control/control_loop.h"
#include "engines/control/diffusion_planner.h"
#include "engines/control/recording_planner.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

struct ControlFlags {
  RobotFlags robot;
  ControlOptions loop;
  std::string mode = "sync";
  std::optional<double> rate_hz;  // else the model's
  EpisodeRange episodes;
  PictureFlags pictures;
  LedgerChoice ledger;
  std::string json_path;
};

ordered_json to_json(const ControlFlags& flags, const LoadedRobot& robot,
                     std::span<const DrivenEpisode> episodes, const Ledger& ledger,
                     const std::optional<ControlCheck>& check) {
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
                      {"score", to_json(sample_mean(scores(episodes)))},
                      {"success", to_json(sample_mean(successes(episodes)))},
                      {"episodes", episodes_json(episodes)}};
  if (check) out["verify"] = check_json(*check);
  out["ledger"] = ordered_json::parse(ledger_json(ledger));
  return out;
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
  if (flags.episodes.first_seed + static_cast<uint64_t>(flags.episodes.n) > uint64_t{1} << 32) {
    throw UsageError(fmt::format("--first-seed {}: {} seeds from there on do not fit into 32 bits",
                                 flags.episodes.first_seed, flags.episodes.n));
  }
  SpanRecorder spans;
  const Backend backend = flags.robot.policy.backend();
  const LoadedRobot robot(flags.robot, backend);
  flags.loop.rate_hz = flags.rate_hz.value_or(robot.model->control_hz);
  DiffusionPlanner planner(*robot.policy);
  checked_flag([&] { return flags.loop.check(planner.shape()), 0; });
  const bool is_verified = flags.ledger.kind == LedgerChoice::Kind::kVerify;
  RecordingPlanner recording(planner);
  ControlLoop loop(is_verified ? static_cast<ChunkPlanner&>(recording) : planner, flags.loop);
  spans.add("load", "model");

  std::optional<EpisodePictures> pictures;
  flags.pictures.is_watched = flags.pictures.is_watched && spdlog::should_log(spdlog::level::info);
  if (flags.pictures.is_any()) {
    const std::string detail =
        fmt::format("{}  {}  {}", flags.robot.branch_text(), robot.sampler, flags.mode);
    pictures.emplace(flags.pictures, detail, flags.loop.rate_hz, flags.loop.is_realtime);
  }
  // What is whole is shown and written whatever becomes of a later episode.
  std::vector<DrivenEpisode> episodes;
  FirstError error;
  error.of([&] {
    drive_episodes(flags.episodes, flags.pictures.is_watched ? "" : "driving", loop,
                   {pictures ? &*pictures : nullptr, &spans}, episodes);
  });
  error.of([&] { loop.finish(); });
  warn_of_outside(robot.policy->counts().n_obs_outside);
  if (episodes.empty()) error.rethrow();
  error.of([&] {
    if (pictures) pictures->finish();
  });
  if (!episodes.empty()) print_episodes(episodes);
  Ledger ledger = control_ledger(robot.policy->counts(), loop.report(),
                                 robot.sampler + " " + flags.robot.branch_text());
  ledger.spans = spans.take();
  print_ledger(ledger, flags.ledger);
  std::optional<ControlCheck> check;
  error.of([&] {
    if (!is_verified || std::ssize(episodes) < flags.episodes.n) return;
    check = check_against_exact(robot, backend, flags.loop, flags.episodes, episodes,
                                recording.plans());
    print_check(*check, ledger);
  });
  error.of([&] {
    if (flags.json_path.empty()) return;
    write_eval_json(to_json(flags, robot, episodes, ledger, check), flags.json_path);
  });
  error.rethrow();
  return was_interrupted() ? kExitInterrupted : 0;
}

void add_flags(CLI::App& verb, ControlFlags& flags) {
  add_robot_flags(verb, flags.robot);
  verb.add_option("--seeds", flags.episodes.n, "episodes, one a seed")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  verb.add_option("--first-seed", flags.episodes.first_seed,
                  "seed of the first one; the published scores are of 100000 to 100049")
      ->capture_default_str();
  verb.add_option("--steps", flags.episodes.n_steps, "control steps of an episode at most")
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
