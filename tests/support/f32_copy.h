#pragma once

#include <string>

namespace reprise::test {

// Writes a copy of a GGUF model with every tensor dequantised to F32 by ggml's own to_float. Throws
// std::runtime_error.
void write_f32_copy(const std::string& from, const std::string& to);

}  // namespace reprise::test
