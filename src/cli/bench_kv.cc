#include "cli/bench_kv.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "cli/bench_report_flags.h"
#include "cli/bench_text.h"
#include "cli/compute_flags.h"
#include "cli/explain.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/usage_error.h"
#include "core/error.h"
#include "core/program_place.h"
#include "engines/generate/kv_bench.h"
#include "engines/generate/named_policy.h"
#include "engines/text_model.h"

namespace reprise {
namespace {

struct KvFlags {
  std::string model = "smollm2";
  std::string text;
  ComputeFlags compute;
  bool is_quick = false;
  bool has_openmp_peer = false;
  KvBenchOptions options;
  ReportFlags report;
};

std::string openmp_peer() {
  const std::filesystem::path path = program_place().folder / "reprise_peer";
  if (!std::filesystem::exists(path)) {
    throw Error(fmt::format(
        "--peer-openmp: {} is not built; run 'make peer' in the source tree, or leave the flag out",
        path.string()));
  }
  return path.string();
}

int run_kv(const KvFlags& flags) {
  check_folders(flags.report);
  checked_flag([&] {
    flags.options.check();
    named_policies(flags.options.more_policies);
  });
  KvBenchOptions options = flags.options;
  if (flags.has_openmp_peer) options.openmp_peer = openmp_peer();
  const std::string text = read_bench_text(flags.text);
  Backend backend = flags.compute.backend();
  if (!backend.has_kernels()) {
    throw Error("bench kv compares with libllama on the CPU's cores; leave --device out");
  }
  const std::shared_ptr<const TextModel> model = flags.compute.load(flags.model, backend);
  explain_weights(*model, flags.compute);
  const std::vector<int32_t> tokens = model->tokenizer.tokenize(text, false, false);
  std::optional<Progress> progress;
  KvBenchEvents events;
  events.on_begin = [&](const std::string& what, int64_t n_total) {
    progress.emplace(what, "tokens", n_total);
  };
  events.on_progress = [&](int64_t n_done) {
    throw_if_interrupted();
    progress->update(n_done);
  };
  events.on_end = [&] { progress->finish(); };
  write_report(bench_kv(model->decoder, model->file->path(), backend, tokens, options, events),
               flags.report);
  return 0;
}

}  // namespace

void add_bench_kv(CLI::App& bench, int& exit_code) {
  auto flags = std::make_shared<KvFlags>();
  CLI::App* verb = bench.add_subcommand(
      "kv", "the KV policies against a full cache and against libllama: speed, memory, quality");
  verb->add_option("model", flags->model, "name of a model ('reprise list') or path of a GGUF file")
      ->capture_default_str();
  add_compute_flags(*verb, flags->compute);
  CLI::Option* contexts =
      verb->add_option("--contexts", flags->options.contexts, "prompt lengths in tokens, rising")
          ->delimiter(',')
          ->capture_default_str();
  verb->add_option("--runs", flags->options.n_runs, "decode runs of everyone")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  CLI::Option* prefill_runs =
      verb->add_option("--prefill-runs", flags->options.n_prefill_runs,
                       "prefill runs of everyone; default: as many as --runs")
          ->check(CLI::Range(1, 1000));
  CLI::Option* budget =
      verb->add_option("--budget", flags->options.budget, "KV entries a layer of every policy")
          ->check(CLI::Range(33, 1 << 24))
          ->capture_default_str();
  verb->add_option("--kv", flags->options.more_policies,
                   "one more policy to run, NAME:key=value,...; repeatable")
      ->allow_extra_args(false);
  add_bench_text_flag(*verb, flags->text);
  verb->add_flag(
      "--peer-openmp", flags->has_openmp_peer,
      "libllama runs with OpenMP too, in processes of its own; its fastest setting counts");
  verb->add_flag("--quick", flags->is_quick,
                 "under two minutes: contexts 128 and 1,024, budget 256, few policies");
  add_report_flags(*verb, flags->report);
  verb->footer(
      "Examples:\n"
      "  reprise bench kv smollm2 --quick --html kv.html\n"
      "  reprise bench kv smollm2 --contexts 2048 --kv cake:budget=512,decode=cake --json kv.json");
  verb->callback([flags, contexts, prefill_runs, budget, &exit_code] {
    KvBenchOptions& options = flags->options;
    if (flags->is_quick) {
      if (contexts->count() == 0) options.contexts = {128, 1024};
      if (budget->count() == 0) options.budget = 256;
      options.n_continuation = 32;
      options.skips_slack = true;
      options.has_all_policies = false;
    }
    if (prefill_runs->count() == 0) options.n_prefill_runs = options.n_runs;
    exit_code = run_kv(*flags);
  });
}

}  // namespace reprise
