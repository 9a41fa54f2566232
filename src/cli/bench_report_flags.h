#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "core/bench_report.h"

namespace reprise {

// Where every bench leaves its report besides the table on standard output.
struct ReportFlags {
  std::string json;
  std::string html;
};

void add_report_flags(CLI::App& verb, ReportFlags& flags);
// Refuses at once what would otherwise be refused after the work: throws Error when a folder does
// not exist.
void check_folders(const ReportFlags& flags);
void write_report(const BenchReport& report, const ReportFlags& flags);

}  // namespace reprise
