#include "core/backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <exception>
#include <new>
#include <thread>

#include "core/error.h"
#include "core/plain_nodes.h"
#include "core/usable_cores.h"
#include "ggml-alloc.h"
#include "ggml-cpu.h"

namespace reprise {
namespace {

constexpr size_t kKeptPiece = 16384;
constexpr size_t kMostNodes = size_t{1} << 20;  // some 400 MB of bookkeeping

int32_t checked_threads(int32_t n_threads) {
  constexpr int32_t kMost = Backend::kMostThreads;
  if (n_threads < 0 || n_threads > kMost) {
    throw Error(
        fmt::format("--threads {}: expected 1 to {}, or 0 for all cores that this process may use",
                    n_threads, kMost));
  }
  if (n_threads > 0) return n_threads;
  return std::min(usable_cores(), kMost);
}

// ggml ends the process when a thread of its pool does not start: we try before, all at once.
void check_threads_start(int32_t n_threads) {
  std::atomic<bool> is_over = false;
  std::vector<std::thread> threads;
  threads.reserve(n_threads);
  bool has_failed = false;
  try {
    for (int32_t i = 1; i < n_threads; ++i) threads.emplace_back([&] { is_over.wait(false); });
  } catch (const std::exception&) {  // no thread, or no memory for one
    has_failed = true;
  }
  is_over = true;
  is_over.notify_all();
  for (std::thread& thread : threads) thread.join();
  if (!has_failed) return;
  throw Error(fmt::format(
      "{} threads cannot be started: out of memory, or more than the system allows (ulimit -u); "
      "lower --threads",
      n_threads));
}

}  // namespace

int32_t Backend::useful_threads(int32_t wanted) {
  return std::min(checked_threads(wanted), checked_threads(0));
}

Backend::Backend(int32_t n_threads, WeightUse weights, const Device& device)
    : n_threads_(checked_threads(n_threads)), weights_(weights) {
  if (device.kind == Device::Kind::kCuda) {
    backend_ = start_cuda(device.index);
    kernels_ = cuda_kernels();
    return;
  }
  has_kernels_ = device.kind == Device::Kind::kCpu;
  start_cpu();
}

Backend::Backend(int32_t n_threads, ggml_backend_t device, const DeviceKernels* kernels)
    : n_threads_(checked_threads(n_threads)),
      weights_(WeightUse::kAsIs),
      kernels_(kernels),
      backend_(device) {}

void Backend::start_cpu() {
  check_threads_start(n_threads_);
  backend_ = ggml_backend_cpu_init();
  if (backend_ == nullptr)
    throw Error("the CPU backend cannot be started: out of memory; take a smaller model");
  ggml_threadpool_params params = ggml_threadpool_params_default(n_threads_);
  pool_ = ggml_threadpool_new(&params);
  if (pool_ == nullptr)
    throw Error(fmt::format("cannot start {} threads; lower --threads", n_threads_));
  ggml_backend_cpu_set_n_threads(backend_, n_threads_);
  ggml_backend_cpu_set_threadpool(backend_, pool_);
}

Backend::~Backend() {
  ggml_backend_free(backend_);
  if (pool_ != nullptr) ggml_threadpool_free(pool_);
}

ggml_backend_buffer_type_t Backend::buffer_type() const {
  return ggml_backend_get_default_buffer_type(backend_);
}

KvPlacement Backend::kv_placement() const {
  return {buffer_type(), has_kernels_ ? 1 : kPlainKvUnit, kernels_};
}

void Backend::check(ggml_cgraph* graph) const {
  if (pool_ != nullptr) return;  // the CPU has a form of everything that is built
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    const ggml_tensor* node = ggml_graph_node(graph, i);
    if (ggml_backend_supports_op(backend_, node)) continue;
    std::string sources;
    for (const ggml_tensor* source : node->src) {
      if (source == nullptr) continue;
      sources += fmt::format(" {}[{}, {}, {}]", ggml_type_name(source->type), source->ne[0],
                             source->ne[1], source->ne[2]);
    }
    throw Error(fmt::format("{} has no {} of{}; use --device cpu, or another cache type",
                            ggml_backend_name(backend_), ggml_op_desc(node), sources));
  }
}

ggml_cplan Backend::plan(ggml_cgraph* graph) const {
  if (pool_ == nullptr) return {};
  ggml_cplan plan = ggml_graph_plan(graph, n_threads_, pool_);
  if (plan.work_size > scratch_.size()) {
    try {
      scratch_.clear();
      scratch_.resize(plan.work_size);
    } catch (const std::bad_alloc&) {
      throw Error(fmt::format(
          "out of memory for {} bytes of scratch of a compute pass; lower --ctx", plan.work_size));
    }
  }
  return plan;
}

void Backend::rest() const {
  if (pool_ != nullptr) ggml_threadpool_pause(pool_);
}

void Backend::compute(ggml_cgraph* graph, ggml_cplan plan) const {
  ggml_status status = GGML_STATUS_SUCCESS;
  if (pool_ != nullptr) {
    // What the CPU backend's own compute does, but for planning anew. The scratch memory may have
    // moved meanwhile, for a larger graph.
    plan.work_data = reinterpret_cast<uint8_t*>(scratch_.data());
    status = ggml_graph_compute(graph, &plan);
  } else {
    status = ggml_backend_graph_compute(backend_, graph);
  }
  if (status != GGML_STATUS_SUCCESS) {
    throw Error(fmt::format("a compute pass failed: {}; lower --ctx if memory is short",
                            ggml_status_to_string(status)));
  }
}

GraphArena::GraphArena(const Backend& backend, size_t n_nodes_max)
    : backend_(backend), n_nodes_max_(n_nodes_max) {
  if (n_nodes_max > kMostNodes) {
    throw Error(fmt::format("a compute graph of {} tensors is too large, at most {} are built in",
                            n_nodes_max, kMostNodes));
  }
  ggml_init_params params{};
  params.mem_size =
      ggml_tensor_overhead() * n_nodes_max + ggml_graph_overhead_custom(n_nodes_max, false);
  params.no_alloc = true;
  ctx_ = ggml_init(params);
  allocator_ = ggml_gallocr_new(backend.buffer_type());
  if (ctx_ == nullptr || allocator_ == nullptr)
    throw Error("out of memory for a compute graph; lower --ctx");
}

GraphArena::~GraphArena() {
  ggml_gallocr_free(allocator_);
  ggml_free(ctx_);
}

void GraphArena::begin() {
  i_kept_ = 0;
  n_kept_bytes_ = 0;
  masks_.clear();
  restarts_.clear();
  ++n_begun_;
  ggml_reset(ctx_);
  graph_ = ggml_new_graph_custom(ctx_, n_nodes_max_, false);
}

void GraphArena::restart() {
  for (const Restart& restart : restarts_) restart.run(restart.kept);
}

void* GraphArena::keep_bytes(size_t n_bytes) {
  constexpr size_t kAlign = alignof(std::max_align_t);
  n_bytes = (n_bytes + kAlign - 1) / kAlign * kAlign;
  assert(n_bytes <= kKeptPiece);
  if (n_kept_bytes_ + n_bytes > kKeptPiece) {
    ++i_kept_;
    n_kept_bytes_ = 0;
  }
  if (i_kept_ == kept_.size()) kept_.push_back(std::make_unique<std::byte[]>(kKeptPiece));
  std::byte* bytes = kept_[i_kept_].get() + n_kept_bytes_;
  n_kept_bytes_ += n_bytes;
  return bytes;
}

ggml_tensor* GraphArena::input(ggml_type type, int64_t ne0, int64_t ne1) {
  ggml_tensor* tensor = ggml_new_tensor_2d(ctx_, type, ne0, ne1);
  ggml_set_input(tensor);
  return tensor;
}

ggml_tensor* GraphArena::view(ggml_backend_buffer_t buffer, void* data, ggml_type type,
                              const int64_t (&ne)[3], size_t nb1, size_t nb2) {
  ggml_tensor* tensor = ggml_new_tensor_3d(ctx_, type, ne[0], ne[1], ne[2]);
  tensor->nb[1] = nb1;
  tensor->nb[2] = nb2;
  tensor->nb[3] = nb2 * ne[2];
  tensor->buffer = buffer;
  tensor->data = data;
  return tensor;
}

void GraphArena::allocate() {
  backend_.check(graph_);
  if (!ggml_gallocr_alloc_graph(allocator_, graph_)) {
    throw Error("out of memory for the activations of a compute pass; lower --ctx");
  }
  plan_ = backend_.plan(graph_);
  masks_.fill();
}

void GraphArena::reserve() {
  backend_.check(graph_);
  if (!ggml_gallocr_reserve(allocator_, graph_)) {
    throw Error("out of memory for the activations of a compute pass; lower --ctx");
  }
  backend_.plan(graph_);  // for its scratch memory
}

}  // namespace reprise
