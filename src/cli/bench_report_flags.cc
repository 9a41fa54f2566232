#include "cli/bench_report_flags.h"

#include <fmt/format.h>

#include <span>

#include "core/atomic_file.h"
#include "core/bench_html.h"

namespace reprise {

void add_report_flags(CLI::App& verb, ReportFlags& flags) {
  verb.add_option("--json", flags.json, "write everything measured to this file")
      ->type_name("FILE");
  verb.add_option("--html", flags.html, "write a page with plots to this file; it needs no network")
      ->type_name("FILE");
}

void check_folders(const ReportFlags& flags) {
  for (const std::string& path : {flags.json, flags.html}) {
    if (!path.empty()) check_folder_of(path);
  }
}

void write_report(const BenchReport& report, const ReportFlags& flags) {
  fmt::print("{}", bench_table(report));
  const auto write = [](const std::string& path, const std::string& text) {
    if (!path.empty()) write_file(path, std::as_bytes(std::span(text)));
  };
  write(flags.json, bench_json(report));
  write(flags.html, bench_html(report));
}

}  // namespace reprise
