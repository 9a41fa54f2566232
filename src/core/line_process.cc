#include "core/line_process.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/error.h"

extern char** environ;

namespace reprise {
namespace {

std::vector<char*> environment_without_openmp() {
  std::vector<char*> out;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    if (!text.starts_with("OMP_") && !text.starts_with("GOMP_")) out.push_back(*variable);
  }
  out.push_back(nullptr);
  return out;
}

// Starts the program with the socket as its standard input and output. Returns an errno value.
int start(std::vector<std::string>& arguments, int socket, pid_t* pid) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, socket, STDOUT_FILENO);
  std::vector<char*> environment = environment_without_openmp();
  const int error = posix_spawnp(pid, argv[0], &actions, nullptr, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

}  // namespace

LineProcess::LineProcess(std::vector<std::string> arguments) : program_(arguments.at(0)) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw Error(fmt::format("{}: cannot be talked to: {}", program_, std::strerror(errno)));
  }
  const int error = start(arguments, ends[1], &pid_);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    throw Error(fmt::format("{}: cannot be started: {}", program_, std::strerror(error)));
  }
  socket_ = ends[0];
}

LineProcess::~LineProcess() {
  close(socket_);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::string LineProcess::read_line() {
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

void LineProcess::write_line(std::string_view line) {
  const std::string text = std::string(line) + '\n';
  for (size_t n_sent = 0; n_sent < text.size();) {
    const ssize_t n = send(socket_, text.data() + n_sent, text.size() - n_sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(fmt::format("{}: has ended", program_));
    n_sent += n;
  }
}

}  // namespace reprise
