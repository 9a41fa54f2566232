#include "engines/generate/kv_contestant.h"

#include <algorithm>

#include "core/stopwatch.h"

namespace reprise {
namespace {

// Calls read(first, n) for the prompt in libllama's own steps of n_ubatch, so that the progress
// moves and Ctrl-C is heard.
template <class F>
void in_steps(int32_t n_prompt, const PrefillProgress& progress, F&& read) {
  constexpr int32_t kStep = 512;
  for (int32_t first = 0; first < n_prompt; first += kStep) {
    const int32_t n = std::min(kStep, n_prompt - first);
    read(first, n);
    if (progress) progress(first + n, n_prompt);
  }
}

}  // namespace

double KvContestant::time_decode(std::span<const int32_t> tokens) {
  const Stopwatch stopwatch;
  for (const int32_t token : tokens) decode(token);
  return stopwatch.seconds();
}

double ReprisePolicy::prefill(std::span<const int32_t> prompt, int32_t n_growth,
                              const PrefillProgress& progress) {
  kept_ = {};
  if (!sequence_) sequence_.emplace(model_, backend_, policy_);
  sequence_->clear();
  const Stopwatch stopwatch;
  sequence_->prefill(prompt, {.n_growth = n_growth, .n_compress = -1, .progress = progress});
  return stopwatch.seconds();
}

void ReprisePolicy::keep() {
  if (policy_->plan().decode == KvDecode::kGrow) kept_ = sequence_->save();
}

void ReprisePolicy::rewind() {
  if (policy_->plan().decode == KvDecode::kGrow) sequence_->restore(kept_);
}

double ReprisePolicy::decode_policy_s() { return sequence_->decode_policy_s(); }

int64_t ReprisePolicy::kv_read_bytes() {
  KvStore& kv = sequence_->kv();
  int64_t n_bytes = 0;
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    const KvLayerShape& shape = kv.shape(il);
    const int32_t n = shape.n_swa > 0 ? std::min(kv.count(il), shape.n_swa) : kv.count(il);
    n_bytes += shape.kv.entry_bytes() * n;
  }
  return n_bytes;
}

double ReprisePolicy::policy_share() {
  const PrefillReport& report = sequence_->last_prefill();
  return report.policy_s / report.total_s;
}

double ReprisePolicy::copy_share() {
  const PrefillReport& report = sequence_->last_prefill();
  return report.copy_s / report.total_s;
}

int64_t ReprisePolicy::peak_formula_bytes() {
  const PrefillReport& report = sequence_->last_prefill();
  if (!report.is_cascade || !policy_->plan().cascades) return 0;
  const KvStore& kv = sequence_->kv();
  int64_t n_bytes = 0;
  int64_t layer_bytes = 0;  // of the one that is whole for a while
  int64_t page_bytes = 0;
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    const KvLayerShape& shape = kv.shape(il);
    if (!shape.is_eligible()) {
      n_bytes += shape.entry_bytes() * (shape.n_swa + KvStore::kMaxPass);
      continue;
    }
    n_bytes += shape.entry_bytes() * report.kept[il];
    layer_bytes = (shape.entry_bytes() + 12 * shape.kv.n_head_kv) * report.n_tokens;
    page_bytes = shape.entry_bytes() * KvPages::kPageEntries;
  }
  return n_bytes + layer_bytes + page_bytes;
}

int64_t LibllamaCache::n_bytes(int32_t n_tokens) const {
  const KvShape shape{hp_.n_embd_head, hp_.n_head_kv, GGML_TYPE_F16};
  int64_t n_entries = 0;
  for (const bool is_swa : hp_.is_swa)
    n_entries += is_swa ? std::min(n_tokens, hp_.n_swa) : n_tokens;
  return shape.entry_bytes() * n_entries;
}

int64_t LibllamaCache::context_bytes(int32_t n_tokens) const {
  constexpr int32_t kStep = 256;
  return hp_.n_swa > 0 ? 0 : n_bytes((n_tokens + kStep - 1) / kStep * kStep);
}

double LibllamaContestant::prefill(std::span<const int32_t> prompt, int32_t n_growth,
                                   const PrefillProgress& progress) {
  peer_.clear();  // writes zeros over its whole cache
  const Stopwatch stopwatch;
  n_prompt_ = static_cast<int32_t>(prompt.size());
  n_room_ = n_prompt_ + n_growth;
  in_steps(n_prompt_, progress, [&](int32_t first, int32_t n) {
    const std::span<const int32_t> step = prompt.subspan(first, n);
    first + n < n_prompt_ ? peer_.append(step) : static_cast<void>(peer_.extend(step));
  });
  return stopwatch.seconds();
}

double PeerProcessContestant::prefill(std::span<const int32_t> prompt, int32_t n_growth,
                                      const PrefillProgress& progress) {
  peer_.clear();
  double seconds = 0;
  n_prompt_ = static_cast<int32_t>(prompt.size());
  n_room_ = n_prompt_ + n_growth;
  in_steps(n_prompt_, progress, [&](int32_t first, int32_t n) {
    const std::span<const int32_t> step = prompt.subspan(first, n);
    seconds += first + n < n_prompt_ ? peer_.append(step) : peer_.extend(step);
  });
  return seconds;
}

}  // namespace reprise
