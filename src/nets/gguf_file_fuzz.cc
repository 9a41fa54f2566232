// The fuzz target of everything that looks at a model file before ggml and libllama do: any bytes
// give a value or an Error. Also run over its corpus by a usual test.
//   make fuzz FUZZ_SECONDS=600
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "core/error.h"
#include "core/gguf_file.h"
#include "core/vocabulary_check.h"
#include "nets/decoder_model.h"

namespace {

void value_or_error(const std::function<void()>& call) {
  try {
    call();
  } catch (const reprise::Error&) {
    return;  // the only exception that may come out
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  value_or_error([=] {
    const auto file = std::make_shared<const reprise::GgufFile>(
        reprise::GgufFile::parse("fuzz.gguf", std::as_bytes(std::span(data, size))));
    for (const reprise::GgufTensor& tensor : file->tensors()) {
      const std::span<const std::byte> bytes = file->data(tensor);
      [[maybe_unused]] volatile std::byte edge = bytes.front();
      edge = bytes.back();
    }
    value_or_error([&] { reprise::check_vocabulary(*file); });
    reprise::DecoderModel::load(file);
  });
  return 0;
}
