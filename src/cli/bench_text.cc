#include "cli/bench_text.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/atomic_file.h"
#include "core/error.h"

namespace reprise {
namespace {

constexpr size_t kMaxTextBytes = size_t{64} << 20;

}  // namespace

void add_bench_text_flag(CLI::App& verb, std::string& text) {
  verb.add_option("--text", text, "a text of your own to read; default: examples/texts/alice.txt")
      ->type_name("FILE");
}

std::string read_bench_text(const std::string& given) {
  const std::string path = given.empty() ? REPRISE_SOURCE_DIR "/examples/texts/alice.txt" : given;
  if (given.empty() && !std::filesystem::exists(path)) {
    throw Error(fmt::format("{} is not here; give another text with --text FILE", path));
  }
  return read_file(path, kMaxTextBytes);
}

}  // namespace reprise
