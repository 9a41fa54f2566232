#include "core/kernel_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <vector>

<<<<<<< HEAD
#include "core/attention_node.h"
#include "core/backend.h"
#include "core/error.h"
#include "core/kernels/f32_peak.h"
#include "core/kernels/int_panel_matmul.h"
#include "core/kv_block.h"
#include "core/matmul_node.h"
#include "core/prompt_matmul_node.h"
=======
#include "core/arithmetic_peak.h"
#include "core/kernel_cases.h"
>>>>>>> bench
#include "core/read_bandwidth.h"

namespace reprise {
namespace {

using Runs = std::vector<double>;

Runs rates(const Runs& seconds, double amount) {
  Runs out;
  out.reserve(seconds.size());
  for (const double s : seconds) out.push_back(amount / s);
  return out;
}

<<<<<<< HEAD
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
=======
// Run by run: both stood in the same round.
Runs quotients(const Runs& a, const Runs& b) {
  Runs out;
  for (size_t i = 0; i < a.size(); ++i) out.push_back(a[i] / b[i]);
  return out;
>>>>>>> bench
}

BenchSample billions(Runs runs) {
  for (double& value : runs) value *= 1e-9;
  return bench_sample(runs);
}

// Everything that one thread count measured, by round.
struct Measured {
  int32_t n_threads = 0;
  Runs bytes_s;                                         // reading memory
  std::array<Runs, std::size(kAllArithmetic)> peaks_s;  // operations
  std::vector<KernelWork> works;
  std::vector<Runs> seconds;  // [works]

  const Runs& f32_peak() const { return peaks_s[0]; }
};

Measured measure(const Backend& backend, int32_t n_runs,
                 const std::function<void(const std::string&)>& on_run) {
  on_run(fmt::format("{} threads, preparing", backend.n_threads()));
  const std::vector<std::unique_ptr<KernelCase>> cases = all_kernel_cases(backend);
  ReadBandwidth bandwidth(backend);
  std::vector<std::unique_ptr<ArithmeticPeak>> peaks;
  for (const Arithmetic arithmetic : kAllArithmetic)
    peaks.push_back(std::make_unique<ArithmeticPeak>(backend, arithmetic));
  Measured out;
  out.n_threads = backend.n_threads();
  out.works.reserve(cases.size());
  for (const auto& kernel : cases) out.works.push_back(kernel->work());
  out.seconds.resize(cases.size());
  for (int32_t run = 0; run <= n_runs; ++run) {
    on_run(fmt::format("{} threads, round {} of {}", backend.n_threads(), run, n_runs));
    const auto keep = [&](Runs& runs, double value) {
      if (run > 0) runs.push_back(value);  // the first round warms up
    };
    keep(out.bytes_s, bandwidth.measure());
    for (size_t i = 0; i < peaks.size(); ++i) keep(out.peaks_s[i], peaks[i]->measure());
    for (size_t i = 0; i < cases.size(); ++i) keep(out.seconds[i], cases[i]->run_s());
  }
<<<<<<< HEAD
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
=======
  return out;
}

void add_rows(const Measured& at, BenchReport& report) {
  report.rows.push_back({"read memory", at.n_threads, {{"gb_s", billions(at.bytes_s)}}});
  for (size_t i = 0; i < at.peaks_s.size(); ++i) {
    report.rows.push_back(
        {arithmetic_name(kAllArithmetic[i]), at.n_threads, {{"gflop_s", billions(at.peaks_s[i])}}});
>>>>>>> bench
  }
  for (size_t i = 0; i < at.works.size(); ++i) {
    const KernelWork& work = at.works[i];
    const Runs speed = rates(at.seconds[i], work.is_read ? work.bytes : work.ops);
    const Runs& bound = work.is_read ? at.bytes_s : at.f32_peak();
    report.rows.push_back({work.name,
                           at.n_threads,
                           {{work.is_read ? "gb_s" : "gflop_s", billions(speed)},
                            {"share_of_bound", bench_sample(quotients(speed, bound))}}});
  }
}

void add_roofline(const Measured& at, BenchReport& report) {
  Roofline roofline{at.n_threads, bench_sample(at.bytes_s).median, {}};
  for (size_t i = 0; i < at.peaks_s.size(); ++i) {
    roofline.ceilings.push_back(
        {arithmetic_name(kAllArithmetic[i]), bench_sample(at.peaks_s[i]).median});
  }
  for (size_t i = 0; i < at.works.size(); ++i) {
    const KernelWork& work = at.works[i];
    roofline.points.push_back({work.name, work.ops / work.bytes,
                               work.ops / bench_sample(at.seconds[i]).median,
                               work.is_ours ? 1 : 0});
  }
  report.rooflines.push_back(std::move(roofline));
}

// Pairs of an entry and a KV head that decode attention reads in a second, over what reading F16
// entries would allow: for each cache type, and for the best.
void add_ratios(const Measured& at, BenchReport& report) {
  const std::string key = "attention_entries_per_s_vs_f16_bound";
  std::vector<BenchRatio> by_type;
  for (size_t i = 0; i < at.works.size(); ++i) {
    const KernelWork& work = at.works[i];
    if (work.cache_type.empty()) continue;
    const Runs pairs = quotients(rates(at.seconds[i], work.f16_cache_bytes), at.bytes_s);
    by_type.push_back({key + "_" + work.cache_type, bench_sample(pairs)});
  }
  const auto best = std::ranges::max_element(
      by_type, {}, [](const BenchRatio& ratio) { return ratio.value.median; });
  report.ratios = {{key, best->value, BenchTarget{BenchTarget::Kind::kAtLeast, 0.5}}};
  report.ratios.insert(report.ratios.end(), by_type.begin(), by_type.end());
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
  report.facts = kernel_case_facts();
  report.notes = {
      "The bound is the reading of memory by a plain summing loop for what counts in GB/s, and "
      "F32 multiply-adds in the first cache for what counts in GFLOP/s, on the same threads in the "
      "same rounds.",
<<<<<<< HEAD
      "Integer products, ggml's among them, round activations to 8 bits: above 1 token their share "
      "of the F32 bound may exceed 1 on a CPU with fast integer products."};
=======
      "ggml rounds activations to 8 bits for its products and computes them in integers: above "
      "1 token its share of the F32 bound may exceed 1 on a CPU with fast integer products.",
      "attention_entries_per_s_vs_f16_bound: (entry, KV head) pairs a second of the best cache "
      "type, on all threads, over measured bandwidth / the bytes of an F16 pair; behind it, each "
      "type."};
>>>>>>> bench
  const Backend all(options.n_threads);
  if (all.n_threads() > 1) {
    const Measured one = measure(Backend(1), options.n_runs, on_run);
    add_rows(one, report);
    add_roofline(one, report);
  }
  const Measured at = measure(all, options.n_runs, on_run);
  add_rows(at, report);
  add_roofline(at, report);
  add_ratios(at, report);
  return report;
}

}  // namespace reprise
