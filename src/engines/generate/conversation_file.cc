#include "engines/generate/conversation_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/error.h"

namespace reprise {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "reprise-conversation-1";
constexpr size_t kMaxBytes = size_t{1} << 40;

// FNV-1a, against damage and not against forgery.
uint64_t checksum(std::string_view bytes, uint64_t sum = 0xcbf29ce484222325U) {
  for (const char byte : bytes) sum = (sum ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  return sum;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Tells model files apart without reading all of their weights: everything before the tensors'
// data, the start of every tensor, and the size.
std::string fingerprint(const TextModel& model) {
  constexpr size_t kTensorStart = 64;
  const std::span<const std::byte> bytes = model.file->bytes();
  size_t n_head = bytes.size();
  for (const GgufTensor& tensor : model.file->tensors()) n_head = std::min(n_head, tensor.offset);
  uint64_t sum = checksum(as_text(bytes.first(n_head)));
  for (const GgufTensor& tensor : model.file->tensors()) {
    const std::span<const std::byte> data = model.file->data(tensor);
    sum = checksum(as_text(data.first(std::min(kTensorStart, data.size()))), sum);
  }
  return fmt::format("{:016x}-{}", sum, bytes.size());
}

}  // namespace

void write_conversation(const std::string& path, const TextModel& model,
                        const ConversationState& state) {
  json header = {{"format", kFormat},
                 {"model", fingerprint(model)},
                 {"model_name", model.decoder->hparams().name},
                 {"seen", state.seen},
                 {"n_past", state.sequence.n_past},
                 {"cache_type", state.sequence.cache_type},
                 {"messages", json::array()},
                 {"layer_bytes", json::array()}};
  for (const ChatMessage& message : state.messages) {
    header["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  for (const auto& layer : state.sequence.layers) header["layer_bytes"].push_back(layer.size());
  // A model's name may be no UTF-8.
  std::string out = header.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  for (const auto& layer : state.sequence.layers) out.append(as_text(layer));
  const uint64_t sum = checksum(out);
  out.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  write_file(path, std::as_bytes(std::span(out)));
}

namespace {

ConversationState parse_conversation(const std::string& bytes, const TextModel& model) {
  uint64_t sum = 0;
  const size_t newline = bytes.find('\n');
  if (newline == std::string::npos || bytes.size() < newline + 1 + sizeof sum) {
    throw Error("this is no saved conversation");
  }
  const json header = json::parse(bytes.substr(0, newline));
  if (header.at("format") != kFormat) {
    throw Error("it was not saved by this version of reprise");
  }
  const size_t end = bytes.size() - sizeof sum;
  std::memcpy(&sum, bytes.data() + end, sizeof sum);
  if (checksum(std::string_view(bytes).substr(0, end)) != sum) throw Error("the file is damaged");
  if (header.at("model") != fingerprint(model)) {
    throw Error(fmt::format("it was made with another model file ('{}')",
                            header.at("model_name").get<std::string>()));
  }
  ConversationState state;
  state.seen = header.at("seen");
  state.sequence.n_past = header.at("n_past");
  state.sequence.cache_type = header.at("cache_type");
  for (const json& message : header.at("messages")) {
    state.messages.push_back({message.at("role"), message.at("content")});
  }
  size_t at = newline + 1;
  for (const size_t n : header.at("layer_bytes")) {
    if (n > end - at) throw Error("the file is damaged");
    const auto* from = reinterpret_cast<const std::byte*>(bytes.data()) + at;
    state.sequence.layers.emplace_back(from, from + n);
    at += n;
  }
  return state;
}

}  // namespace

ConversationState read_conversation(const std::string& path, const TextModel& model) {
  const std::string bytes = read_file(path, kMaxBytes);
  try {
    return parse_conversation(bytes, model);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}; the conversation cannot be loaded", path, error.what()));
  } catch (const json::exception&) {
    throw Error(fmt::format("{}: this is no saved conversation, or a damaged one", path));
  }
}

}  // namespace reprise
