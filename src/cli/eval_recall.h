#pragma once

#include <CLI/CLI.hpp>

namespace reprise {

// Adds `reprise eval recall MODEL`: questions about documents under KV policies.
void add_eval_recall(CLI::App& eval, int& exit_code);

}  // namespace reprise
