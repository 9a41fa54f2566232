#include "engines/generate/entry_cost.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <vector>

#include "engines/generate/kv_view.h"

namespace reprise {
namespace {

constexpr int32_t kShort = 256;
constexpr int32_t kLong = 2304;
constexpr int32_t kRepeats = 7;
constexpr int32_t kLayers =
    8;  // of one pass, each with a block of its own, so that caches are cold

double attention_s(const DecoderModel& model, GraphArena& arena, const std::vector<KvBlock>& blocks,
                   int32_t n_kv) {
  const DecoderHparams& hp = model.hparams();
  arena.begin();
  ggml_tensor* q = arena.input(GGML_TYPE_F32, static_cast<int64_t>(hp.n_embd_head) * hp.n_head);
  ggml_tensor* rows = ggml_reshape_3d(arena.ctx(), q, hp.n_embd_head, hp.n_head, 1);
  for (const KvBlock& block : blocks) {
    const KvView view = kv_view(arena, block, {n_kv - 1, 1, 0});
    ggml_build_forward_expand(arena.graph(), decoder_attention(arena, model, rows, view).out);
  }
  arena.allocate();
  ggml_backend_tensor_memset(q, 0, 0, ggml_nbytes(q));
  const auto start = std::chrono::steady_clock::now();
  arena.compute();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

double measure_entry_cost(const DecoderModel& model, const Backend& backend, const KvShape& shape) {
  GraphArena arena(backend);
  KvMemory memory(backend.kv_placement());
  std::vector<KvBlock> blocks;
  const std::vector<std::byte> zeros(shape.row_bytes() * kLong);
  for (int32_t i = 0; i < kLayers; ++i) {
    KvBlock& block = blocks.emplace_back(shape, kLong, memory);
    for (int32_t g = 0; g < shape.n_head_kv; ++g) {
      block.scatter(g, 0, kLong, zeros.data(), zeros.data());
    }
  }
  // Other programs only add time: the fastest run of each length comes closest to the cost.
  double short_s = std::numeric_limits<double>::max();
  double long_s = short_s;
  for (int32_t i = 0; i < kRepeats; ++i) {
    short_s = std::min(short_s, attention_s(model, arena, blocks, kShort));
    long_s = std::min(long_s, attention_s(model, arena, blocks, kLong));
  }
  return std::max(0.0, long_s - short_s) / (kLong - kShort) / kLayers;
}

}  // namespace reprise
