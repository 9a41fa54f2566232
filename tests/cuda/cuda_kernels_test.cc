// Our CUDA kernels against the CPU's. Built twice: with nvcc, to run on a GPU, and for the CPU by
// way of tests/cuda/on_cpu.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "core/cuda/kv_gather.h"
#include "core/cuda/window_columns.h"
#include "core/window_measurement.h"

namespace reprise {
namespace {

// A copy in the device's memory.
class OnDevice {
 public:
  explicit OnDevice(std::span<const std::byte> bytes) {
    EXPECT_EQ(cudaMalloc(&data_, bytes.size()), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(data_, bytes.data(), bytes.size(), cudaMemcpyHostToDevice), cudaSuccess);
  }
  ~OnDevice() { cudaFree(data_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  const std::byte* get() const { return static_cast<const std::byte*>(data_); }

 private:
  void* data_ = nullptr;
};

class CudaKernels : public ::testing::Test {
 protected:
  void SetUp() override {
    int n_devices = 0;
    if (cudaGetDeviceCount(&n_devices) != cudaSuccess || n_devices == 0) {
      GTEST_SKIP() << "no CUDA device found";
    }
  }

  std::vector<float> normal(size_t n) {
    std::normal_distribution<float> distribution;
    std::vector<float> values(n);
    for (float& value : values) value = distribution(rng_);
    return values;
  }

  std::mt19937 rng_{11};
};

TEST_F(CudaKernels, GathersRows) {
  for (const size_t row_bytes : {18U, 34U, 128U, 512U}) {
    std::vector<std::byte> k(row_bytes * 300);
    std::vector<std::byte> v(k.size());
    for (std::byte& byte : k) byte = static_cast<std::byte>(rng_());
    for (std::byte& byte : v) byte = static_cast<std::byte>(rng_());
    std::vector<int32_t> slots(77);
    for (int32_t& slot : slots) slot = static_cast<int32_t>(rng_() % 300);
    std::vector<std::byte> k_rows(row_bytes * slots.size());
    std::vector<std::byte> v_rows(k_rows.size());
    const OnDevice k_there(k);
    const OnDevice v_there(v);
    cuda_gather_rows(k_there.get(), v_there.get(), row_bytes, slots, k_rows.data(), v_rows.data());
    for (size_t i = 0; i < slots.size(); ++i) {
      const size_t from = row_bytes * slots[i];
      ASSERT_EQ(std::memcmp(&k_rows[row_bytes * i], &k[from], row_bytes), 0) << row_bytes << i;
      ASSERT_EQ(std::memcmp(&v_rows[row_bytes * i], &v[from], row_bytes), 0) << row_bytes << i;
    }
  }
}

struct Case {
  ggml_type type;
  int32_t n_embd_head, n_head, n_head_kv;
  int32_t n_held, n_tokens, n_window, first_entry;
};

// Both see the same keys, in F32. A logit is a sum of n_embd_head products, an lse one of n_kv
// exponentials, so a probability's relative error is at most the sum of their roundings,
// u (n_embd_head sum|q k| + n_kv + |x|), on either side. Means inherit it. A variance is off by
// twice that of its squares. A term a x of H is off by its share of a, and by a times that of x.
TEST_F(CudaKernels, MeasureTheWindow) {
  const Case cases[] = {
      {GGML_TYPE_F32, 16, 2, 1, 0, 40, 8, 0},    // tails of tiles
      {GGML_TYPE_F16, 64, 4, 2, 0, 65, 9, 0},    // rows that no warp count divides
      {GGML_TYPE_F16, 80, 3, 3, 50, 47, 2, 50},  // older entries, the smallest window
      {GGML_TYPE_Q8_0, 64, 4, 1, 7, 100, 16, 7},     {GGML_TYPE_Q4_0, 32, 2, 2, 0, 96, 32, 0},
      {GGML_TYPE_F16, 32, 1, 1, 1000, 100, 4, 1000},  // more than one split
  };
  for (const Case& c : cases) {
    const int32_t n_kv = c.n_held + c.n_tokens;
    const int32_t n_padded = n_kv + 5;  // blocks are larger than what they hold
    const int32_t n_candidates = c.n_tokens - c.n_window;
    const std::vector<float> q = normal(static_cast<size_t>(c.n_embd_head) * c.n_head * c.n_tokens);
    const std::vector<float> k =
        normal(static_cast<size_t>(c.n_embd_head) * n_padded * c.n_head_kv);
    AttentionRows rows;
    rows.shape = {c.n_embd_head, c.n_head, c.n_head_kv, c.type,
                  1.0F / std::sqrt(static_cast<float>(c.n_embd_head))};
    rows.k.row_bytes = ggml_row_size(c.type, c.n_embd_head);
    rows.k.head_bytes = rows.k.row_bytes * n_padded;
    rows.span = {c.n_held, c.n_tokens, 0};
    std::vector<std::byte> stored(rows.k.head_bytes * c.n_head_kv);
    ggml_quantize_chunk(c.type, k.data(), stored.data(), 0,
                        static_cast<int64_t>(n_padded) * c.n_head_kv, c.n_embd_head, nullptr);
    const size_t n_out = static_cast<size_t>(n_candidates) * c.n_head_kv;
    WindowStats want{0, 0, std::vector<float>(n_out), std::vector<float>(n_out),
                     std::vector<float>(n_out)};
    WindowStats got = want;
    rows.k.data = stored.data();
    rows.q = q.data();
    const WindowSums want_sums = window_columns_without_lse(rows, c.n_window, c.first_entry, want);
    const OnDevice stored_there(stored);
    const OnDevice q_there(std::as_bytes(std::span(q)));
    rows.k.data = stored_there.get();
    rows.q = reinterpret_cast<const float*>(q_there.get());
    const WindowSums got_sums = cuda_window_columns(rows, c.n_window, c.first_entry, got);

    // sum|q k| of normal values, scaled: n_embd_head^1/2, times 2 for its spread; |x| < 20.
    const double u = std::ldexp(1.0, -24);
    const double error = 2 * u * (c.n_embd_head * 2 * std::sqrt(c.n_embd_head) + n_kv + 20);
    const auto n_group = static_cast<double>(rows.shape.n_group());
    double variance_error = 0;
    for (size_t i = 0; i < n_out; ++i) {
      ASSERT_GT(want.mean[i], 0);
      ASSERT_NEAR(got.mean[i], want.mean[i], error * want.mean[i]) << ggml_type_name(c.type) << i;
      ASSERT_NEAR(got.last[i], want.last[i], error * want.last[i]) << ggml_type_name(c.type) << i;
      // sum of a^2 over the window <= (sum of a)^2, for each head and so on average
      const double most = std::pow(want.mean[i] * c.n_window * n_group, 2) / (c.n_window - 1);
      ASSERT_NEAR(got.var[i], want.var[i], 2 * error * most) << ggml_type_name(c.type) << i;
      variance_error += 2 * error * most * n_group;
    }
    EXPECT_GT(want_sums.entropy, 0);
    EXPECT_NEAR(got_sums.entropy, want_sums.entropy,
                error * (want_sums.entropy + c.n_head * c.n_window));
    EXPECT_NEAR(got_sums.variance, want_sums.variance, variance_error);
  }
}

TEST_F(CudaKernels, ShowWhatIsNotFinite) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> q(16 * 20, 1);
    std::vector<float> k(16 * 20, 1);
    k[16 * 3 + 5] = bad;
    const OnDevice q_there(std::as_bytes(std::span(q)));
    const OnDevice k_there(std::as_bytes(std::span(k)));
    AttentionRows rows;
    rows.shape = {16, 1, 1, GGML_TYPE_F32, 0.25F};
    rows.k = {k_there.get(), 64, 64 * 20};
    rows.span = {0, 20, 0};
    rows.q = reinterpret_cast<const float*>(q_there.get());
    WindowStats stats{0, 0, std::vector<float>(16), std::vector<float>(16), std::vector<float>(16)};
    EXPECT_FALSE(std::isfinite(cuda_window_columns(rows, 4, 0, stats).entropy)) << bad;
  }
}

}  // namespace
}  // namespace reprise
