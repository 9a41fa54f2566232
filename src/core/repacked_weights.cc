#include "core/repacked_weights.h"

#include <memory>
#include <string_view>

#include "ggml-cpu.h"

namespace reprise {
namespace {

ggml_backend_dev_t cpu_device() { return ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0); }

}  // namespace

ggml_backend_buffer_type_t repack_buffer_type() {
  // ggml declares it in no public header, but lists it for those that place weights.
  static const ggml_backend_buffer_type_t type = []() -> ggml_backend_buffer_type_t {
    auto* list =
        reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
            ggml_backend_cpu_reg(), "ggml_backend_dev_get_extra_bufts"));
    ggml_backend_buffer_type_t* types = list == nullptr ? nullptr : list(cpu_device());
    for (; types != nullptr && *types != nullptr; ++types)
      if (ggml_backend_buft_name(*types) == std::string_view("CPU_REPACK")) return *types;
    return nullptr;
  }();
  return type;
}

bool has_repacked_form(const ggml_tensor* w) {
  if (repack_buffer_type() == nullptr) return false;
  const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
      ggml_backend_buft_alloc_buffer(repack_buffer_type(), 0), ggml_backend_buffer_free);
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> ctx(
      ggml_init({.mem_size = 4 * ggml_tensor_overhead(), .mem_buffer = nullptr, .no_alloc = true}),
      ggml_free);
  if (buffer == nullptr || ctx == nullptr) return false;
  ggml_tensor* weights = ggml_new_tensor(ctx.get(), w->type, GGML_MAX_DIMS, w->ne);
  weights->buffer = buffer.get();
  ggml_tensor* x = ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, w->ne[0], 512);
  return ggml_backend_dev_supports_op(cpu_device(), ggml_mul_mat(ctx.get(), weights, x));
}

bool is_repacked(const ggml_tensor* w) {
  return w->buffer != nullptr && ggml_backend_buffer_get_type(w->buffer) == repack_buffer_type();
}

}  // namespace reprise
