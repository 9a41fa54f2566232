// Writes a random chat model for tests that run programs: write_tiny_model FILE.gguf [SEED]

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "support/tiny_chat_model.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: write_tiny_model FILE.gguf [SEED]\n");
    return 2;
  }
  reprise::test::TinyModel model{.n_layer = 3};
  if (argc > 2) model.seed = static_cast<uint32_t>(std::atoi(argv[2]));
  try {
    reprise::test::write_tiny_model(reprise::test::tiny_chat_model(model), argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_tiny_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
