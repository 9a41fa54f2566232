#include "cli/progress.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/quantities.h"

namespace reprise {
namespace {

constexpr double kFirstDrawS = 2;
constexpr double kRedrawS = 0.1;
constexpr int32_t kBarWidth = 30;

// Slow work in tenths: 0.3 episodes/s, 35 tokens/s, 1,204 tokens/s.
std::string format_rate(double rate) {
  return rate < 10 ? fmt::format("{:.1f}", rate) : format_count(static_cast<int64_t>(rate));
}

}  // namespace

Progress::Progress(std::string what, std::string unit, int64_t n_total)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      n_total_(std::max<int64_t>(1, n_total)),
      is_silent_(!spdlog::should_log(spdlog::level::info)),
      is_terminal_(isatty(STDERR_FILENO) == 1) {
  if (!is_terminal_ && !is_silent_) {
    const bool is_one = n_total_ == 1 && unit_.ends_with('s');
    fmt::print(stderr, "{}: {} {}\n", what_, format_count(n_total_),
               is_one ? unit_.substr(0, unit_.size() - 1) : unit_);
  }
}

Progress::~Progress() { clear(); }

double Progress::elapsed_s() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

void Progress::update(int64_t n_done) {
  n_done_ = std::clamp<int64_t>(n_done, 0, n_total_);
  if (is_silent_ || !is_terminal_) return;
  const double elapsed = elapsed_s();
  if (elapsed < kFirstDrawS || elapsed - last_draw_s_ < kRedrawS) return;
  draw(elapsed);
}

void Progress::draw(double elapsed) {
  const double share = static_cast<double>(n_done_) / static_cast<double>(n_total_);
  const auto n_full = static_cast<int32_t>(share * kBarWidth);
  const double rate = static_cast<double>(n_done_) / elapsed;
  const std::string left =
      n_done_ > 0 ? format_seconds(static_cast<double>(n_total_ - n_done_) / rate) + " left" : "";
  fmt::print(stderr, "\r\x1b[K{} [{}{}] {:3.0f} %  {} {}/s  {}", what_, std::string(n_full, '#'),
             std::string(kBarWidth - n_full, '.'), 100 * share, format_rate(rate), unit_, left);
  std::fflush(stderr);
  is_drawn_ = true;
  last_draw_s_ = elapsed;
}

void Progress::clear() {
  if (!is_drawn_) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
  is_drawn_ = false;
}

void Progress::finish() {
  clear();
  if (is_silent_ || is_terminal_) return;
  const double elapsed = elapsed_s();
  const double rate = static_cast<double>(n_total_) / std::max(elapsed, 1e-9);
  fmt::print(stderr, "{}: done in {} ({} {}/s)\n", what_, format_seconds(elapsed),
             format_rate(rate), unit_);
}

}  // namespace reprise
