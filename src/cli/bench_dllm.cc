#include "cli/bench_dllm.h"

#include <filesystem>
#include <memory>

#include "cli/bench_report_flags.h"
#include "cli/compute_flags.h"
#include "cli/infill_flags.h"
#include "cli/interrupt.h"
#include "core/model_folders.h"
#include "engines/infill/dllm_bench.h"
#include "policies/registry.h"

namespace reprise {
namespace {

struct DllmBenchFlags {
  std::string model = "dllm-demo";
  bool is_quick = false;
  ComputeFlags compute;
  DllmBenchOptions options;
  ReportFlags report;
};

std::vector<DllmPrompt> prompts_beside(const std::string& model, const char* name) {
  return read_dllm_prompts(
      std::filesystem::path(find_model(model)).replace_filename(name).string());
}

int run_dllm(const DllmBenchFlags& flags) {
  check_folders(flags.report);
  const Backend backend = flags.compute.backend();
  const std::shared_ptr<const TextModel> model =
      flags.compute.load(flags.model, backend, TextKind::kMasked);
  warn_of_end_delimiter(*make_span_policy("adablock"), *model);
  write_report(bench_dllm(*model, backend, prompts_beside(flags.model, "heldout.jsonl"),
                          prompts_beside(flags.model, "published.jsonl"), flags.options,
                          [] { throw_if_interrupted(); }),
               flags.report);
  return 0;
}

}  // namespace

void add_bench_dllm(CLI::App& bench, int& exit_code) {
  auto flags = std::make_shared<DllmBenchFlags>();
  CLI::App* verb = bench.add_subcommand(
      "dllm", "a diffusion language model: spans, caches, one token a pass, and libllama");
  verb->add_option("model", flags->model,
                   "name of a model ('reprise list') or path, with heldout.jsonl and "
                   "published.jsonl beside it")
      ->capture_default_str();
  CLI::Option* rounds = verb->add_option("--runs", flags->options.n_rounds, "rounds of speed")
                            ->check(CLI::Range(1, 200))
                            ->capture_default_str();
  CLI::Option* n =
      verb->add_option("--n", flags->options.n_per_task, "prompts of each task for quality by span")
          ->check(CLI::Range(1, 1 << 20))
          ->capture_default_str();
  CLI::Option* exact = verb->add_option("--exact-n", flags->options.n_exact,
                                        "published prompts of each task, one token a pass; 0: none")
                           ->check(CLI::Range(0, 1 << 20))
                           ->capture_default_str();
  verb->add_option("--pad-canvas", flags->options.eval.n_canvas,
                   "pad every text to N rows with end tokens, 0 for no padding; default: what the "
                   "model's file says")
      ->check(CLI::Range(0, 1 << 20));
  verb->add_flag("--quick", flags->is_quick,
                 "two rounds, 3 prompts of each task, no published ones: under two minutes");
  add_compute_flags(*verb, flags->compute);
  add_report_flags(*verb, flags->report);
  verb->footer(
      "Examples:\n"
      "  reprise bench dllm --quick\n"
      "  reprise bench dllm dllm-demo --json dllm.json --html dllm.html");
  verb->callback([=, &exit_code] {
    if (flags->is_quick) {
      if (rounds->count() == 0) flags->options.n_rounds = 2;
      if (n->count() == 0) flags->options.n_per_task = 3;
      if (exact->count() == 0) flags->options.n_exact = 0;
    }
    exit_code = run_dllm(*flags);
  });
}

}  // namespace reprise
