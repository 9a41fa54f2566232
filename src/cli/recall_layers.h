#pragma once

#include <span>

#include "engines/generate/recall_eval.h"

namespace reprise {

// Prints how far attention's output is from the full cache's: a table for each protocol, layers by
// policies. rows: protocol by protocol.
void print_recall_layers(std::span<const RecallRow> rows);

}  // namespace reprise
