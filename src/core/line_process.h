#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// Another program that answers lines with lines, through its standard input and output. Its
// environment is ours without settings of OpenMP: by default threads spin for a short while and
// sleep then, which is how such programs are fast and leave the cores to others between calls.
class LineProcess {
 public:
  // arguments[0]: the program, a path or a name to be looked for in PATH. Throws Error when it does
  // not start.
  explicit LineProcess(std::vector<std::string> arguments);
  // Ends its input and waits for it to end.
  ~LineProcess();
  LineProcess(const LineProcess&) = delete;
  LineProcess& operator=(const LineProcess&) = delete;

  const std::string& program() const { return program_; }
  // Sends a line, given without its end. Throws Error when the program has ended.
  void write_line(std::string_view line);
  // Waits for the next line, without its end. Throws Error when the program has ended.
  std::string read_line();

 private:
  std::string program_;
  pid_t pid_ = -1;
  int socket_ = -1;
  std::string unread_;
};

}  // namespace reprise
