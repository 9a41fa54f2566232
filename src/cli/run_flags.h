#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/generate_flags.h"
#include "cli/infill_flags.h"
#include "cli/ledger_output.h"
#include "engines/generate/prompt.h"

namespace reprise {

// Flags of `reprise run`, for models of either kind.
struct RunFlags {
  GenerateFlags generate;
  InfillFlags infill;
  std::string prompt;
  std::string file;
  std::string truncate;
  std::string compress_after = "prompt";
  LedgerChoice ledger;
  bool is_raw = false;
};

void add_run_flags(CLI::App& verb, RunFlags& flags);

// The message of --prompt and of --file or a pipe, without the document's last line breaks. Throws
// Error when it cannot be read, is no UTF-8, or is empty.
UserMessage read_message(const RunFlags& flags);
// One text as it is, out of --prompt or else of --file or a pipe. Throws Error, also for both.
std::string read_text(const RunFlags& flags);

}  // namespace reprise
