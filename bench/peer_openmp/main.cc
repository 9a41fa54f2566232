// libllama with OpenMP, for `reprise bench kv --peer-openmp`: reprise_peer FILE N_THREADS N_CTX
// FLASH(0 or 1)
//
// Says "ready BUFFERS" when the model is loaded, where the weights lie. Then each line of standard
// input is a command that one line of standard output answers with the seconds it took:
//   clear              forget everything
//   append ID...       read the tokens, without logits
//   extend ID...       read the tokens, with the last one's logits
//   rewind N           forget everything behind the first N tokens
//   decode ID...       extend one by one
// An error is answered with "error TEXT". It ends with its input.

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engines/generate/libllama_peer.h"

namespace reprise {
namespace {

std::vector<int32_t> numbers(std::istream& line) {
  std::vector<int32_t> out;
  for (int32_t n = 0; line >> n;) out.push_back(n);
  return out;
}

void obey(LibllamaPeer& peer, const std::string& command, const std::vector<int32_t>& n) {
  if (command == "clear") {
    peer.clear();
  } else if (command == "append") {
    peer.append(n);
  } else if (command == "extend") {
    peer.extend(n);
  } else if (command == "rewind") {
    peer.rewind(n.at(0));
  } else if (command == "decode") {
    for (const int32_t token : n) peer.extend({&token, 1});
  } else {
    throw std::runtime_error("no command '" + command + "'");
  }
}

void say(const std::string& line) { std::cout << line << std::endl; }

void serve(LibllamaPeer& peer) {
  using Clock = std::chrono::steady_clock;
  for (std::string text; std::getline(std::cin, text);) {
    std::istringstream line(text);
    std::string command;
    line >> command;
    const std::vector<int32_t> arguments = numbers(line);
    try {
      const Clock::time_point start = Clock::now();
      obey(peer, command, arguments);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      // OpenMP's threads go on spinning for a while, some 10 ms; whoever waits for the answer wants
      // the cores for himself.
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      say(fmt::format("{:.9f}", seconds));
    } catch (const std::exception& error) {
      say(fmt::format("error {}", error.what()));
    }
  }
}

int run(char** argv) {
  std::signal(SIGINT, SIG_IGN);  // Ctrl-C is for the bench, which then closes our input
  llama_log_set([](ggml_log_level /*level*/, const char* /*text*/, void* /*data*/) {}, nullptr);
  try {
    PeerOptions options;
    options.n_threads = std::atoi(argv[2]);
    options.n_ctx = std::atoi(argv[3]);
    options.is_flash = std::atoi(argv[4]) != 0;
    LibllamaPeer peer(argv[1], options);
    say("ready " + peer.weight_buffers());
    serve(peer);
  } catch (const std::exception& error) {
    say(fmt::format("error {}", error.what()));
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace reprise

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: reprise_peer FILE N_THREADS N_CTX FLASH(0 or 1)\n";
    return 2;
  }
  return reprise::run(argv);
}
