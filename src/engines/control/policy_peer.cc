#include "engines/control/policy_peer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/error.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr const char* kHowToGet =
    "make one with 'python3 -m venv peer && peer/bin/pip install torch diffusers numpy' and give "
    "--torch peer/bin/python";

// A file that vanishes with this object: the peer has read it once it is ready.
class PeerNetwork {
 public:
  explicit PeerNetwork(const PolicyFile& network)
      : path_((fs::temp_directory_path() / fmt::format("reprise-peer-{}.safetensors", getpid()))
                  .string()) {
    write_policy_safetensors(network, path_);
  }
  ~PeerNetwork() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }
  PeerNetwork(const PeerNetwork&) = delete;
  PeerNetwork& operator=(const PeerNetwork&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

void write_policy_safetensors(const PolicyFile& file, const std::string& path) {
  const PolicyHparams& hp = file.hparams;
  if (hp.is_encoder_only) {
    throw Error(
        fmt::format("{}: the PyTorch peer has the form with a decoder alone; leave --torch "
                    "out",
                    file.path));
  }
  ordered_json head;
  head["__metadata__"] = {{"n_layer", std::to_string(hp.n_layer)},
                          {"n_head", std::to_string(hp.n_head)},
                          {"n_emb", std::to_string(hp.n_embd)},
                          {"horizon", std::to_string(hp.n_horizon)},
                          {"n_obs_steps", std::to_string(hp.n_obs_steps)},
                          {"n_action_steps", std::to_string(hp.n_action_steps)},
                          {"obs_dim", std::to_string(hp.n_obs)},
                          {"action_dim", std::to_string(hp.n_action)},
                          {"causal_attn", hp.is_causal ? "true" : "false"},
                          {"num_train_timesteps", std::to_string(file.noise.n_train_steps)},
                          {"beta_schedule", file.noise.beta_schedule},
                          {"prediction_type", file.noise.prediction}};
  size_t n_bytes = 0;
  for (const PolicyTensor& tensor : file.tensors) {
    const size_t end = n_bytes + std::as_bytes(std::span(tensor.values)).size();
    head[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {n_bytes, end}}};
    n_bytes = end;
  }
  std::string text = head.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data begin at a multiple of eight
  const uint64_t n_text = text.size();
  std::vector<std::byte> bytes;
  const auto append = [&](std::span<const std::byte> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
  };
  append(std::as_bytes(std::span(&n_text, 1)));
  append(std::as_bytes(std::span(text)));
  for (const PolicyTensor& tensor : file.tensors) append(std::as_bytes(std::span(tensor.values)));
  write_file(path, bytes);
}

std::string_view PolicyPeer::name(Loop loop) {
  return loop == Loop::kDiffusers ? "diffusers" : "plain";
}

PolicyPeer::PolicyPeer(const std::string& python, const fs::path& script,
                       const PolicyFile& network) {
  if (!fs::is_regular_file(script)) {
    throw Error(
        fmt::format("'{}' is not there: the PyTorch peer runs out of a source tree alone; leave "
                    "--torch out",
                    script.string()));
  }
  const PeerNetwork file(network);
  process_.emplace(std::vector<std::string>{python, script.string(), file.path()});
  std::string line;
  try {
    line = process_->read_line();
  } catch (const Error&) {
    line = "it ended at once, for the reason above";
  }
  if (!line.starts_with("ready ")) {
    throw Error(fmt::format("--torch {}: {}; {}", python, line, kHowToGet));
  }
  versions_ = line.substr(6);
}

std::vector<double> PolicyPeer::ask(const std::string& command) {
  process_->write_line(command);
  const std::string answer = process_->read_line();
  std::vector<double> numbers;
  const char* at = answer.c_str();
  while (*at != '\0') {
    char* rest = nullptr;
    numbers.push_back(std::strtod(at, &rest));
    if (rest == at) throw Error(fmt::format("{}: {}", process_->program(), answer));
    at = rest + std::strspn(rest, " ");
  }
  if (numbers.empty()) throw Error(fmt::format("{}: an empty answer", process_->program()));
  return numbers;
}

std::vector<float> PolicyPeer::forward(int32_t timestep, std::span<const float> sample,
                                       std::span<const float> obs) {
  // {:.9g} brings every F32 across as it is.
  const std::vector<double> numbers = ask(fmt::format("forward {} {:.9g} {:.9g}", timestep,
                                                      fmt::join(sample, " "), fmt::join(obs, " ")));
  if (numbers.size() != sample.size()) {
    throw Error(fmt::format("{}: {} output values, {} are expected", process_->program(),
                            numbers.size(), sample.size()));
  }
  std::vector<float> out(numbers.size());
  std::ranges::transform(numbers, out.begin(), [](double v) { return static_cast<float>(v); });
  return out;
}

double PolicyPeer::chunk_s(Loop loop, int32_t n_threads, int32_t n_robots) {
  return ask(fmt::format("chunk {} {} {}", name(loop), n_threads, n_robots)).front();
}

int64_t PolicyPeer::peak_bytes() { return static_cast<int64_t>(ask("memory").front()); }

}  // namespace reprise
