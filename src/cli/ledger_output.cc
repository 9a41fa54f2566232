#include "cli/ledger_output.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cstdio>
#include <span>
#include <string_view>
#include <utility>

#include "core/atomic_file.h"
#include "core/did_you_mean.h"

namespace reprise {
namespace {

using Kind = LedgerChoice::Kind;

constexpr std::string_view kTrace = "trace=";
constexpr std::array<std::pair<std::string_view, Kind>, 4> kKinds = {{{"off", Kind::kOff},
                                                                      {"table", Kind::kTable},
                                                                      {"json", Kind::kJson},
                                                                      {"verify", Kind::kVerify}}};

LedgerChoice parse_choice(const std::string& text) {
  for (const auto& [name, kind] : kKinds) {
    if (text == name) return {kind, ""};
  }
  if (text.starts_with(kTrace) && text.size() > kTrace.size()) {
    const std::string path = text.substr(kTrace.size());
    check_folder_of(path);  // before the run, not behind it
    return {Kind::kTrace, path};
  }
  constexpr std::array<std::string_view, 5> kKnown = {"off", "table", "json", "verify",
                                                      "trace=FILE"};
  throw CLI::ValidationError(
      fmt::format("--ledger {}: no such kind{} off, table, json, verify "
                  "and trace=FILE are",
                  text, did_you_mean(text, kKnown)));
}

}  // namespace

void add_ledger_flag(CLI::App& verb, LedgerChoice& choice) {
  verb.add_option_function<std::string>(
          "--ledger", [&choice](const std::string& text) { choice = parse_choice(text); },
          "what was computed, kept and dropped: off, table (default), json, trace=FILE for "
          "Perfetto, "
          "or verify, which also runs --exact and prints the difference")
      ->type_name("KIND");
}

void print_ledger(const Ledger& ledger, const LedgerChoice& choice) {
  switch (choice.kind) {
    case Kind::kOff:
      return;
    case Kind::kJson:
      fmt::print(stderr, "{}", ledger_json(ledger));
      return;
    case Kind::kTrace: {
      const std::string trace = ledger_trace(ledger);
      write_file(choice.path, std::as_bytes(std::span(trace)));
      return;
    }
    case Kind::kTable:
    case Kind::kVerify:
      if (spdlog::should_log(spdlog::level::info)) fmt::print(stderr, "{}", ledger_table(ledger));
  }
}

}  // namespace reprise
