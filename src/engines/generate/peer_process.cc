#include "engines/generate/peer_process.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "core/error.h"

extern char** environ;

namespace reprise {
namespace {

// Our own environment without settings of OpenMP: its default makes threads spin for a short while
// and sleep then, which is how the peer is fast and leaves the cores to others between calls.
std::vector<char*> peer_environment() {
  std::vector<char*> out;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (!text.starts_with("OMP_") && !text.starts_with("GOMP_")) out.push_back(*variable);
  }
  out.push_back(nullptr);
  return out;
}

// Starts the program with the socket as its standard input and output. Returns an errno value.
int start(std::vector<std::string> arguments, int socket, pid_t* pid) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
  std::vector<char*> environment = peer_environment();
  const int error = posix_spawn(pid, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

PeerProcess::PeerProcess(const Options& options) : program_(options.program) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw Error(fmt::format("{}: cannot be talked to: {}", program_, std::strerror(errno)));
  }
  socket_ = ends[0];
  const int error = start({program_, options.model, std::to_string(options.n_threads),
                           std::to_string(options.n_ctx), options.is_flash ? "1" : "0"},
                          ends[1], &pid_);
  close(ends[1]);
  try {
    if (error != 0) {
      pid_ = -1;
      throw Error(fmt::format("{}: cannot be started: {}", program_, std::strerror(error)));
    }
    const std::string line = read_line();
    if (!line.starts_with("ready ")) throw Error(fmt::format("{}: {}", program_, line));
    weight_buffers_ = line.substr(6);
  } catch (...) {
    end();
    throw;
  }
}

PeerProcess::~PeerProcess() { end(); }

void PeerProcess::end() {
  close(socket_);  // it ends with its input
  while (pid_ > 0 && waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::string PeerProcess::read_line() {
  size_t end = 0;
  while ((end = unread_.find('\n')) == std::string::npos) {
    std::array<char, 4096> buffer{};
    const ssize_t n = recv(socket_, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) throw Error(fmt::format("{}: ended without an answer", program_));
    unread_.append(buffer.data(), n);
  }
  std::string line = unread_.substr(0, end);
  unread_.erase(0, end + 1);
  return line;
}

double PeerProcess::ask(const char* command, std::span<const int32_t> numbers) {
  const std::string line = fmt::format("{} {}\n", command, fmt::join(numbers, " "));
  for (size_t n_sent = 0; n_sent < line.size();) {
    const ssize_t n = send(socket_, line.data() + n_sent, line.size() - n_sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(fmt::format("{}: has ended", program_));
    n_sent += n;
  }
  const std::string answer = read_line();
  char* rest = nullptr;
  const double seconds = std::strtod(answer.c_str(), &rest);
  if (rest == answer.c_str() || *rest != '\0')
    throw Error(fmt::format("{}: {}: {}", program_, command, answer));
  return seconds;
}

}  // namespace reprise
