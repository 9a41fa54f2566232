#pragma once

#include <string>

#include "core/bench_report.h"

namespace reprise {

// The report as one page with its plots inside: no network, no script, light and dark, readable on
// a phone.
std::string bench_html(const BenchReport& report);

}  // namespace reprise
