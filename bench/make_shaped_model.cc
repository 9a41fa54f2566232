// Writes a model of a real one's shape with random weights: make_shaped_model SHAPE TYPE
// VOCABULARY.gguf OUT.gguf

#include <cstdio>
#include <exception>
#include <string>

#include "core/error.h"
#include "shaped_model.h"

namespace reprise {
namespace {

ggml_type weight_type(const std::string& name) {
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_F16}) {
    if (name == ggml_type_name(type)) return type;
  }
  throw Error("no type '" + name + "'; there are q4_0 and f16");
}

}  // namespace
}  // namespace reprise

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: make_shaped_model SHAPE TYPE VOCABULARY.gguf OUT.gguf\n");
    return 2;
  }
  try {
    reprise::write_shaped_model(reprise::model_shape(argv[1]), reprise::weight_type(argv[2]),
                                argv[3], argv[4]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_shaped_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
