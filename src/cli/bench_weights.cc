#include "cli/bench_weights.h"

#include <memory>

#include "cli/bench_report_flags.h"
#include "cli/bench_text.h"
#include "cli/compute_flags.h"
#include "cli/interrupt.h"
#include "engines/generate/weights_bench.h"
#include "engines/text_model.h"

namespace reprise {
namespace {

struct WeightsFlags {
  std::string model = "smollm2";
  std::string text;
  WeightsBenchOptions options;
  ReportFlags report;
};

int run_weights(WeightsFlags flags) {
  check_folders(flags.report);
  flags.options.n_threads = started_threads(flags.options.n_threads);
  flags.options.check();
  const std::string text = read_bench_text(flags.text);
  const std::shared_ptr<const TextModel> model = TextModel::load(flags.model);
  const std::vector<int32_t> tokens = model->tokenizer.tokenize(text, false, false);
  write_report(bench_weights(model->decoder, model->file->path(), tokens, flags.options,
                             [] { throw_if_interrupted(); }),
               flags.report);
  return 0;
}

}  // namespace

void add_bench_weights(CLI::App& bench, int& exit_code) {
  auto flags = std::make_shared<WeightsFlags>();
  CLI::App* verb = bench.add_subcommand(
      "weights", "prompts by each word of --weights: speed, copies and what they cost in quality");
  verb->add_option("model", flags->model, "name of a model ('reprise list') or path of a GGUF file")
      ->capture_default_str();
  verb->add_option("--weights-list", flags->options.words, "words of --weights; default: all")
      ->delimiter(',')
      ->check(weight_word_check());
  verb->add_option("--contexts", flags->options.contexts, "prompt lengths in tokens, rising")
      ->delimiter(',')
      ->capture_default_str();
  add_threads_flag(*verb, flags->options.n_threads);
  CLI::Option* runs = verb->add_option("--runs", flags->options.n_runs, "rounds")
                          ->check(CLI::Range(1, 1000))
                          ->capture_default_str();
  auto is_quick = std::make_shared<bool>(false);
  verb->add_flag("--quick", *is_quick, "two rounds, one scored context");
  add_bench_text_flag(*verb, flags->text);
  add_report_flags(*verb, flags->report);
  verb->footer(
      "Examples:\n"
      "  reprise bench weights smollm2 --quick\n"
      "  reprise bench weights smollm2 --weights-list as-is,expand=q8_0 --contexts 512 --json "
      "w.json");
  verb->callback([flags, runs, is_quick, &exit_code] {
    if (*is_quick) {
      if (runs->count() == 0) flags->options.n_runs = 2;
      flags->options.n_scored_contexts = 1;
    }
    exit_code = run_weights(*flags);
  });
}

}  // namespace reprise
