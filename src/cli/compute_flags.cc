#include "cli/compute_flags.h"

#include "core/error.h"

namespace reprise {

WeightUse ComputeFlags::weight_use() const {
  if (weights == "as-is") return WeightUse::kAsIs;
  return weights == "expand" ? WeightUse::kExpand : WeightUse::kAuto;
}

Backend ComputeFlags::backend() const {
  return Backend(n_threads, weight_use(), Device::parse(device));
}

WeightPlace ComputeFlags::weight_place(const Backend& backend) const {
  using Host = WeightPlace::Host;
  return {backend.buffer_type(), mmap == "on"    ? Host::kMapped
                                 : mmap == "off" ? Host::kCopied
                                                 : Host::kAuto};
}

void add_compute_flags(CLI::App& verb, ComputeFlags& flags) {
  verb.add_option("--threads", flags.n_threads, "compute threads; default: all cores")
      ->check(CLI::Range(1, 512));
  verb.add_option("--weights", flags.weights,
                  "how a prompt is multiplied with the weights: as-is computes with the file's "
                  "integers and rounds activations to 8 bits, as llama.cpp does; expand in F32, a "
                  "part of the weights at a time; auto takes the faster one for each weight type")
      ->check(CLI::IsMember({"auto", "as-is", "expand"}))
      ->capture_default_str();
  verb.add_option("--mmap", flags.mmap,
                  "whether weights stay in the file's pages (on) or are copied into large pages of "
                  "their own (off), which decoding reads faster; auto copies where the system has "
                  "large pages and four times as much memory is free")
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
