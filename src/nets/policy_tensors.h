#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ggml.h"
#include "nets/policy_file.h"

namespace reprise {

inline constexpr std::string_view kConvertPolicy =
    "convert the model again with tools/convert_policy.py";

// Where a tensor's bytes lie.
struct RawTensor {
  ggml_type type = GGML_TYPE_F32;
  std::vector<int64_t> shape;  // PyTorch's order
  std::span<const std::byte> bytes;
};
using RawTensors = std::map<std::string, RawTensor>;  // by own_policy_name()

// Adds a tensor of a file unless it is one that nothing here reads. Throws Error when another has
// the same own name.
void add_tensor(const std::string& path, std::string_view name, RawTensor tensor,
                RawTensors& tensors);

// Moves network and normaliser into `file`, whose path and sizes are known, as F32. Throws Error
// when a tensor is missing, there is one too many, or a shape, type or value cannot be.
void take_tensors(PolicyFile& file, RawTensors tensors);

// A size as 32 bits. Throws Error, naming its key.
int32_t narrow_size(const std::string& path, const std::string& key, int64_t value);

}  // namespace reprise
