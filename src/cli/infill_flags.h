#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <string_view>

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
  std::string eos = "stop";
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
InfillChoice exact_infill_choice(const CLI::App& verb, const InfillFlags& flags,
                                 const GenerateFlags& generate);

// --eos NAME: what end tokens of an answer do.
CLI::Option* add_eos_flag(CLI::App& verb, std::string& eos);
struct EndChoice {
  bool stops_at_end = true;
  EndTokens end_tokens = EndTokens::kAsAny;
};
EndChoice end_choice(std::string_view eos);

// Warns when the span policy takes the model's end token for a delimiter. Throws Error.
void warn_of_end_delimiter(const SpanPolicy& span, const TextModel& model);

// Throws UsageError for a flag that was given and belongs to models of the other kind.
void check_flags_of_kind(const CLI::App& verb, const TextModel& model);

}  // namespace reprise
