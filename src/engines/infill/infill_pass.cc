#include "engines/infill/infill_pass.h"

#include <fmt/format.h>

#include <cassert>
#include <cstring>

#include "core/error.h"
#include "core/ragged_attention_node.h"
#include "core/split_mix.h"
#include "core/work_parts.h"
#include "nets/decoder.h"

namespace reprise {
namespace {

// Of one wanted row, in the order of the logits.
struct Draw {
  const ProposalRule* rule;
  uint64_t seed;
};

Draw draw_of(const InfillRows& text, int32_t position) {
  return {text.rule, SplitMix64(text.seed + static_cast<uint64_t>(position)).next()};
}

// The tensor of a proposal node is an array of Proposal.
constexpr int64_t kProposalValues = sizeof(Proposal) / sizeof(float);
static_assert(sizeof(Proposal) == 4 * sizeof(float));

struct ProposalWork {
  OpTrace* trace;
  const Draw* draws;
  WorkParts parts;
};

void run_proposals(ggml_tensor* dst, int ith, int /*nth*/, void* work_pointer) {
  auto* work = static_cast<ProposalWork*>(work_pointer);
  const OpTimer timer(work->trace, ith, "proposals");
  const ggml_tensor* logits = dst->src[0];
  auto* out = static_cast<Proposal*>(dst->data);
  const auto n_vocab = static_cast<int32_t>(logits->ne[0]);
  for (int32_t i; (i = work->parts.take()) < logits->ne[1];) {
    const auto* row = static_cast<const float*>(logits->data) + int64_t{i} * n_vocab;
    out[i] = row_proposal(row, n_vocab, *work->draws[i].rule, work->draws[i].seed);
  }
}

// [4, n_wanted]: a Proposal for each row of logits.
ggml_tensor* proposal_node(GraphArena& arena, ggml_tensor* logits, const Draw* draws) {
  auto* work = arena.keep<ProposalWork>();
  work->trace = arena.trace();
  work->draws = draws;
  return ggml_custom_4d(arena.ctx(), GGML_TYPE_F32, kProposalValues, logits->ne[1], 1, 1, &logits,
                        1, run_proposals, GGML_N_TASKS_MAX, work);
}

// Graph inputs of a pass, gathered before the graph is built.
struct PassInputs {
  std::vector<int32_t> ids;
  std::vector<int32_t> positions;
  std::vector<int32_t> heads;  // rows that logits are computed from
  std::vector<Draw> draws;     // one each
};

PassInputs gather(const DecoderHparams& hp, std::span<const InfillRows> texts) {
  PassInputs in;
  for (const InfillRows& text : texts) {
    const auto base = static_cast<int32_t>(in.ids.size()) - text.rows.first;
    for (int32_t p = text.rows.first; p < text.rows.end; ++p) {
      if (text.ids[p] < 0 || text.ids[p] >= hp.n_vocab) {
        throw Error(fmt::format("token {} at position {}: the model knows 0 to {}", text.ids[p], p,
                                hp.n_vocab - 1));
      }
      in.ids.push_back(text.ids[p]);
      in.positions.push_back(p);
    }
    for (const int32_t p : text.wanted) {
      const int32_t row = hp.shifts_logits && p > 0 ? p - 1 : p;
      assert(row >= text.rows.first && row < text.rows.end);
      in.heads.push_back(base + row);
      in.draws.push_back(draw_of(text, p));
    }
  }
  return in;
}

ggml_tensor* input(GraphArena& arena, const std::vector<int32_t>& values) {
  return arena.input(GGML_TYPE_I32, static_cast<int64_t>(values.size()));
}

void set(ggml_tensor* tensor, const std::vector<int32_t>& values) {
  ggml_backend_tensor_set(tensor, values.data(), 0, ggml_nbytes(tensor));
}

std::vector<float> read(const ggml_tensor* tensor) {
  std::vector<float> values(ggml_nelements(tensor));
  ggml_backend_tensor_get(tensor, values.data(), 0, ggml_nbytes(tensor));
  return values;
}

}  // namespace

CanvasCache::CanvasCache(const DecoderHparams& hp, ggml_type type, int32_t n_canvas,
                         const KvPlacement& placement)
    : memory_(std::make_unique<KvMemory>(placement)) {
  const KvShape shape{hp.n_embd_head, hp.n_head_kv, type};
  check_kv_shape(shape);
  layers_.reserve(hp.n_layer);
  for (int32_t il = 0; il < hp.n_layer; ++il) layers_.emplace_back(shape, n_canvas, *memory_);
}

// Without kernels every text has nodes of its own in every layer.
InfillPass::InfillPass(std::shared_ptr<const DecoderModel> model, const Backend& backend)
    : model_(std::move(model)),
      backend_(backend),
      arena_(backend, backend.has_kernels() ? 8192 : size_t{1} << 17) {}

std::span<const Proposal> InfillPass::compute(std::span<const InfillRows> texts) {
  return compute(texts, nullptr);
}

std::span<const Proposal> InfillPass::compute(std::span<const InfillRows> texts, Probe* probe) {
  const DecoderHparams& hp = model_->hparams();
  const PassInputs in = gather(hp, texts);
  assert(!in.heads.empty());
  arena_.begin();
  ggml_context* ctx = arena_.ctx();
  ggml_tensor* ids = input(arena_, in.ids);
  const DecoderBatch batch{input(arena_, in.positions)};
  ggml_tensor* heads = input(arena_, in.heads);
  std::vector<ggml_tensor*> hidden;
  std::vector<RaggedSequence> sequences(texts.size());
  ggml_tensor* x = decoder_embed(arena_, *model_, ids);
  for (int32_t il = 0; il < hp.n_layer; ++il) {
    for (size_t i = 0; i < texts.size(); ++i) {
      sequences[i] = {&texts[i].cache->layers()[il], texts[i].rows.n(), texts[i].rows.first,
                      static_cast<int32_t>(texts[i].ids.size())};
    }
    const DecoderQkv qkv =
        decoder_qkv(arena_, *model_, il, decoder_products(arena_, *model_, il, x), batch);
    ggml_tensor* attention =
        ragged_attention_nodes(arena_, sequences, qkv.q, qkv.k, qkv.v, hp.attn_scale);
    // What no logits come from ends with the last layer's entries.
    if (il == hp.n_layer - 1 && probe == nullptr) {
      x = ggml_get_rows(ctx, x, heads);
      attention = ggml_get_rows(ctx, attention, heads);
    }
    x = decoder_layer_rest(arena_, *model_, il, x, attention);
    if (probe != nullptr) hidden.push_back(x);
  }
  if (probe != nullptr) x = ggml_get_rows(ctx, x, heads);
  ggml_tensor* logits = decoder_head(arena_, *model_, x);
  ggml_tensor* out = arena_.has_kernels() ? proposal_node(arena_, logits, in.draws.data()) : logits;
  for (ggml_tensor* kept : hidden) ggml_set_output(kept);
  ggml_set_output(logits);
  ggml_set_output(out);
  ggml_build_forward_expand(arena_.graph(), out);
  arena_.allocate();
  set(ids, in.ids);
  set(batch.pos, in.positions);
  set(heads, in.heads);
  arena_.compute();

  proposals_.resize(in.heads.size());
  if (arena_.has_kernels()) {
    std::memcpy(proposals_.data(), out->data, sizeof(Proposal) * proposals_.size());
  } else {
    const std::vector<float> rows = read(logits);
    for (size_t i = 0; i < proposals_.size(); ++i) {
      proposals_[i] = row_proposal(rows.data() + i * hp.n_vocab, hp.n_vocab, *in.draws[i].rule,
                                   in.draws[i].seed);
    }
  }
  if (probe != nullptr) {
    for (const ggml_tensor* kept : hidden) probe->hidden.push_back(read(kept));
    probe->logits = read(logits);
  }
  return proposals_;
}

}  // namespace reprise
