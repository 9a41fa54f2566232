// Writes the seeds of the GGUF fuzz target: one whole tiny model of every architecture with a
// vocabulary, and files without tensors. Usage: make_gguf_corpus FOLDER
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/tiny_model.h"
#include "support/tiny_vocabulary.h"

namespace {

using reprise::test::tiny_vocabulary;
using reprise::test::TinyModel;

// The smallest that has every tensor; `n_vocab` must fit the vocabulary's kind.
TinyModel smallest(const std::string& arch, const std::string& kind, int32_t n_vocab) {
  TinyModel model{.arch = arch,
                  .n_vocab = n_vocab,
                  .n_embd = 8,
                  .n_layer = 2,
                  .n_ff = 8,
                  .n_head = 2,
                  .n_head_kv = 1,
                  .n_embd_head = 4};
  model.edit_metadata = [kind](gguf_context* file) {
    reprise::test::add_tiny_vocabulary(file, kind);
  };
  return model;
}

void write(const std::filesystem::path& path, const std::vector<std::byte>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<int64_t>(bytes.size()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_gguf_corpus FOLDER\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  for (const std::string kind : {"gpt2", "llama", "bert", "t5"})
    write(folder / ("vocabulary_" + kind + ".gguf"), tiny_vocabulary(kind));
  write_tiny_model(smallest("llama", "llama", 288), folder / "llama.gguf");
  write_tiny_model(smallest("qwen2", "gpt2", 99), folder / "qwen2.gguf");
  write_tiny_model(smallest("qwen3", "bert", 56), folder / "qwen3.gguf");
  write_tiny_model(smallest("gemma3", "llama", 288), folder / "gemma3.gguf");
  TinyModel model = smallest("llama", "gpt2", 99);
  model.type = GGML_TYPE_F16;
  model.edit_metadata = [](gguf_context* file) {
    reprise::test::add_tiny_vocabulary(file, "gpt2");
    gguf_set_val_u32(file, "general.alignment", 8);
    gguf_set_val_str(file, "llama.rope.scaling.type", "yarn");
    gguf_set_val_f32(file, "llama.rope.scaling.factor", 4);
    gguf_set_val_u32(file, "llama.rope.scaling.original_context_length", 512);
  };
  write_tiny_model(model, folder / "llama_f16_yarn.gguf");
  return 0;
}
