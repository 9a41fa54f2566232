#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "gguf.h"

namespace reprise::test {

// Changes a file's metadata before it is written.
using GgufEdit = std::function<void(gguf_context*)>;

// A whole small vocabulary of the kind gpt2 (letters, line break, space, one merge: 99 tokens),
// llama (256 byte tokens, letters: 288) or bert (56); of any other kind, its name alone.
void add_tiny_vocabulary(gguf_context* file, const std::string& kind);

// A GGUF file without tensors: architecture llama and such a vocabulary.
std::vector<std::byte> tiny_vocabulary(const std::string& kind, const GgufEdit& edit = {});

// Arrays of strings in the metadata, under keys that stand there.
std::vector<std::string> get_strings(const gguf_context* file, const std::string& key);
void set_strings(gguf_context* file, const std::string& key,
                 const std::vector<std::string>& values);

}  // namespace reprise::test
