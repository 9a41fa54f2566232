#pragma once

#include <cstdint>

#include "core/kernels/attention.h"

namespace reprise {

// One query per head over all entries held, in parts that threads may take in any order: the query
// heads of one KV head over some of its entries, so that each cached byte is read once. The parts
// of a KV head are then merged, always in the same order: the result depends on no thread.
// Splitting over entries as in Flash-Decoding (Dao et al., 2023).
struct DecodeAttention {
  AttentionShape shape;
  KvRows k;
  KvRows v;
  int32_t n_kv = 0;          // > 0
  const float* q = nullptr;  // [n_embd_head, n_head]
  float* out = nullptr;      // [n_embd_head, n_head]
  float* logits = nullptr;   // [n_kv, n_head], scratch; weights within their part from then on
  float* sums = nullptr;     // scratch: decode_sums_size() values

  static constexpr int32_t kMaxPartRows = 512;
  int32_t part_rows() const;  // entries of a part, except the last
  int32_t n_parts() const { return (n_kv + part_rows() - 1) / part_rows(); }  // of one KV head
};

// Values of DecodeAttention::sums for up to n_kv entries.
int64_t decode_sums_size(const AttentionShape& shape, int32_t n_kv);

// Attends to part i_part of KV head g, and asks for what the next part reads.
void decode_attention_part(const DecodeAttention& a, int32_t g, int32_t i_part);
// Once all parts of KV head g are done: writes its heads of out.
void decode_attention_merge(const DecodeAttention& a, int32_t g);
// After the merge: turns the parts' weights of KV head g, which stand where the logits were, into
// probabilities: a multiplication each.
void decode_attention_probs(const DecodeAttention& a, int32_t g);

}  // namespace reprise
