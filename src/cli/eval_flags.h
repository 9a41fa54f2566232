#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/compute_flags.h"

namespace reprise {

// Flags that every kind of `eval` takes.
struct EvalFlags {
  std::string model;
  std::vector<std::string> default_kv;  // without --kv
  std::vector<std::string> kv;          // as given
  ComputeFlags compute;
  std::string json_path;
};

void add_eval_flags(CLI::App& verb, EvalFlags& flags);

// Refuses a FILE for --json whose folder cannot be written, before hours of work; empty: none.
// Throws Error.
void check_json_path(const std::string& path);
// Writes the numbers for --json, complete or absent. Throws Error.
void write_eval_json(const nlohmann::ordered_json& numbers, const std::string& path);

// A share and a mean for a table: "83.5 %", "0.0123".
std::string format_share(double share);
std::string format_nats(double nats);

}  // namespace reprise
