#include "cli/compute_flags.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <charconv>

#include "core/error.h"

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
  if (weights == "as-is") return WeightUse::kAsIs;
  return weights == "expand" ? WeightUse::kExpand : WeightUse::kAuto;
}

Backend ComputeFlags::backend() const {
  const int32_t n_useful = Backend::useful_threads(n_threads);
  if (n_useful < n_threads) {
    spdlog::info(
        "--threads {}: this process may use {} cores, more threads would be slower; {} are "
        "started",
        n_threads, n_useful, n_useful);
  }
  return Backend(n_useful, weight_use(), Device::parse(device));
}

WeightPlace ComputeFlags::weight_place(const Backend& backend) const {
  using Host = WeightPlace::Host;
  return {backend.buffer_type(), mmap == "on"    ? Host::kMapped
                                 : mmap == "off" ? Host::kCopied
                                                 : Host::kAuto};
}

void add_threads_flag(CLI::App& verb, int32_t& n_threads) {
  verb.add_option("--threads", n_threads, "compute threads, at most one a core; default: all cores")
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
                  "how a prompt is multiplied with the weights: as-is computes with the file's "
                  "integers and rounds activations to 8 bits, as llama.cpp does; expand in F32, a "
                  "part of the weights at a time; auto takes the faster one for each weight type")
      ->check(CLI::IsMember({"auto", "as-is", "expand"}))
      ->capture_default_str();
  verb.add_option("--mmap", flags.mmap,
                  "whether weights stay in the file's pages (on) or are copied into large pages of "
                  "their own (off), which decoding reads faster; auto copies where the system has "
                  "large pages and four times as much memory is free, but not for an answer of "
                  "fewer than 200 tokens (run --max-tokens)")
      ->check(CLI::IsMember({"auto", "on", "off"}))
      ->capture_default_str();
  const auto check_device = [](const std::string& text) -> std::string {
    try {
      Device::parse(text);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  verb.add_option("--device", flags.device,
                  "where: cpu, cuda or cuda:N (a program that make cuda built); ggml-cpu is what a "
                  "GPU computes, on the CPU, to compare with")
      ->type_name("DEVICE")
      ->check(CLI::Validator(check_device, ""))
      ->capture_default_str();
}

}  // namespace reprise
