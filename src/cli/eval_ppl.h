#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise eval ppl MODEL -f FILE`: perplexity of a text under KV policies.
void add_eval_ppl(CLI::App& eval, int& exit_code);

}  // namespace reprise
