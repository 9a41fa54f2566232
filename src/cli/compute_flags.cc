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

int32_t started_threads(int32_t wanted) {
  const int32_t n_useful = Backend::useful_threads(wanted);
  if (n_useful < wanted) {
    spdlog::info(
        "--threads {}: this process may use {} core{}, more threads would be slower; {} {} started",
        wanted, n_useful, n_useful == 1 ? "" : "s", n_useful, n_useful == 1 ? "is" : "are");
  }
  spdlog::debug("{} compute threads; this process may use {} cores", n_useful,
                Backend::useful_threads(0));
  return n_useful;
}

Backend ComputeFlags::backend() const {
  return Backend(started_threads(n_threads), weight_use(), Device::parse(device));
}

std::shared_ptr<const TextModel> ComputeFlags::load(const std::string& model,
                                                    const Backend& backend, TextKind kind) const {
  using Host = WeightPlace::Host;
  const WeightPlace place{backend.buffer_type(), mmap == "on"    ? Host::kMapped
                                                 : mmap == "off" ? Host::kCopied
                                                                 : Host::kAuto};
  // Without our kernels ggml multiplies with what the device holds.
  const PromptForm form = backend.has_kernels() ? weight_word(weights).form : PromptForm::kFile;
  return TextModel::load(model, place, kind, {form, &backend});
}

CLI::Validator weight_word_check() {
  std::vector<std::string> words;
  for (const WeightWord& known : weight_words()) words.emplace_back(known.word);
  return CLI::IsMember(words);
}

void add_threads_flag(CLI::App& verb, int32_t& n_threads) {
  verb.add_option("--threads", n_threads,
                  "compute threads; default, and no more are started: one for each core that this "
                  "process may use (CPU mask and quota; hardware threads of a core count once)")
      ->check(thread_check());
}

void add_thread_list_flag(CLI::App& verb, std::vector<int32_t>& counts) {
  verb.add_option(
          "--threads-list", counts,
          "numbers of compute threads; default: 1, 2, 4, ..., all cores that this process may "
          "use, and twice as many")
      ->delimiter(',')
      ->check(thread_check());
}

void add_compute_flags(CLI::App& verb, ComputeFlags& flags) {
  add_threads_flag(verb, flags.n_threads);
  verb.add_option("--weights", flags.weights,
                  "what a prompt is multiplied with: as-is computes with the file's integers and "
                  "rounds activations to 8 bits, as llama.cpp does; expand=f32 in F32, a part of "
                  "the weights at a time; expand=f16 and expand=q8_0 with copies in memory, repack "
                  "with ggml's interleaved copies, while single tokens read the file's; auto takes "
                  "the fastest for each weight type, with copies in Q8_0 of types that have no "
                  "integer kernel where four times their bytes are free")
      ->check(weight_word_check())
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
