#include "engines/generate/peer_process.h"

#include <fmt/format.h>

#include <cstdlib>

#include "core/error.h"

namespace reprise {

PeerProcess::PeerProcess(const Options& options)
    : process_({options.program, options.model, std::to_string(options.n_threads),
                std::to_string(options.n_ctx), options.is_flash ? "1" : "0"}) {
  const std::string line = process_.read_line();
  if (!line.starts_with("ready ")) throw Error(fmt::format("{}: {}", process_.program(), line));
  weight_buffers_ = line.substr(6);
}

double PeerProcess::ask(const char* command, std::span<const int32_t> numbers) {
  process_.write_line(fmt::format("{} {}", command, fmt::join(numbers, " ")));
  const std::string answer = process_.read_line();
  char* rest = nullptr;
  const double seconds = std::strtod(answer.c_str(), &rest);
  if (rest == answer.c_str() || *rest != '\0')
    throw Error(fmt::format("{}: {}: {}", process_.program(), command, answer));
  return seconds;
}

}  // namespace reprise
