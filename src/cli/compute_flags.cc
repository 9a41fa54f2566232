#include "cli/compute_flags.h"

#include <fmt/format.h>

#include <charconv>

namespace reprise {
namespace {

constexpr int32_t kMostThreads = Backend::kMostThreads;

// Empty when the text is a number of threads. Ours, for CLI11 tells no range of what is no int.
std::string thread_complaint(const std::string& text) {
  int32_t n = 0;
  const char* end = text.data() + text.size();
  const auto [last, error] = std::from_chars(text.data(), end, n);
  if (error == std::errc() && last == end && n >= 1 && n <= kMostThreads) return "";
  return fmt::format("'{}' threads; expected a whole number from 1 to {}", text, kMostThreads);
}

CLI::Validator thread_check() {
  return {thread_complaint, fmt::format("INT in [1 - {}]", kMostThreads)};
}

}  // namespace

WeightUse ComputeFlags::weight_use() const {
  return weights == "as-is" ? WeightUse::kAsIs : WeightUse::kExpand;
}

void add_threads_flag(CLI::App& verb, int32_t& n_threads) {
  verb.add_option("--threads", n_threads, "compute threads; default: all cores")
      ->check(thread_check());
}

void add_thread_list_flag(CLI::App& verb, std::vector<int32_t>& counts) {
  verb.add_option("--threads-list", counts,
                  "numbers of compute threads; default: 1, all cores, twice as many")
      ->delimiter(',')
      ->check(thread_check());
}

void add_compute_flags(CLI::App& verb, ComputeFlags& flags) {
  add_threads_flag(verb, flags.n_threads);
  verb.add_option("--weights", flags.weights,
                  "how a prompt is multiplied with the weights: expand computes in F32, a part of "
                  "the weights at a time; as-is in the file's own type, as llama.cpp does")
      ->check(CLI::IsMember({"expand", "as-is"}))
      ->capture_default_str();
}

}  // namespace reprise
