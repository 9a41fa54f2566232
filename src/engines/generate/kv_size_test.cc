#include "engines/generate/kv_size.h"

#include <gtest/gtest.h>

#include <utility>

namespace reprise {
namespace {

// SmolLM2-135M, and a model of 3 layers of which 2 have a window of 100.
DecoderHparams smollm2() {
  DecoderHparams hp;
  hp.n_layer = 30;
  hp.n_head_kv = 3;
  hp.n_embd_head = 64;
  hp.is_swa.assign(30, false);
  return hp;
}
DecoderHparams windowed() {
  DecoderHparams hp;
  hp.n_layer = 3;
  hp.n_head_kv = 1;
  hp.n_embd_head = 32;
  hp.n_swa = 100;
  hp.is_swa = {true, true, false};
  return hp;
}

TEST(KvBytes, OfOneTokenByType) {
  // 30 layers x 3 KV heads x (K and V rows of 64 values + a position of 4 bytes); a block of 32
  // values is 34 bytes in q8_0 and 18 in q4_0.
  const std::pair<ggml_type, int64_t> cases[] = {{GGML_TYPE_F16, 30 * 3 * (2 * 128 + 4)},
                                                 {GGML_TYPE_Q8_0, 30 * 3 * (2 * 68 + 4)},
                                                 {GGML_TYPE_Q4_0, 30 * 3 * (2 * 36 + 4)}};
  for (const auto& [type, want] : cases) {
    EXPECT_EQ(kv_bytes(smollm2(), type, 1, 1), want) << ggml_type_name(type);
    EXPECT_EQ(kv_bytes(smollm2(), type, 8192, 8192), want * 8192) << ggml_type_name(type);
    EXPECT_EQ(kv_bytes(smollm2(), type, 8192, 1024), want * 1024) << ggml_type_name(type);
    EXPECT_EQ(kv_bytes(smollm2(), type, 512, 1024), want * 512) << ggml_type_name(type);
  }
}

TEST(KvBytes, WindowsHoldNoMoreThanTheyCanUse) {
  const int64_t entry = 2 * 32 * 2 + 4;
  EXPECT_EQ(kv_bytes(windowed(), GGML_TYPE_F16, 50, 50), 3 * 50 * entry);
  EXPECT_EQ(kv_bytes(windowed(), GGML_TYPE_F16, 10000, 10000), (10000 + 2 * 612) * entry);
  EXPECT_EQ(kv_bytes(windowed(), GGML_TYPE_F16, 10000, 64), (64 + 2 * 612) * entry);
}

}  // namespace
}  // namespace reprise
