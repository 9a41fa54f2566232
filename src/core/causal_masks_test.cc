#include "core/causal_masks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "core/backend.h"

namespace reprise {
namespace {

// One line a token: 1 where it sees the entry, 0 where it does not, ? for anything else.
std::string drawn(const ggml_tensor* mask) {
  const auto* values = static_cast<const ggml_fp16_t*>(mask->data);
  std::string out;
  for (int64_t i = 0; i < ggml_nelements(mask); ++i) {
    const float value = ggml_fp16_to_fp32(values[i]);
    if (value == 0) {
      out += '1';
    } else {
      out += std::isinf(value) && value < 0 ? '0' : '?';
    }
    if (i % mask->ne[0] == mask->ne[0] - 1) out += ' ';
  }
  return out;
}

TEST(CausalMasks, ShowEachTokenItsEntries) {
  const Backend backend(1, WeightUse::kExpand, {Device::Kind::kGgmlCpu});
  GraphArena arena(backend);
  arena.begin();
  ggml_tensor* all = arena.causal_mask({2, 3, 0}, 8);
  ggml_tensor* window = arena.causal_mask({2, 3, 2}, 5);
  ggml_tensor* single = arena.causal_mask({3, 1, 0}, 6);
  EXPECT_EQ(arena.causal_mask({2, 3, 0}, 8), all);
  EXPECT_NE(arena.causal_mask({2, 3, 0}, 9), all);
  for (ggml_tensor* mask : {all, window, single, arena.causal_mask({2, 3, 0}, 9)}) {
    ggml_build_forward_expand(arena.graph(), ggml_dup(arena.ctx(), mask));
  }
  arena.allocate();
  EXPECT_EQ(drawn(all), "11100000 11110000 11111000 ");
  EXPECT_EQ(drawn(window), "01100 00110 00011 ");
  EXPECT_EQ(drawn(single), "111100 ");
  arena.begin();
  EXPECT_NE(arena.causal_mask({1, 1, 0}, 8), nullptr);  // those of the last graph are forgotten
}

}  // namespace
}  // namespace reprise
