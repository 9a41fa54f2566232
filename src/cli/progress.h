#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace reprise {

// How far a longer piece of work is, on standard error. On a terminal a bar with rate and time left
// appears after two seconds and vanishes at the end; elsewhere there is one line at the start and
// one at the end. Silent below the log level `info` (-q).
class Progress {
 public:
  // "reading the prompt", "tokens", a plural; n_total > 0 in that unit.
  Progress(std::string what, std::string unit, int64_t n_total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t n_done);
  // The work is whole; without it the destructor only clears the bar.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  double elapsed_s() const;
  void draw(double elapsed);
  void clear();

  std::string what_;
  std::string unit_;
  int64_t n_total_;
  int64_t n_done_ = 0;
  bool is_silent_;
  bool is_terminal_;
  bool is_drawn_ = false;
  Clock::time_point start_ = Clock::now();
  double last_draw_s_ = 0;
};

}  // namespace reprise
