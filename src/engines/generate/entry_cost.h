#pragma once

#include "core/backend.h"
#include "core/kv_block.h"
#include "nets/decoder_model.h"

namespace reprise {

// Seconds that one decode step spends on one KV entry of one layer: measured on blocks of the given
// shape, as the difference between a long and a short cache, the fastest run of each. The unit cost
// behind the ledger's estimates.
double measure_entry_cost(const DecoderModel& model, const Backend& backend, const KvShape& shape);

}  // namespace reprise
