#pragma once

#include <string>

#include "core/ledger.h"
#include "engines/generate/answer.h"
#include "engines/generate/sequence.h"

namespace reprise {

// The ledger of the sequence's last turn: an entry of an eligible layer (not sliding-window) that
// the turn made or judged is kept or dropped. A list "kv_layers" has each layer's share of a budget
// that was split. What a drop saves is the reading of that entry in every later decode step: an
// estimate, entry_cost_s (measure_entry_cost) times a count. `policy` is the text
// given to --kv.
Ledger text_ledger(Sequence& sequence, const AnswerReport& answer, const std::string& policy,
                   double entry_cost_s);

}  // namespace reprise
