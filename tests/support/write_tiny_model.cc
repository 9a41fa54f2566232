// Writes a random chat model for tests that run programs: write_tiny_model FILE.gguf [SEED]

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "support/tiny_model.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: write_tiny_model FILE.gguf [SEED]\n");
    return 2;
  }
  reprise::test::TinyModel model{.n_layer = 3, .has_vocabulary = true};
  if (argc > 2) model.seed = static_cast<uint32_t>(std::atoi(argv[2]));
  try {
    reprise::test::write_tiny_model(model, argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_tiny_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
