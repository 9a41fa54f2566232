#pragma once

#include <CLI/CLI.hpp>

#include "cli/infill_flags.h"
#include "cli/run_flags.h"
#include "cli/span_recorder.h"
#include "core/backend.h"
#include "core/op_trace.h"
#include "engines/text_model.h"

namespace reprise {

// What `reprise run` holds by the time it knows the model's kind.
struct LoadedRun {
  Backend& backend;
  const TextModel& model;
  SpanRecorder& spans;
  const ProductLog& products;  // that the backend writes to
  OpTrace* trace = nullptr;    // that the backend writes to; may be null
};

// The part of `reprise run` that belongs to diffusion language models: answers a message, or fills
// the gaps of a text, and returns the exit code. Throws Error.
int run_infill(const CLI::App& verb, const RunFlags& flags, const InfillChoice& choice,
               const LoadedRun& run);

}  // namespace reprise
