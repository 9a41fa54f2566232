#include "core/rope_node.h"

namespace reprise {
namespace {

constexpr float kBetaFast = 32;  // YaRN's published bounds
constexpr float kBetaSlow = 1;

// Distance of a pair's values, and from one pair to the next.
struct PairPlaces {
  int64_t second;
  int64_t step;
};

PairPlaces pair_places(int32_t type, int64_t n_rot) {
  return type == GGML_ROPE_TYPE_NEOX ? PairPlaces{n_rot / 2, 1} : PairPlaces{1, 2};
}

}  // namespace

ggml_tensor* rope_node(GraphArena& arena, const Rope& rope, ggml_tensor* x, ggml_tensor* pos) {
  return ggml_rope_ext(arena.ctx(), x, pos, rope.freqs, rope.n_rot, rope.type, rope.n_ctx_orig,
                       rope.freq_base, rope.freq_scale, rope.ext_factor, rope.attn_factor,
                       kBetaFast, kBetaSlow);
}

RopeTable rope_table_node(GraphArena& arena, const Rope& rope, ggml_tensor* pos) {
  auto* pairs = arena.keep<float>(rope.n_rot);
  const PairPlaces places = pair_places(rope.type, rope.n_rot);
  for (int64_t i = 0; i < rope.n_rot / 2; ++i) pairs[i * places.step] = 1;
  const size_t row = sizeof(float) * rope.n_rot;
  ggml_tensor* x = arena.view(nullptr, pairs, GGML_TYPE_F32, {rope.n_rot, 1, 1}, row, row);
  return {rope_node(arena, rope, x, pos), rope.type};
}

void rotate_head(const RopeTable& table, float* head) {
  const int64_t n_rot = table.values->ne[0];
  const auto* turn = static_cast<const float*>(table.values->data);
  const PairPlaces places = pair_places(table.type, n_rot);
  for (int64_t i = 0; i < n_rot / 2; ++i) {
    const int64_t at = i * places.step;
    const float cosine = turn[at];
    const float sine = turn[at + places.second];
    const float first = head[at];
    const float second = head[at + places.second];
    head[at] = first * cosine - second * sine;
    head[at + places.second] = first * sine + second * cosine;
  }
}

}  // namespace reprise
