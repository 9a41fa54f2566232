#include "cli/eval.h"

#include "cli/eval_dllm.h"
#include "cli/eval_ppl.h"
#include "cli/eval_pusht.h"
#include "cli/eval_recall.h"

namespace reprise {

void add_eval(CLI::App& app, int& exit_code) {
  CLI::App* verb = app.add_subcommand("eval", "measure what policies cost in quality");
  verb->require_subcommand(1);
  add_eval_dllm(*verb, exit_code);
  add_eval_ppl(*verb, exit_code);
  add_eval_pusht(*verb, exit_code);
  add_eval_recall(*verb, exit_code);
  verb->footer(
      "Examples:\n"
      "  reprise eval ppl smollm2 -f README.md --ctx 512 --kv full --kv cake:budget=64\n"
      "  reprise eval recall smollm2 --kv full --kv cake:budget=256 --n 20");
}

}  // namespace reprise
