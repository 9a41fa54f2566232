// How the Push-T world agrees with Chipmunk 7.0.3: the four named motions, episodes of the scripted
// expert, and random motions that wedge the block. Ends with 1 when a target is missed.

#include "support/pusht_conformance.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>

#include "cli/bench_report_flags.h"

namespace {

using reprise::BenchFormat;
using reprise::BenchReport;
using reprise::BenchSample;
using Kind = reprise::BenchTarget::Kind;

BenchSample once(double value) { return {1, value, value, value}; }

BenchReport report_of(const reprise::ConformanceReport& found) {
  BenchReport report;
  report.bench = "pusht_conformance";
  report.title = "Push-T against Chipmunk";
  report.machine = reprise::this_machine();
  report.facts = {{"peer", "Chipmunk 7.0.3"}};
  report.setting = "episodes";
  report.columns = {
      {.key = "largest_difference_px", .title = "worst px", .format = BenchFormat::kSmall},
      {.key = "share_within_1e-6", .title = "within 1e-6", .format = BenchFormat::kShare},
      {.key = "share_within_1e-5", .title = "within 1e-5", .format = BenchFormat::kShare},
      {.key = "share_within_1e-3", .title = "within 1e-3", .format = BenchFormat::kShare},
  };
  double worst_motion = 0;
  for (const auto& motion : found.motions) {
    worst_motion = std::max(worst_motion, motion.largest_difference);
    report.rows.push_back(
        {motion.name, 1, {{"largest_difference_px", once(motion.largest_difference)}}});
  }
  report.rows.push_back({"scripted expert",
                         found.n_episodes,
                         {{"largest_difference_px", once(found.largest_difference)},
                          {"share_within_1e-6", once(found.share_within_1e6)},
                          {"share_within_1e-3", once(found.share_within_1e3)}}});
  report.rows.push_back({"random, wedged",
                         found.n_wedged,
                         {{"largest_difference_px", once(found.wedged_largest_difference)},
                          {"share_within_1e-5", once(found.wedged_share_within_1e5)}}});
  report.ratios = {
      {"conformance_share_within_1e-6", once(found.share_within_1e6), {{Kind::kAtLeast, 0.97}}},
      {"replayed_success_share", once(found.replayed_success_share), {{Kind::kAtLeast, 1}}},
      {"motions_largest_error_px", once(worst_motion), {{Kind::kAtMost, 1e-6}}},
      {"expert_success_share", once(found.solved_share)},
      {"wedged_share_within_1e-5", once(found.wedged_share_within_1e5)},
  };
  report.notes = {
      "Differences are the largest of any control step, of the agent or of the block's outline. An "
      "episode is the expert's until it has solved the task; its actions are replayed in Chipmunk "
      "from the same start.",
      "Nothing is promised of the wedged motions: random targets all over the window press the "
      "block between agent and walls, where the order of contacts decides."};
  return report;
}

int32_t conformance(int argc, char** argv) {
  CLI::App app("How the Push-T world agrees with Chipmunk 7.0.3.", "pusht_conformance");
  int32_t n_episodes = 100;
  app.add_option("episodes", n_episodes, "of the scripted expert, and of wedged motions")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  reprise::ReportFlags flags;
  reprise::add_report_flags(app, flags);
  CLI11_PARSE(app, argc, argv);
  reprise::check_folders(flags);
  const BenchReport report = report_of(reprise::pusht_conformance(n_episodes));
  reprise::write_report(report, flags);
  const bool is_met = std::ranges::all_of(report.ratios, [](const reprise::BenchRatio& ratio) {
    return !ratio.target || ratio.target->is_met(ratio.value.median);
  });
  return is_met ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return conformance(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pusht_conformance: %s\n", error.what());
    return 1;
  }
}
