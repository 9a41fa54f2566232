#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <random>

#include "core/kv_store.h"
#include "ggml-cpu.h"

namespace reprise {
namespace {

using Bytes = std::vector<std::byte>;

// One entry of one KV head, as any layout must give it back.
struct Entry {
  int32_t position = 0;
  Bytes k;
  Bytes v;

  bool operator==(const Entry&) const = default;
};
using Entries = std::vector<Entry>;  // by slot

// A layer of the store beside plain vectors that went through the same operations.
class TwinLayer {
 public:
  TwinLayer(const KvLayerShape& shape, uint32_t seed)
      : rng_(seed), shape_(shape), store_({shape}), heads_(shape.kv.n_head_kv) {}

  void step() {
    switch (rng_() % (shape_.n_swa > 0 ? 4 : 8)) {
      case 0:
      case 1:
        return append();
      case 2:
        return save_and_restore();
      case 3:
        return store_.reserve(0, static_cast<int32_t>(rng_() % 700));
      case 4:
        return truncate(static_cast<int32_t>(rng_() % (store_.count(0) + 1)));
      case 5:
        return replace();
      case 6:
        return adopt();
      default:
        if (rng_() % 4 != 0) return replace();
        store_.clear();
        for (Entries& head : heads_) head.clear();
    }
  }

  void expect_equal() {
    const int32_t n = store_.count(0);
    if (shape_.n_swa > 0) {  // which entries left the window early is the store's affair
      const auto n_seen = static_cast<int32_t>(heads_[0].size());
      ASSERT_LE(n, n_seen);
      ASSERT_GE(n, std::min(n_seen, shape_.n_swa - 1));
      ASSERT_LE(store_.capacity(0), shape_.n_swa + KvStore::kMaxPass);
      for (Entries& head : heads_) head.erase(head.begin(), head.end() - n);
    }
    ASSERT_EQ(n, static_cast<int32_t>(heads_[0].size()));
    ASSERT_EQ(store_.memory().current(), shape_.entry_bytes() * store_.capacity(0));
    ASSERT_EQ(store_.n_held_bytes(), shape_.entry_bytes() * n);
    if (n == 0) return;
    std::vector<int32_t> slots(n);
    std::iota(slots.begin(), slots.end(), 0);
    std::ranges::shuffle(slots, rng_);
    for (int32_t g = 0; g < shape_.kv.n_head_kv; ++g) {
      const Entries got = gather(store_.block(0), g, slots);
      for (int32_t i = 0; i < n; ++i) {
        Entry entry = got[i];
        entry.position = store_.position(0, g, slots[i]);
        ASSERT_EQ(entry, heads_[g][slots[i]]) << "KV head " << g << " slot " << slots[i];
      }
    }
  }

  // The views that graphs read, over a random span of slots.
  void expect_equal_views(GraphArena& arena) {
    const int32_t n = store_.count(0);
    if (n == 0) return;
    const KvShape& kv = shape_.kv;
    const auto first = static_cast<int32_t>(rng_() % n);
    const auto n_view = static_cast<int32_t>(1 + rng_() % (n - first));
    arena.begin();
    ggml_tensor* k = ggml_cont(arena.ctx(), store_.block(0).k(arena, first, n_view));
    ggml_tensor* v = ggml_cont(arena.ctx(), store_.block(0).v(arena, first, n_view));
    for (ggml_tensor* tensor : {k, v}) {
      ggml_set_output(tensor);
      ggml_build_forward_expand(arena.graph(), tensor);
    }
    arena.allocate();
    arena.compute();
    const size_t row = kv.row_bytes();
    const auto* k_data = static_cast<const std::byte*>(k->data);
    const auto* v_data = static_cast<const std::byte*>(v->data);
    for (int32_t g = 0; g < kv.n_head_kv; ++g) {
      for (int32_t i = 0; i < n_view; ++i) {
        const Entry& want = heads_[g][first + i];
        const size_t i_row = static_cast<size_t>(g) * n_view + i;
        ASSERT_EQ(std::memcmp(k_data + row * i_row, want.k.data(), row), 0);
        ASSERT_EQ(std::memcmp(v_data + row * i_row, want.v.data(), row), 0);
      }
    }
  }

 private:
  // A row of n_embd_head random values, and what the cache makes of it.
  Bytes random_row(float* values) {
    std::normal_distribution<float> normal;
    for (int32_t x = 0; x < shape_.kv.n_embd_head; ++x) values[x] = normal(rng_);
    Bytes row(shape_.kv.row_bytes());
    // As ggml's copies on the CPU round; its reference quantiser may differ in the last bit.
    if (shape_.kv.type == GGML_TYPE_F32) {
      std::memcpy(row.data(), values, row.size());
    } else {
      ggml_get_type_traits_cpu(shape_.kv.type)
          ->from_float(values, row.data(), shape_.kv.n_embd_head);
    }
    return row;
  }

  // Tokens of a pass, written by a graph as the engine does, or row by row.
  void append() {
    const KvShape& kv = shape_.kv;
    const auto n = static_cast<int32_t>(1 + rng_() % (rng_() % 3 == 0 ? KvStore::kMaxPass : 5));
    store_.make_room(0, n);
    const int32_t first = store_.count(0);
    std::vector<float> k_values(static_cast<size_t>(n) * kv.n_head_kv * kv.n_embd_head);
    std::vector<float> v_values(k_values.size());
    for (int32_t i = 0; i < n; ++i) {
      for (int32_t g = 0; g < kv.n_head_kv; ++g) {
        const size_t at = (static_cast<size_t>(i) * kv.n_head_kv + g) * kv.n_embd_head;
        heads_[g].push_back(
            {n_past_ + i, random_row(k_values.data() + at), random_row(v_values.data() + at)});
      }
    }
    if (rng_() % 2 == 0) {
      put(first, n, k_values, v_values);
    } else {
      for (int32_t g = 0; g < kv.n_head_kv; ++g) {
        scatter(store_.block(0), g, first, std::span(heads_[g]).last(n));
      }
    }
    store_.commit(0, n, n_past_);
    n_past_ += n;
  }

  void put(int32_t first, int32_t n, const std::vector<float>& k_values,
           const std::vector<float>& v_values) {
    const KvShape& kv = shape_.kv;
    arena_.begin();
    const int64_t n_row = static_cast<int64_t>(kv.n_embd_head) * kv.n_head_kv;
    ggml_tensor* k = arena_.input(GGML_TYPE_F32, n_row, n);
    ggml_tensor* v = arena_.input(GGML_TYPE_F32, n_row, n);
    store_.block(0).put(arena_, first,
                        ggml_reshape_3d(arena_.ctx(), k, kv.n_embd_head, kv.n_head_kv, n),
                        ggml_reshape_3d(arena_.ctx(), v, kv.n_embd_head, kv.n_head_kv, n));
    arena_.allocate();
    std::memcpy(k->data, k_values.data(), k_values.size() * sizeof(float));
    std::memcpy(v->data, v_values.data(), v_values.size() * sizeof(float));
    arena_.compute();
  }

  void truncate(int32_t n) {
    store_.truncate(0, n);
    for (Entries& head : heads_) head.resize(n);
  }

  void replace() {
    if (store_.count(0) == 0) return;
    const size_t g = rng_() % heads_.size();
    const auto to = static_cast<int32_t>(rng_() % store_.count(0));
    const auto from = static_cast<int32_t>(rng_() % store_.count(0));
    store_.replace(0, static_cast<int32_t>(g), to, from);
    heads_[g][to] = heads_[g][from];
  }

  // A cascade: a whole prompt in staging, ranked, cut twice, appended.
  void adopt() {
    const KvShape& kv = shape_.kv;
    const auto n_prompt = static_cast<int32_t>(2 + rng_() % 300);
    const auto n_window = static_cast<int32_t>(1 + rng_() % std::min(n_prompt - 1, 40));
    const auto n_ranked = static_cast<int32_t>(rng_() % (n_prompt - n_window + 1));
    KvBlock staging(kv, n_prompt, store_.memory());
    KvPages pages(kv, store_.memory());
    std::vector<int32_t> window(n_window);
    std::iota(window.begin(), window.end(), n_prompt - n_window);
    const int32_t n_kept = static_cast<int32_t>(rng_() % (n_ranked + 1));
    std::vector<float> scratch(kv.n_embd_head);
    for (int32_t g = 0; g < kv.n_head_kv; ++g) {
      Entries prompt;
      for (int32_t i = 0; i < n_prompt; ++i) {
        prompt.push_back({n_past_ + i, random_row(scratch.data()), random_row(scratch.data())});
      }
      scatter(staging, g, 0, prompt);
      std::vector<int32_t> order(n_prompt - n_window);
      std::iota(order.begin(), order.end(), 0);
      std::ranges::shuffle(order, rng_);
      order.resize(n_ranked);
      pages.store(g, staging, order, window);
      order.resize(n_kept);
      order.insert(order.end(), window.begin(), window.end());
      for (const int32_t slot : order) heads_[g].push_back(prompt[slot]);
    }
    pages.truncate(n_kept + static_cast<int32_t>(rng_() % (n_ranked - n_kept + 1)));
    pages.truncate(n_kept);
    store_.adopt(0, std::move(pages), n_past_, static_cast<int32_t>(rng_() % 50));
    n_past_ += n_prompt;
  }

  void save_and_restore() {
    const Bytes bytes = store_.save_layer(0);
    KvStore other({shape_});
    if (rng_() % 2 == 0) other.reserve(0, static_cast<int32_t>(1 + rng_() % 900));
    other.restore_layer(0, bytes);
    EXPECT_EQ(other.save_layer(0), bytes);
    store_ = std::move(other);
  }

  static void scatter(KvBlock& block, int32_t g, int32_t first, std::span<const Entry> entries) {
    Bytes k;
    Bytes v;
    for (const Entry& entry : entries) {
      k.insert(k.end(), entry.k.begin(), entry.k.end());
      v.insert(v.end(), entry.v.begin(), entry.v.end());
    }
    block.scatter(g, first, static_cast<int32_t>(entries.size()), k.data(), v.data());
  }

  static Entries gather(const KvBlock& block, int32_t g, std::span<const int32_t> slots) {
    const size_t row = block.shape().row_bytes();
    Bytes k(row * slots.size());
    Bytes v(k.size());
    block.gather(g, slots, k.data(), v.data());
    Entries entries(slots.size());
    for (size_t i = 0; i < slots.size(); ++i) {
      entries[i].k.assign(k.begin() + row * i, k.begin() + row * (i + 1));
      entries[i].v.assign(v.begin() + row * i, v.begin() + row * (i + 1));
    }
    return entries;
  }

  std::mt19937 rng_;
  KvLayerShape shape_;
  Backend backend_{1};
  GraphArena arena_{backend_};
  KvStore store_;
  std::vector<Entries> heads_;  // [n_head_kv]; of a sliding window more than the store holds
  int32_t n_past_ = 0;
};

class KvStoreOfLayout : public ::testing::TestWithParam<std::pair<ggml_type, int32_t>> {};

TEST_P(KvStoreOfLayout, EqualsPlainVectors) {
  const auto [type, n_swa] = GetParam();
  const Backend backend(1);
  GraphArena arena(backend);
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    const KvShape kv{seed % 2 == 0 ? 64 : 32, static_cast<int32_t>(1 + seed % 3), type};
    TwinLayer twin({kv, n_swa}, seed);
    for (int i = 0; i < 40; ++i) {
      twin.step();
      twin.expect_equal();
      twin.expect_equal_views(arena);
      if (HasFatalFailure()) FAIL() << "seed " << seed << ", operation " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, KvStoreOfLayout,
                         ::testing::Values(std::pair(GGML_TYPE_F32, 0), std::pair(GGML_TYPE_F16, 0),
                                           std::pair(GGML_TYPE_Q8_0, 0),
                                           std::pair(GGML_TYPE_Q4_0, 0),
                                           std::pair(GGML_TYPE_F16, 48),
                                           std::pair(GGML_TYPE_Q8_0, 700)),
                         [](const auto& info) {
                           return std::string(ggml_type_name(info.param.first)) +
                                  (info.param.second > 0 ? "_window" : "");
                         });

}  // namespace
}  // namespace reprise
