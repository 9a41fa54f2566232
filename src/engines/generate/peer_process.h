#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/line_process.h"

namespace reprise {

// libllama with OpenMP in a process of its own (bench/peer_openmp): one process cannot hold ggml
// twice. Between calls it sleeps.
class PeerProcess {
 public:
  struct Options {
    std::string program;  // path of reprise_peer
    std::string model;    // path of a GGUF file
    int32_t n_threads = 1;
    int32_t n_ctx = 2048;
    bool is_flash = false;
  };
  // Starts it and waits until the model is loaded. Throws Error when it does not start, or with
  // what it says.
  explicit PeerProcess(const Options& options);

  // As LibllamaPeer's; each returns the seconds it took inside that process, and throws Error with
  // what it says or when it has ended.
  double clear() { return ask("clear", {}); }
  double append(std::span<const int32_t> tokens) { return ask("append", tokens); }
  double extend(std::span<const int32_t> tokens) { return ask("extend", tokens); }
  double rewind(int32_t n_past) { return ask("rewind", {&n_past, 1}); }
  double decode(std::span<const int32_t> tokens) { return ask("decode", tokens); }  // one by one
  const std::string& weight_buffers() const { return weight_buffers_; }

 private:
  double ask(const char* command, std::span<const int32_t> numbers);

  LineProcess process_;
  std::string weight_buffers_;
};

}  // namespace reprise
