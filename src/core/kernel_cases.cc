#include "core/kernel_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/attention_node.h"
#include "core/error.h"
#include "core/huge_pages.h"
#include "core/kernels/int_panel_matmul.h"
#include "core/kv_block.h"
#include "core/matmul_node.h"
#include "core/prompt_matmul_node.h"

namespace reprise {
namespace {

// Heads of attention.
struct HeadShape {
  int32_t n_embd_head;
  int32_t n_head_kv;
  int32_t n_group;  // query heads of each

  int32_t n_head() const { return n_head_kv * n_group; }
  bool operator==(const HeadShape&) const = default;
  std::string text() const { return fmt::format("{} heads of {}", n_group, n_embd_head); }
};
// SmolLM2's, Qwen2.5-0.5B's, and wider ones as larger models of Llama have them; likewise a wider
// matrix than SmolLM2 has: nothing here should depend on one width.
constexpr HeadShape kHeads = {64, 3, 3};
constexpr HeadShape kMoreHeads[] = {{64, 2, 7}, {128, 2, 4}};
constexpr int32_t kEntries = 8000;
constexpr int32_t kPromptTokens = 512;
constexpr int32_t kLayers = 8;  // of decode attention, each with a cache of its own
constexpr int64_t kIn = 2048;
constexpr int64_t kOutOfPrompt = 2048;
constexpr int64_t kOutOfToken = 32768;  // 34 to 71 MB: as the whole of a model, in no cache

void fill_waves(ggml_tensor* tensor) {
  auto* values = static_cast<float*>(tensor->data);
  for (int64_t i = 0; i < ggml_nelements(tensor); ++i)
    values[i] = std::sin(0.37F * static_cast<float>(i % 4096));
}

std::vector<std::byte> quantised_waves(ggml_type type, int64_t n_rows, int64_t n_row) {
  std::vector<float> values(n_row * n_rows);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::cos(0.11F * static_cast<float>(i % 8192));
  std::vector<std::byte> out(ggml_row_size(type, n_row) * n_rows);
  ggml_quantize_chunk(type, values.data(), out.data(), 0, n_rows, n_row, nullptr);
  return out;
}

KernelWork attention_work(const HeadShape& heads, ggml_type type, int32_t n_tokens) {
  const bool is_decode = n_tokens == 1;
  const double n_rows = 2.0 * kEntries * heads.n_head_kv * (is_decode ? kLayers : 1);  // K and V
  KernelWork work;
  work.name =
      fmt::format("{} attention {}", is_decode ? "decode" : "prefill", ggml_type_name(type));
  if (heads != kHeads) work.name += ", " + heads.text();
  // Queries see the entries before them and themselves.
  work.ops = 4.0 * heads.n_embd_head * heads.n_head() * n_tokens *
             (kEntries - (n_tokens - 1) / 2.0) * (is_decode ? kLayers : 1);
  work.bytes = n_rows * static_cast<double>(ggml_row_size(type, heads.n_embd_head));
  work.bound = is_decode ? KernelWork::Bound::kReading : KernelWork::Bound::kF32;
  if (is_decode && heads == kHeads) {
    work.cache_type = ggml_type_name(type);
    work.f16_cache_bytes = n_rows * 2 * heads.n_embd_head;
  }
  return work;
}

class AttentionCase final : public KernelCase {
 public:
  AttentionCase(const Backend& backend, const HeadShape& heads, ggml_type type, int32_t n_tokens)
      : KernelCase(backend, attention_work(heads, type, n_tokens)),
        heads_(heads),
        n_tokens_(n_tokens) {
    const KvShape shape{heads.n_embd_head, heads.n_head_kv, type};
    const std::vector<std::byte> rows = quantised_waves(type, kEntries, heads.n_embd_head);
    for (int32_t i = 0; i < (n_tokens == 1 ? kLayers : 1); ++i) {
      KvBlock& block = blocks_.emplace_back(shape, kEntries, memory_);
      for (int32_t g = 0; g < heads.n_head_kv; ++g)
        block.scatter(g, 0, kEntries, rows.data(), rows.data());
    }
  }

 private:
  void build() override {
    const int32_t n_embd_head = heads_.n_embd_head;
    q_ = arena_.input(GGML_TYPE_F32, int64_t{n_embd_head} * heads_.n_head(), n_tokens_);
    ggml_tensor* q = ggml_reshape_3d(arena_.ctx(), q_, n_embd_head, heads_.n_head(), n_tokens_);
    for (const KvBlock& block : blocks_) {
      const AttentionInputs in{q,
                               block.k(arena_, 0, kEntries),
                               block.v(arena_, 0, kEntries),
                               {kEntries - n_tokens_, n_tokens_, 0},
                               1 / std::sqrt(static_cast<float>(n_embd_head))};
      ggml_build_forward_expand(arena_.graph(),
                                attention_node(arena_, in, AttentionExtra::kNone).out);
    }
  }
  void fill() override { fill_waves(q_); }

  HeadShape heads_;
  KvMemory memory_;
  std::vector<KvBlock> blocks_;
  int32_t n_tokens_;
  ggml_tensor* q_ = nullptr;
};

int64_t n_out_of(int64_t n_tokens) { return n_tokens == 1 ? kOutOfToken : kOutOfPrompt; }

std::string product_name(PromptKernel kernel, int64_t n_tokens) {
  if (kernel == PromptKernel::kGgml) return "ggml product";
  if (n_tokens == 1) return "product";
  return kernel == PromptKernel::kIntPanels ? "integer product" : "F32 product";
}

KernelWork product_work(ggml_type type, int64_t n_tokens, PromptKernel kernel) {
  const int64_t n_out = n_out_of(n_tokens);
  KernelWork work;
  work.name = fmt::format("{} {} x {} token{}", product_name(kernel, n_tokens),
                          ggml_type_name(type), n_tokens, n_tokens == 1 ? "" : "s");
  work.is_ours = kernel != PromptKernel::kGgml;
  work.ops = 2.0 * kIn * static_cast<double>(n_out * n_tokens);
  work.bytes = static_cast<double>(ggml_row_size(type, kIn) * n_out) +
               4.0 * static_cast<double>(n_tokens * (kIn + n_out));
  // ggml, too, multiplies quantised weights as integers.
  const bool is_integer = kernel == PromptKernel::kIntPanels ||
                          (kernel == PromptKernel::kGgml && ggml_is_quantized(type));
  work.bound = n_tokens == 1 ? KernelWork::Bound::kReading
               : is_integer  ? KernelWork::Bound::kInt8
                             : KernelWork::Bound::kF32;
  return work;
}

// A single token goes through matmul_node unless the kernel is ggml's.
class ProductCase final : public KernelCase {
 public:
  ProductCase(const Backend& backend, ggml_type type, int64_t n_tokens, PromptKernel kernel)
      : KernelCase(backend, product_work(type, n_tokens, kernel)),
        n_tokens_(n_tokens),
        n_out_(n_out_of(n_tokens)),
        kernel_(kernel),
        type_(type) {
    const std::vector<std::byte> rows = quantised_waves(type, n_out_, kIn);
    weights_ = allocate_huge_pages(rows.size());
    if (weights_ == nullptr) throw Error("out of memory for the kernel bench");
    std::copy(rows.begin(), rows.end(), weights_.get());
    buffer_.reset(ggml_backend_cpu_buffer_from_ptr(weights_.get(), rows.size()));
  }

 private:
  void build() override {
    x_ = arena_.input(GGML_TYPE_F32, kIn, n_tokens_);
    const size_t row = ggml_row_size(type_, kIn);
    ggml_tensor* w =
        arena_.view(buffer_.get(), weights_.get(), type_, {kIn, n_out_, 1}, row, row * n_out_);
    const bool is_token = n_tokens_ == 1 && kernel_ != PromptKernel::kGgml;
    ggml_build_forward_expand(arena_.graph(), is_token
                                                  ? matmul_node(arena_, w, x_)
                                                  : prompt_matmul_node(arena_, kernel_, w, x_));
  }
  void fill() override { fill_waves(x_); }

  int64_t n_tokens_;
  int64_t n_out_;
  PromptKernel kernel_;
  ggml_type type_;
  HugePages weights_;  // as a model's are
  std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer_{
      nullptr, ggml_backend_buffer_free};
  ggml_tensor* x_ = nullptr;
};

}  // namespace

double KernelCase::run_s() {
  using Clock = std::chrono::steady_clock;
  arena_.begin();
  build();
  arena_.allocate();
  fill();
  const Clock::time_point start = Clock::now();
  arena_.compute();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::pair<std::string, std::string>> kernel_case_facts() {
  return {{"attention",
           fmt::format("{} entries, {} query and {} KV heads of {} values unless said otherwise: 7 "
                       "heads of 64 are the query heads of one KV head",
                       kEntries, kHeads.n_head(), kHeads.n_head_kv, kHeads.n_embd_head)},
          {"products", fmt::format("{} values into {} for prompts, into {} for a token", kIn,
                                   kOutOfPrompt, kOutOfToken)}};
}

std::vector<std::unique_ptr<KernelCase>> all_kernel_cases(const Backend& backend) {
  std::vector<std::unique_ptr<KernelCase>> cases;
  const auto add_attention = [&](const HeadShape& heads, ggml_type type, int32_t n_tokens) {
    cases.push_back(std::make_unique<AttentionCase>(backend, heads, type, n_tokens));
  };
  constexpr ggml_type kCacheTypes[] = {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0};
  for (const ggml_type type : kCacheTypes) add_attention(kHeads, type, 1);
  for (const HeadShape& heads : kMoreHeads) {
    for (const ggml_type type : kCacheTypes) add_attention(heads, type, 1);
  }
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0})
    add_attention(kHeads, type, kPromptTokens);
  using enum PromptKernel;
  const auto add_product = [&](ggml_type type, int64_t n_tokens, PromptKernel kernel) {
    if (kernel == kIntPanels && n_tokens > 1 && !has_int_panel_matmul(type)) return;
    cases.push_back(std::make_unique<ProductCase>(backend, type, n_tokens, kernel));
  };
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0, GGML_TYPE_Q8_0,
                               GGML_TYPE_Q4_K, GGML_TYPE_Q6_K, GGML_TYPE_F16}) {
    for (const PromptKernel kernel : {kIntPanels, kGgml}) add_product(type, 1, kernel);
  }
  for (const int64_t n_tokens : {8, 32, 128}) {
    for (const PromptKernel kernel : {kIntPanels, kF32Panels, kGgml})
      add_product(GGML_TYPE_Q4_1, n_tokens, kernel);
  }
  for (const ggml_type type :
       {GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q5_0,
        GGML_TYPE_Q5_1, GGML_TYPE_Q8_0, GGML_TYPE_IQ4_NL, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K}) {
    for (const PromptKernel kernel : {kIntPanels, kF32Panels, kGgml})
      add_product(type, kPromptTokens, kernel);
  }
  return cases;
}

}  // namespace reprise
