#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "engines/control/error_surge.h"
#include "engines/control/pusht_eval.h"

namespace reprise {

// What `reprise eval pusht` shows: tables on standard output, rows for --json.
void print_results(std::span<const PushtMethodResult> results);
void print_surges(std::span<const ErrorSurge> surges);
// The scores of all episodes among it, in the order of their seeds.
nlohmann::ordered_json result_json(const PushtMethodResult& result);
// first: whose updates the average over all feed-forwards is taken at.
nlohmann::ordered_json surge_json(const ErrorSurge& surge, const ErrorSurge& first);

}  // namespace reprise
