#include "core/kernel_bench.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <vector>

#include "core/attention_node.h"
#include "core/backend.h"
#include "core/error.h"
#include "core/kernels/f32_peak.h"
#include "core/kernels/int_panel_matmul.h"
#include "core/kv_block.h"
#include "core/matmul_node.h"
#include "core/prompt_matmul_node.h"
#include "core/read_bandwidth.h"

namespace reprise {
namespace {

using Clock = std::chrono::steady_clock;

// SmolLM2's heads, and a wider matrix than it has: nothing here should depend on one width.
constexpr int32_t kEmbdHead = 64;
constexpr int32_t kHeads = 9;
constexpr int32_t kHeadsKv = 3;
constexpr int32_t kEntries = 8000;
constexpr int32_t kPromptTokens = 512;
constexpr int32_t kLayers = 8;  // of decode attention, each with a cache of its own
constexpr int64_t kIn = 2048;
constexpr int64_t kOutOfPrompt = 2048;
constexpr int64_t kOutOfToken = 32768;  // 34 to 71 MB: as the whole of a model, in no cache

// One graph that is computed again and again.
class Case {
 public:
  Case(const Backend& backend, std::string name) : arena_(backend), name_(std::move(name)) {}
  virtual ~Case() = default;
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;

  const std::string& name() const { return name_; }
  virtual double bytes() const { return 0; }  // read from memory; 0: not what counts
  virtual double flops() const { return 0; }  // likewise
  double run_s() {
    arena_.begin();
    build();
    arena_.allocate();
    fill();
    const Clock::time_point start = Clock::now();
    arena_.compute();
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

 protected:
  virtual void build() = 0;
  virtual void fill() = 0;
  static void fill_waves(ggml_tensor* tensor) {
    auto* values = static_cast<float*>(tensor->data);
    for (int64_t i = 0; i < ggml_nelements(tensor); ++i)
      values[i] = std::sin(0.37F * static_cast<float>(i % 4096));
  }

  GraphArena arena_;

 private:
  std::string name_;
};

std::vector<std::byte> quantised_waves(ggml_type type, int64_t n_rows, int64_t n_row) {
  std::vector<float> values(n_row * n_rows);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = std::cos(0.11F * static_cast<float>(i % 8192));
  std::vector<std::byte> out(ggml_row_size(type, n_row) * n_rows);
  ggml_quantize_chunk(type, values.data(), out.data(), 0, n_rows, n_row, nullptr);
  return out;
}

class AttentionCase final : public Case {
 public:
  AttentionCase(const Backend& backend, ggml_type type, int32_t n_tokens)
      : Case(backend, fmt::format("{} attention {}", n_tokens == 1 ? "decode" : "prefill",
                                  ggml_type_name(type))),
        n_tokens_(n_tokens) {
    const KvShape shape{kEmbdHead, kHeadsKv, type};
    const std::vector<std::byte> rows = quantised_waves(type, kEntries, kEmbdHead);
    for (int32_t i = 0; i < (n_tokens == 1 ? kLayers : 1); ++i) {
      KvBlock& block = blocks_.emplace_back(shape, kEntries, memory_);
      for (int32_t g = 0; g < kHeadsKv; ++g)
        block.scatter(g, 0, kEntries, rows.data(), rows.data());
    }
  }

  double bytes() const override {
    if (n_tokens_ > 1) return 0;
    return static_cast<double>(blocks_.front().n_bytes()) * static_cast<double>(blocks_.size());
  }
  double flops() const override {
    if (n_tokens_ == 1) return 0;
    const double n_seen = n_tokens_ * (kEntries - n_tokens_ / 2.0);
    return 4.0 * kEmbdHead * kHeads * n_seen;
  }

 private:
  void build() override {
    q_ = arena_.input(GGML_TYPE_F32, int64_t{kEmbdHead} * kHeads, n_tokens_);
    ggml_tensor* q = ggml_reshape_3d(arena_.ctx(), q_, kEmbdHead, kHeads, n_tokens_);
    for (const KvBlock& block : blocks_) {
      const AttentionInputs in{q,
                               block.k(arena_, 0, kEntries),
                               block.v(arena_, 0, kEntries),
                               {kEntries - n_tokens_, n_tokens_, 0},
                               0.125F};
      ggml_build_forward_expand(arena_.graph(),
                                attention_node(arena_, in, AttentionExtra::kNone).out);
    }
  }
  void fill() override { fill_waves(q_); }

  KvMemory memory_;
  std::vector<KvBlock> blocks_;
  int32_t n_tokens_;
  ggml_tensor* q_ = nullptr;
};

std::string product_name(PromptKernel kernel, int64_t n_tokens) {
  if (kernel == PromptKernel::kGgml) return "ggml product";
  if (n_tokens == 1) return "product";
  return kernel == PromptKernel::kIntPanels ? "integer product" : "F32 product";
}

// A single token goes through matmul_node unless the kernel is ggml's.
class ProductCase final : public Case {
 public:
  ProductCase(const Backend& backend, ggml_type type, int64_t n_tokens, PromptKernel kernel)
      : Case(backend, fmt::format("{} {} x {} token{}", product_name(kernel, n_tokens),
                                  ggml_type_name(type), n_tokens, n_tokens == 1 ? "" : "s")),
        n_tokens_(n_tokens),
        n_out_(n_tokens == 1 ? kOutOfToken : kOutOfPrompt),
        kernel_(kernel),
        type_(type),
        buffer_(ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(),
                                               ggml_row_size(type, kIn) * n_out_),
                ggml_backend_buffer_free) {
    if (buffer_ == nullptr) throw Error("out of memory for the kernel bench");
    const std::vector<std::byte> rows = quantised_waves(type, n_out_, kIn);
    std::copy(rows.begin(), rows.end(), weights());
  }

  double bytes() const override {
    return n_tokens_ == 1 ? static_cast<double>(ggml_row_size(type_, kIn) * n_out_) : 0;
  }
  double flops() const override {
    return n_tokens_ == 1 ? 0 : 2.0 * kIn * static_cast<double>(n_out_ * n_tokens_);
  }

 private:
  std::byte* weights() const {
    return static_cast<std::byte*>(ggml_backend_buffer_get_base(buffer_.get()));
  }
  void build() override {
    x_ = arena_.input(GGML_TYPE_F32, kIn, n_tokens_);
    const size_t row = ggml_row_size(type_, kIn);
    ggml_tensor* w =
        arena_.view(buffer_.get(), weights(), type_, {kIn, n_out_, 1}, row, row * n_out_);
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
  std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer_;
  ggml_tensor* x_ = nullptr;
};

// What F32 arithmetic gives on all threads.
class PeakCase final : public Case {
 public:
  explicit PeakCase(const Backend& backend)
      : Case(backend, "F32 multiply-add"), done_(backend.n_threads()) {}
  double flops() const override { return kFlops * static_cast<double>(done_.size()); }

 private:
  static constexpr int32_t kRounds = 2000;
  static constexpr double kFlops = 1e6 * kRounds;
  void build() override {
    none_ = arena_.input(GGML_TYPE_F32, 1);
    const auto run = [](ggml_tensor* /*dst*/, int ith, int /*nth*/, void* self) {
      static_cast<PeakCase*>(self)->done_[ith] = f32_peak(kRounds);
    };
    ggml_build_forward_expand(
        arena_.graph(), ggml_custom_4d(arena_.ctx(), GGML_TYPE_F32, 1, 1, 1, 1, &none_, 1, run,
                                       GGML_N_TASKS_MAX, this));
  }
  void fill() override {}

  std::vector<double> done_;  // [n_threads]
  ggml_tensor* none_ = nullptr;
};

std::vector<std::unique_ptr<Case>> all_cases(const Backend& backend) {
  std::vector<std::unique_ptr<Case>> cases;
  cases.push_back(std::make_unique<PeakCase>(backend));
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_0})
    cases.push_back(std::make_unique<AttentionCase>(backend, type, 1));
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0})
    cases.push_back(std::make_unique<AttentionCase>(backend, type, kPromptTokens));
  using enum PromptKernel;
  const auto add_product = [&](ggml_type type, int64_t n_tokens, PromptKernel kernel) {
    if (kernel == kIntPanels && !has_int_panel_matmul(type)) return;
    cases.push_back(std::make_unique<ProductCase>(backend, type, n_tokens, kernel));
  };
  for (const ggml_type type : {GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0}) {
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

void measure(const Backend& backend, int32_t n_runs,
             const std::function<void(const std::string&)>& on_run, BenchReport& report) {
  const std::vector<std::unique_ptr<Case>> cases = all_cases(backend);
  ReadBandwidth bandwidth(backend);
  std::vector<std::vector<double>> seconds(cases.size());
  std::vector<double> read;
  for (int32_t run = 0; run <= n_runs; ++run) {  // the first warms up
    on_run(fmt::format("{} threads, round {} of {}", backend.n_threads(), run, n_runs));
    const double bytes_s = bandwidth.measure();
    if (run > 0) read.push_back(bytes_s);
    for (size_t i = 0; i < cases.size(); ++i) {
      const double s = cases[i]->run_s();
      if (run > 0) seconds[i].push_back(s);
    }
  }
  const double most_bytes = bench_sample(read).median;
  const double most_flops = cases.front()->flops() / bench_sample(seconds.front()).median;
  const auto rate = [](const std::vector<double>& times, double amount) {
    std::vector<double> rates;
    rates.reserve(times.size());
    for (const double s : times) rates.push_back(amount / s);
    return bench_sample(rates);
  };
  const auto scaled = [](BenchSample sample, double factor) {
    return BenchSample{sample.n_runs, sample.median * factor, sample.low * factor,
                       sample.high * factor};
  };
  const int64_t n_threads = backend.n_threads();
  report.rows.push_back({"read memory", n_threads, {{"gb_s", scaled(bench_sample(read), 1e-9)}}});
  for (size_t i = 0; i < cases.size(); ++i) {
    const bool reads = cases[i]->bytes() > 0;
    const BenchSample sample = rate(seconds[i], reads ? cases[i]->bytes() : cases[i]->flops());
    BenchRow row{cases[i]->name(), n_threads, {{reads ? "gb_s" : "gflop_s", scaled(sample, 1e-9)}}};
    if (i > 0)
      row.values.emplace_back("share_of_bound",
                              scaled(sample, 1 / (reads ? most_bytes : most_flops)));
    report.rows.push_back(std::move(row));
  }
  // Pairs of an entry and a KV head that attention reads in a second, of the best cache type, over
  // what reading F16 entries would allow.
  constexpr double kF16PairBytes = 2.0 * 2 * kEmbdHead;
  double best = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    if (!cases[i]->name().starts_with("decode attention")) continue;
    const double pairs = static_cast<double>(kEntries) * kHeadsKv * kLayers;
    best = std::max(best, pairs / bench_sample(seconds[i]).median * kF16PairBytes / most_bytes);
  }
  report.ratios = {{"attention_entries_per_s_vs_f16_bound",  // of the last, all threads
                    {n_runs, best, best, best},
                    BenchTarget{BenchTarget::Kind::kAtLeast, 0.5}}};
}

}  // namespace

BenchReport bench_kernels(const KernelBenchOptions& options,
                          const std::function<void(const std::string& what)>& on_run) {
  BenchReport report;
  report.bench = "kernels";
  report.title = "Kernels and what the machine can do";
  report.machine = this_machine();
  report.setting = "threads";
  report.columns = {{"gb_s", "GB/s read", BenchFormat::kRate, BenchColumn::Plot::kBars},
                    {"gflop_s", "GFLOP/s", BenchFormat::kRate, BenchColumn::Plot::kBars},
                    {"share_of_bound", "share of bound", BenchFormat::kShare}};
  report.facts = {{"attention", fmt::format("{} entries, {} query and {} KV heads of {} values",
                                            kEntries, kHeads, kHeadsKv, kEmbdHead)},
                  {"products", fmt::format("{} values into {} for prompts, into {} for a token",
                                           kIn, kOutOfPrompt, kOutOfToken)}};
  report.notes = {
      "The bound is the reading of memory by a plain summing loop for what counts in GB/s, and "
      "multiply-adds in the first cache for what counts in GFLOP/s, on the same threads in the "
      "same rounds.",
      "Integer products, ggml's among them, round activations to 8 bits: above 1 token their share "
      "of the F32 bound may exceed 1 on a CPU with fast integer products."};
  const Backend all(options.n_threads);
  if (all.n_threads() > 1) measure(Backend(1), options.n_runs, on_run, report);
  measure(all, options.n_runs, on_run, report);
  return report;
}

}  // namespace reprise
