#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "gguf.h"

namespace reprise::test {

// Changes a file's metadata before it is written.
using GgufEdit = std::function<void(gguf_context*)>;

// A GGUF file without tensors: architecture llama and a whole small vocabulary of the kind gpt2
// (letters, line break, space, one merge), llama (256 byte tokens, letters) or bert.
std::vector<std::byte> tiny_vocabulary(const std::string& kind, const GgufEdit& edit = {});

// Arrays of strings in the metadata, under keys that stand there.
std::vector<std::string> get_strings(const gguf_context* file, const std::string& key);
void set_strings(gguf_context* file, const std::string& key,
                 const std::vector<std::string>& values);

}  // namespace reprise::test
