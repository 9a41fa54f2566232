#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "core/ledger.h"

namespace reprise {

// What --ledger asks for.
struct LedgerChoice {
  enum class Kind { kOff, kTable, kJson, kTrace, kVerify };
  Kind kind = Kind::kTable;
  std::string path;  // of a trace
};

// Adds --ledger off|table|json|verify|trace=FILE to a verb; `choice` is checked while parsing,
// which throws Error when the folder of a trace is not there.
void add_ledger_flag(CLI::App& verb, LedgerChoice& choice);

// Prints the ledger to standard error, or writes the trace's file, complete or absent. Tables are
// silent with -q. Throws Error when the file cannot be written.
void print_ledger(const Ledger& ledger, const LedgerChoice& choice);

}  // namespace reprise
