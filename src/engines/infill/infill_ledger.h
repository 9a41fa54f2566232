#pragma once

#include <cstdint>
#include <string>

#include "core/ledger.h"
#include "engines/infill/infill.h"

namespace reprise {

// Seconds and bytes of filling one text, as Infiller counts them.
struct InfillCost {
  double pass_s = 0;   // of passes
  double total_s = 0;  // of all
  double row_s = 0;    // of one row of a pass over all rows
  int64_t peak_cache_bytes = 0;
};

// The ledger of one filled text. A token row of a pass was computed or reused; what reuse saves is
// an estimate, the seconds of a row in passes over all rows times a count. A position was filled,
// or dropped behind the answer's end. The list "spans" says of every span where it begins (in
// positions of the answer or gap's canvas), how long it is and why, and how many passes it took.
// `policy` is the text of the policies.
Ledger infill_ledger(const InfillResult& result, const InfillCost& cost, const std::string& policy);

// "delimiter", as traces name it.
std::string_view to_string(SpanReason reason);

// How far two runs wrote the same at the positions to fill; of answers, up to the longer one's end.
struct InfillAgreement {
  int32_t n = 0;                 // positions compared
  int32_t n_same = 0;            // of them with the same token
  int32_t first_different = -1;  // position of the canvas; -1: none
};
// Both of the same canvas.
InfillAgreement agreement(const InfillResult& a, const InfillResult& b);

}  // namespace reprise
