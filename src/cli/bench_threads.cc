#include "cli/bench_threads.h"

#include <memory>

#include "cli/bench_report_flags.h"
#include "cli/bench_text.h"
#include "cli/compute_flags.h"
#include "cli/interrupt.h"
#include "engines/generate/thread_bench.h"
#include "engines/text_model.h"

namespace reprise {
namespace {

struct ThreadFlags {
  std::string model = "smollm2";
  std::string text;
  ThreadBenchOptions options;
  ReportFlags report;
};

int run_threads(const ThreadFlags& flags) {
  check_folders(flags.report);
  flags.options.check();
  const std::string text = read_bench_text(flags.text);
  const std::shared_ptr<const TextModel> model = TextModel::load(flags.model);
  const std::vector<int32_t> tokens = model->tokenizer.tokenize(text, false, false);
  write_report(bench_threads(model->decoder, model->file->path(), tokens, flags.options,
                             [] { throw_if_interrupted(); }),
               flags.report);
  return 0;
}

}  // namespace

void add_bench_threads(CLI::App& bench, int& exit_code) {
  auto flags = std::make_shared<ThreadFlags>();
  CLI::App* verb = bench.add_subcommand(
      "threads", "the full cache and libllama by number of threads, oversubscription included");
  verb->add_option("model", flags->model, "name of a model ('reprise list') or path of a GGUF file")
      ->capture_default_str();
  add_thread_list_flag(*verb, flags->options.thread_counts);
  verb->add_option("--contexts", flags->options.contexts, "prompt lengths in tokens, rising")
      ->delimiter(',')
      ->capture_default_str();
  CLI::Option* runs = verb->add_option("--runs", flags->options.n_runs, "rounds")
                          ->check(CLI::Range(1, 1000))
                          ->capture_default_str();
  auto is_quick = std::make_shared<bool>(false);
  verb->add_flag("--quick", *is_quick, "two rounds");
  add_bench_text_flag(*verb, flags->text);
  add_report_flags(*verb, flags->report);
  verb->footer(
      "Examples:\n"
      "  reprise bench threads smollm2 --quick\n"
      "  reprise bench threads smollm2 --threads-list 1,2,4 --contexts 128 --json threads.json");
  verb->callback([flags, runs, is_quick, &exit_code] {
    if (*is_quick && runs->count() == 0) flags->options.n_runs = 2;
    exit_code = run_threads(*flags);
  });
}

}  // namespace reprise
