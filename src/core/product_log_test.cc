#include "core/product_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <tuple>
#include <vector>

#include "core/backend.h"
#include "core/feed_forward_node.h"
#include "core/matmul_node.h"

namespace reprise {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Phase = ProductLog::Phase;

// A graph's builder with weights that are never computed with.
class ProductLogTest : public ::testing::Test {
 protected:
  ggml_tensor* weights(ggml_type type, int64_t n_in, int64_t n_out) {
    ggml_tensor* w = ggml_new_tensor_2d(ctx_.get(), type, n_in, n_out);
    w->data = &data_[n_made_++];
    return w;
  }
  ggml_tensor* input(int64_t n_in, int64_t n_tokens) {
    return arena_.input(GGML_TYPE_F32, n_in, n_tokens);
  }
  void SetUp() override {
    backend_.set_products(&log_);
    arena_.begin();
  }

  std::unique_ptr<ggml_context, decltype(&ggml_free)> ctx_{
      ggml_init({.mem_size = 1 << 20, .mem_buffer = nullptr, .no_alloc = true}), ggml_free};
  std::array<float, 32> data_{};
  size_t n_made_ = 0;
  Backend backend_{1};
  GraphArena arena_{backend_};
  ProductLog log_;
};

TEST_F(ProductLogTest, CountsEachMatrixOnceUnderEachKernelThatMultipliesIt) {
  ggml_tensor* q4 = weights(GGML_TYPE_Q4_0, 64, 32);
  ggml_tensor* f16 = weights(GGML_TYPE_F16, 64, 16);
  for (int32_t i = 0; i < 3; ++i) {
    matmul_nodes(arena_, std::array{q4, f16}, input(64, 300));  // F16 in F32 panels
    matmul_nodes(arena_, std::array{q4, f16}, input(64, 2));    // F16 by ggml
    matmul_nodes(arena_, std::array{q4, f16}, input(64, 1));
  }
  const std::vector<ProductLog::Entry>& all = log_.entries();
  const std::tuple<Phase, std::string_view, ggml_type> wanted[] = {
      {Phase::kPrompt, "integer panels", GGML_TYPE_Q4_0},
      {Phase::kPrompt, "F32 panels", GGML_TYPE_F16},
      {Phase::kPrompt, kGgmlProduct, GGML_TYPE_F16},
      {Phase::kDecode, "integer rows", GGML_TYPE_Q4_0},
      {Phase::kDecode, kGgmlProduct, GGML_TYPE_F16}};
  ASSERT_EQ(all.size(), std::size(wanted));
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(std::tuple(all[i].phase, all[i].kernel, all[i].type), wanted[i]) << i;
    EXPECT_EQ(all[i].n(), 1) << i;
    EXPECT_EQ(all[i].n_bytes, all[i].type == GGML_TYPE_F16 ? 2 * 64 * 16 : 18 * 2 * 32) << i;
  }
  EXPECT_EQ(log_.n_by_ggml(Phase::kPrompt), 1);
  EXPECT_EQ(log_.n_by_ggml(Phase::kDecode), 1);
}

TEST_F(ProductLogTest, CountsWhatTheFeedForwardNodeMultipliesInside) {
  FeedForward layer;
  layer.wo = weights(GGML_TYPE_Q8_0, 64, 64);
  layer.norm = weights(GGML_TYPE_F32, 64, 1);
  layer.gate = weights(GGML_TYPE_Q8_0, 64, 128);
  layer.up = weights(GGML_TYPE_Q8_0, 64, 128);
  layer.down = weights(GGML_TYPE_F16, 128, 64);
  feed_forward_nodes(arena_, layer, input(64, 1), input(64, 1));
  ASSERT_EQ(log_.entries().size(), 2U);
  EXPECT_EQ(log_.entries()[0].n(), 3);
  EXPECT_EQ(log_.n_by_ggml(Phase::kDecode), 1);
  EXPECT_EQ(log_.n_by_ggml(Phase::kPrompt), 0);
}

TEST_F(ProductLogTest, StandsInTheLedgerAndNamesTypesWithoutAKernel) {
  matmul_node(arena_, weights(GGML_TYPE_Q4_0, 64, 32), input(64, 8));
  // Ours would be slower here, but it is there.
  matmul_node(arena_, weights(GGML_TYPE_F16, 64, 32), input(64, 8));
  Ledger ledger;
  add_products(log_, ledger);
  const auto json = nlohmann::json::parse(ledger_json(ledger));
  EXPECT_EQ(json.at("products"), nlohmann::json::parse(R"([
    {"phase": "prompt", "kernel": "integer panels", "type": "q4_0", "n_matrices": 1, "n_bytes": 1152},
    {"phase": "prompt", "kernel": "ggml's product", "type": "f16", "n_matrices": 1, "n_bytes": 4096}
  ])"));
  EXPECT_EQ(json.at("facts").at("n_prompt_matrices_by_ggml"), 1);
  EXPECT_EQ(json.at("facts").at("n_decode_matrices_by_ggml"), 0);
  EXPECT_THAT(ledger_table(ledger), Not(HasSubstr("no kernel")));

  for (int32_t i = 0; i < 2; ++i) matmul_node(arena_, weights(GGML_TYPE_F16, 64, 32), input(64, 1));
  Ledger later;
  add_products(log_, later);
  EXPECT_THAT(ledger_table(later),
              HasSubstr("\nno kernel of ours for f16 in decode: ggml multiplied 2 matrices\n"));
}

}  // namespace
}  // namespace reprise
