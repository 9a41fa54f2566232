#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "cli/generate_flags.h"
#include "engines/infill/infill_sequence.h"
#include "engines/text_model.h"

namespace reprise {

// Flags that `reprise run` takes with a diffusion language model.
struct InfillFlags {
  std::string span = "fixed:len=32";
  std::string commit = "threshold:tau=0.9";
  std::string refresh = "dual";
  std::string cache_type = "f16";
  int32_t n_canvas = -1;  // 0: as many rows as the text has; -1: what the model's file says
  bool is_gapped = false;
  bool is_watched = false;
};

// How a text is filled, and the text of the policies, as the ledger names them.
struct InfillChoice {
  InfillOptions options;
  std::string policy;
};

void add_infill_flags(CLI::App& verb, InfillFlags& flags);

// What the flags ask for. Of --top-p and --top-k counts what the user gave: their defaults are
// those of causal models. Throws UsageError.
InfillChoice infill_choice(const CLI::App& verb, const InfillFlags& flags,
                           const GenerateFlags& generate);
// With every policy off, as --exact asks for: one token a pass, in spans of 16, and nothing reused.
InfillChoice exact_infill_choice(const CLI::App& verb, const GenerateFlags& generate);

// Throws UsageError for a flag that was given and belongs to models of the other kind.
void check_flags_of_kind(const CLI::App& verb, const TextModel& model);

}  // namespace reprise
