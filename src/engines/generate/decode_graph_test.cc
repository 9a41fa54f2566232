#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engines/generate/chunk_pass.h"
#include "support/tiny_model.h"

namespace reprise {
namespace {

struct Nodes {
  int32_t n_ours = 0;   // custom operations
  int32_t n_ggmls = 0;  // operations of ggml that compute; views of tensors do not
};

Nodes count(ggml_cgraph* graph) {
  Nodes nodes;
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    switch (ggml_graph_node(graph, i)->op) {
      case GGML_OP_CUSTOM:
        ++nodes.n_ours;
        break;
      case GGML_OP_NONE:
      case GGML_OP_VIEW:
      case GGML_OP_RESHAPE:
      case GGML_OP_PERMUTE:
      case GGML_OP_TRANSPOSE:
        break;
      default:
        ++nodes.n_ggmls;
    }
  }
  return nodes;
}

struct Architecture {
  std::string name;
  Nodes others;  // besides three of ours a layer
};

class DecodeGraph : public ::testing::TestWithParam<Architecture> {
 protected:
  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("reprise_decode_graph_" + std::to_string(getpid()) + ".gguf"))
                          .string();
  void TearDown() override { std::filesystem::remove(path_); }

  Nodes nodes_of(int32_t n_layer) const {
    test::write_tiny_model({.arch = GetParam().name, .n_layer = n_layer}, path_);
    const std::shared_ptr<const DecoderModel> model =
        DecoderModel::load(std::make_shared<GgufFile>(GgufFile::open(path_)));
    const DecoderHparams& hp = model->hparams();
    std::vector<KvLayerShape> shapes;
    for (int32_t il = 0; il < n_layer; ++il)
      shapes.push_back(
          {{hp.n_embd_head, hp.n_head_kv, GGML_TYPE_F16}, hp.is_swa[il] ? hp.n_swa : 0});
    const Backend backend(2);
    DecoderState state{model, GraphArena(backend, pass_nodes_max(hp)), KvStore(shapes)};
    PassOutputs outputs;
    const int32_t tokens[] = {3, 1, 4, 1, 5};
    chunk_pass(state, tokens, outputs);
    chunk_pass(state, std::span(tokens).first(1), outputs);
    return count(state.arena.graph());
  }
};

// Every node ends where all threads meet, so that a layer may have three at most.
TEST_P(DecodeGraph, HasThreeNodesALayer) {
  for (const int32_t n_layer : {7, 13}) {
    const Nodes nodes = nodes_of(n_layer);
    EXPECT_EQ(nodes.n_ours, 3 * n_layer + GetParam().others.n_ours) << n_layer << " layers";
    EXPECT_EQ(nodes.n_ggmls, GetParam().others.n_ggmls) << n_layer << " layers";
  }
}

// Ours: the head. ggml's: the token's embedding, which Gemma 3 scales, and RoPE's turns, which it
// has two of.
INSTANTIATE_TEST_SUITE_P(Architectures, DecodeGraph,
                         ::testing::Values(Architecture{"llama", {1, 2}},
                                           Architecture{"qwen2", {1, 2}},
                                           Architecture{"qwen3", {1, 2}},
                                           Architecture{"gemma3", {1, 4}}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace reprise
