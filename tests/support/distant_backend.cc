#include "support/distant_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "core/window_measurement.h"
#include "ggml-backend-impl.h"
#include "ggml-cpu.h"

namespace reprise::test {
namespace {

struct Pages {
  void* data;
  size_t size;
};

// Every buffer there is. ggml's interface is made of plain functions, so the list is global.
class AllPages {
 public:
  void add(Pages* pages) {
    const std::lock_guard lock(mutex_);
    pages_.push_back(pages);
  }
  void remove(Pages* pages) {
    const std::lock_guard lock(mutex_);
    std::erase(pages_, pages);
  }
  void protect(int access) {
    const std::lock_guard lock(mutex_);
    for (const Pages* pages : pages_) mprotect(pages->data, pages->size, access);
  }

 private:
  std::mutex mutex_;
  std::vector<Pages*> pages_;
};

AllPages& all_pages() {
  static AllPages pages;
  return pages;
}

// While it lives, the process may touch the memory.
class Opened {
 public:
  Opened() { all_pages().protect(PROT_READ | PROT_WRITE); }
  ~Opened() { all_pages().protect(PROT_NONE); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
};

void free_buffer(ggml_backend_buffer_t buffer) {
  auto* pages = static_cast<Pages*>(buffer->context);
  all_pages().remove(pages);
  munmap(pages->data, pages->size);
  delete pages;
}

void* get_base(ggml_backend_buffer_t buffer) { return static_cast<Pages*>(buffer->context)->data; }

void memset_tensor(ggml_backend_buffer_t /*buffer*/, ggml_tensor* tensor, uint8_t value,
                   size_t offset, size_t size) {
  const Opened opened;
  std::memset(static_cast<std::byte*>(tensor->data) + offset, value, size);
}

void set_tensor(ggml_backend_buffer_t /*buffer*/, ggml_tensor* tensor, const void* data,
                size_t offset, size_t size) {
  const Opened opened;
  std::memcpy(static_cast<std::byte*>(tensor->data) + offset, data, size);
}

void get_tensor(ggml_backend_buffer_t /*buffer*/, const ggml_tensor* tensor, void* data,
                size_t offset, size_t size) {
  const Opened opened;
  std::memcpy(data, static_cast<const std::byte*>(tensor->data) + offset, size);
}

void clear(ggml_backend_buffer_t buffer, uint8_t value) {
  const Opened opened;
  std::memset(get_base(buffer), value, buffer->size);
}

constexpr ggml_backend_buffer_i kBuffer = {
    .free_buffer = free_buffer,
    .get_base = get_base,
    .init_tensor = nullptr,
    .memset_tensor = memset_tensor,
    .set_tensor = set_tensor,
    .get_tensor = get_tensor,
    .set_tensor_2d = nullptr,
    .get_tensor_2d = nullptr,
    .cpy_tensor = nullptr,
    .clear = clear,
    .reset = nullptr,
};

ggml_backend_buffer_t alloc_buffer(ggml_backend_buffer_type_t type, size_t size) {
  const size_t n_bytes = std::max<size_t>(size, 1);
  void* data = mmap(nullptr, n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  std::memset(data, 0xFF, n_bytes);  // NaN in every type: a GPU's memory is not zero either
  mprotect(data, n_bytes, PROT_NONE);
  auto* pages = new Pages{data, n_bytes};
  all_pages().add(pages);
  return ggml_backend_buffer_init(type, kBuffer, pages, size);
}

ggml_backend_buffer_type_t buffer_type() {
  static ggml_backend_buffer_type type = {
      .iface = {
          .get_name = [](ggml_backend_buffer_type_t) { return "distant"; },
          .alloc_buffer = alloc_buffer,
          .get_alignment = [](ggml_backend_buffer_type_t) { return size_t{128}; },
          .get_max_size = nullptr,
          .get_alloc_size = nullptr,
          .is_host = nullptr,
      },
      .device = nullptr,
      .context = nullptr,
  };
  return &type;
}

ggml_backend_dev_t device() {
  static ggml_backend_device device = {};
  device.iface.get_name = [](ggml_backend_dev_t) { return "distant"; };
  device.iface.get_buffer_type = [](ggml_backend_dev_t) { return buffer_type(); };
  device.iface.supports_op = [](ggml_backend_dev_t, const ggml_tensor* node) {
    return node->op != GGML_OP_CUSTOM;  // as with CUDA
  };
  return &device;
}

ggml_status graph_compute(ggml_backend_t backend, ggml_cgraph* graph) {
  const Opened opened;
  return ggml_backend_graph_compute(static_cast<ggml_backend_t>(backend->context), graph);
}

void free_backend(ggml_backend_t backend) {
  ggml_backend_free(static_cast<ggml_backend_t>(backend->context));
  delete backend;
}

void gather_rows(const std::byte* k, const std::byte* v, size_t row_bytes,
                 std::span<const int32_t> slots, std::byte* k_rows, std::byte* v_rows) {
  const Opened opened;
  for (size_t i = 0; i < slots.size(); ++i) {
    std::memcpy(k_rows + row_bytes * i, k + row_bytes * slots[i], row_bytes);
    std::memcpy(v_rows + row_bytes * i, v + row_bytes * slots[i], row_bytes);
  }
}

WindowSums window_columns_of_device(const AttentionRows& rows, int32_t n_window,
                                    int32_t first_entry, WindowStats& stats) {
  const Opened opened;
  return window_columns_without_lse(rows, n_window, first_entry, stats);
}

}  // namespace

ggml_backend_t start_distant_backend(int32_t n_threads) {
  static ggml_guid guid = {'d', 'i', 's', 't', 'a', 'n', 't'};
  auto* backend = new ggml_backend{};
  backend->guid = &guid;
  backend->iface.get_name = [](ggml_backend_t) { return "distant"; };
  backend->iface.free = free_backend;
  backend->iface.graph_compute = graph_compute;
  backend->device = device();
  ggml_backend_t cpu = ggml_backend_cpu_init();
  ggml_backend_cpu_set_n_threads(cpu, n_threads);
  backend->context = cpu;
  return backend;
}

const DeviceKernels* distant_kernels() {
  static constexpr DeviceKernels kKernels = {gather_rows, window_columns_of_device};
  return &kKernels;
}

}  // namespace reprise::test
