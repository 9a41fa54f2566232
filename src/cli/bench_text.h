#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace reprise {

// --text FILE, of the benches that read a text.
void add_bench_text_flag(CLI::App& verb, std::string& text);
// That file, or the source tree's example when none is given. Throws Error when it is not there.
std::string read_bench_text(const std::string& given);

}  // namespace reprise
