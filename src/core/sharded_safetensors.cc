#include "core/sharded_safetensors.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"
#include "core/printable.h"
#include "core/strict_json.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxShards = 1024;

// A file's name as the index has it: one beside the index, nowhere else.
std::string shard_name(const std::string& index, const nlohmann::json& value) {
  std::string name = value.is_string() ? value.get<std::string>() : "";
  if (!name.ends_with(".safetensors") || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    throw Error(
        fmt::format("{}: weight_map names the file {}, expected one in the same folder "
                    "that ends in .safetensors; fetch it again",
                    index, printable(value.dump())));
  }
  return name;
}

}  // namespace

ShardedSafetensors ShardedSafetensors::open(const std::string& folder) {
  ShardedSafetensors out;
  const std::string single = (fs::path(folder) / "model.safetensors").string();
  const std::string index = single + ".index.json";
  std::error_code error;
  if (fs::exists(single, error)) {
    out.add(SafetensorsFile::open(single));
    return out;
  }
  if (!fs::exists(index, error)) {
    throw Error(
        fmt::format("{}: has neither model.safetensors nor model.safetensors.index.json; "
                    "fetch the checkpoint again",
                    folder));
  }
  const nlohmann::json json = read_strict_json(index);
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object() || map->empty())
    throw Error(fmt::format("{}: has no weight_map; fetch it again", index));
  std::set<std::string> names;
  for (const nlohmann::json& value : *map) names.insert(shard_name(index, value));
  if (names.size() > kMaxShards) {
    throw Error(fmt::format("{}: names {} files, at most {} are read; fetch it again", index,
                            names.size(), kMaxShards));
  }
  for (const std::string& name : names)
    out.add(SafetensorsFile::open((fs::path(folder) / name).string()));
  for (const auto& [tensor, value] : map->items()) {
    const auto found = out.file_of_.find(tensor);
    const std::string want = (fs::path(folder) / value.get<std::string>()).string();
    if (found == out.file_of_.end() || out.files_[found->second].path() != want) {
      throw Error(fmt::format("{}: tensor '{}' is not in {}, as the index says; fetch both again",
                              index, printable(tensor), want));
    }
  }
  return out;
}

void ShardedSafetensors::add(SafetensorsFile file) {
  for (const SafetensorsTensor& tensor : file.tensors()) {
    const auto [found, is_new] = file_of_.emplace(tensor.name, files_.size());
    if (!is_new) {
      throw Error(fmt::format("{}: tensor '{}' stands in {} too; fetch the checkpoint again",
                              file.path(), printable(tensor.name), files_[found->second].path()));
    }
    tensors_.emplace(tensor.name, tensor);
  }
  files_.push_back(std::move(file));
}

std::span<const std::byte> ShardedSafetensors::data(const SafetensorsTensor& tensor) const {
  return files_[file_of_.find(tensor.name)->second].data(tensor);
}

}  // namespace reprise
