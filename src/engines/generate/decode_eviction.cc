#include "engines/generate/decode_eviction.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <set>

#include "core/work_parts.h"
#include "policies/kv/victim.h"

namespace reprise {

DecodeEviction::DecodeEviction(const Backend& backend, const KvPlan& plan, const KvStore& kv,
                               std::span<const int32_t> n_older, const TurnBudget& budget)
    : plan_(plan), layers_(kv.n_layer()) {
  if (backend.pool() != nullptr) pool_.emplace(backend);
  scratch_.resize(pool_ ? backend.n_threads() : 1);
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    if (!kv.shape(il).is_eligible()) continue;
    Layer& layer = layers_[il];
    layer.n_older = n_older[il];
    layer.limit = kv.count(il) + budget.n_spare;
    for (int32_t g = 0; g < kv.shape(il).kv.n_head_kv; ++g) {
      Head& head = layer.heads.emplace_back();
      head.order.resize(kv.count(il) - layer.n_older);
      std::iota(head.order.begin(), head.order.end(), layer.n_older);
      // The window's entries last: an earlier turn may have left them in any slot.
      const auto position = [&](int32_t slot) { return kv.position(il, g, slot); };
      std::vector<int32_t> sorted = head.order;
      std::ranges::sort(sorted, {}, position);
      if (plan.decode == KvDecode::kCakeOfficial) {
        const size_t n_ranked = sorted.size() - std::min<size_t>(sorted.size(), plan.n_window);
        const std::set<int32_t> window(sorted.begin() + static_cast<ptrdiff_t>(n_ranked),
                                       sorted.end());
        std::erase_if(head.order, [&](int32_t slot) { return window.contains(slot); });
        std::copy(sorted.begin() + static_cast<ptrdiff_t>(n_ranked), sorted.end(),
                  std::back_inserter(head.order));
      } else {
        head.order = std::move(sorted);
      }
    }
    fit(layer, kv.capacity(il));
  }
}

void DecodeEviction::fit(Layer& layer, int32_t capacity) {
  layer.capacity = capacity;
  for (Head& head : layer.heads) {
    head.order.reserve(capacity);
    if (plan_.decode == KvDecode::kEma) head.sums.resize(capacity);
  }
  for (Scratch& scratch : scratch_) {
    const auto n = std::max(scratch.victims.size(), static_cast<size_t>(capacity));
    scratch.victims.resize(n);
    scratch.values.resize(victim_scratch(n));
  }
}

int64_t DecodeEviction::step(KvStore& kv, std::span<ggml_tensor* const> probs) {
  const bool is_due = ++n_steps_ % plan_.decode_every == 0;
  int64_t n_dropped = 0;
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    Layer& layer = layers_[il];
    if (layer.limit == 0) continue;
    if (layer.capacity < kv.capacity(il)) fit(layer, kv.capacity(il));
    // No more than there are candidates, though a layer be restored with less than a window.
    const int32_t n_over =
        std::min(kv.count(il) - layer.limit, kv.count(il) - layer.n_older - plan_.n_window);
    layer.n_drop = is_due ? std::max(0, n_over) : 0;
    n_dropped += layer.n_drop;
  }
  // Layers differ in their entries: whoever is done takes the next one.
  WorkParts layers;
  const auto work = [&](int32_t i_thread, int32_t /*n_threads*/) {
    for (int32_t il; (il = layers.take()) < kv.n_layer();)
      if (layers_[il].limit > 0) step_layer(kv, il, *probs[il], scratch_[i_thread]);
  };
  if (pool_) {
    pool_->run(std::ref(work));  // a reference, which needs no memory
  } else {
    work(0, 1);
  }
  return n_dropped;
}

void DecodeEviction::step_layer(KvStore& kv, int32_t il, const ggml_tensor& probs,
                                Scratch& scratch) {
  Layer& layer = layers_[il];
  const auto n_head_kv = static_cast<int32_t>(layer.heads.size());
  const auto n_group = static_cast<int32_t>(probs.ne[2]) / n_head_kv;
  const size_t n_values = static_cast<size_t>(probs.ne[0]) * n_group;
  const std::span<const float> rows(static_cast<const float*>(probs.data), n_values * n_head_kv);
  for (int32_t g = 0; g < n_head_kv; ++g) {
    Head& head = layer.heads[g];
    // The new entry, and those that came without a step.
    for (int32_t slot = layer.n_older + static_cast<int32_t>(head.order.size());
         slot < kv.count(il); ++slot) {
      head.order.push_back(slot);
    }
    const size_t n_candidates =
        std::max(0, static_cast<int32_t>(head.order.size()) - plan_.n_window);
    const DecodeView view{rows.subspan(n_values * g, n_values), kv.count(il), n_group,
                          std::span(head.order).first(n_candidates)};
    if (plan_.decode == KvDecode::kEma) {
      add_attention(view, scratch.values, std::span(head.sums).first(kv.count(il)));
    }
    if (layer.n_drop > 0) drop(kv, il, g, view, scratch);
  }
  kv.truncate(il, kv.count(il) - layer.n_drop);
}

void DecodeEviction::drop(KvStore& kv, int32_t il, int32_t g, const DecodeView& view,
                          Scratch& scratch) {
  Head& head = layers_[il].heads[g];
  const int32_t n_drop = layers_[il].n_drop;
  const size_t n_candidates = view.candidates.size();
  const bool is_official = plan_.decode == KvDecode::kCakeOfficial;
  // The published code also leaves the candidates in the order of this step's scores.
  const std::span<int32_t> victims =
      std::span(scratch.victims).first(is_official ? n_candidates : static_cast<size_t>(n_drop));
  // There is room for the layer's growth behind them.
  const auto sums = std::span(head.sums).first(head.sums.empty() ? 0 : view.n_slots);
  choose_victims(plan_.decode, view, sums, scratch.values, victims);
  if (is_official) {
    std::reverse_copy(victims.begin(), victims.end(), head.order.begin());
  }
  for (int32_t i = 0; i < n_drop; ++i) {
    const int32_t victim = victims[i];
    const int32_t last = view.n_slots - 1 - i;  // the slot that is given up
    head.order.erase(std::find(head.order.begin(), head.order.end(), victim));
    if (victim != last) {
      kv.replace(il, g, victim, last);
      std::replace(head.order.begin(), head.order.end(), last, victim);
      std::replace(victims.begin() + i + 1, victims.end(), last, victim);
    }
    if (head.sums.empty()) continue;
    head.sums[victim] = head.sums[last];
    head.sums[last] = 0;
  }
}

}  // namespace reprise
