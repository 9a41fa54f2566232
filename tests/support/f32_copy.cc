#include "support/f32_copy.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

#include "ggml.h"
#include "gguf.h"

namespace reprise::test {

void write_f32_copy(const std::string& from, const std::string& to) {
  using Gguf = std::unique_ptr<gguf_context, decltype(&gguf_free)>;
  using Tensors = std::unique_ptr<ggml_context, decltype(&ggml_free)>;
  ggml_context* loaded = nullptr;
  const Gguf source(gguf_init_from_file(from.c_str(), {.no_alloc = false, .ctx = &loaded}),
                    gguf_free);
  const Tensors source_tensors(loaded, ggml_free);
  if (source == nullptr) throw std::runtime_error("cannot read " + from);

  size_t n_bytes = 0;
  for (ggml_tensor* t = ggml_get_first_tensor(loaded); t != nullptr;
       t = ggml_get_next_tensor(loaded, t)) {
    n_bytes += ggml_tensor_overhead() + ggml_nelements(t) * sizeof(float) + GGML_MEM_ALIGN;
  }
  const Tensors tensors(ggml_init({.mem_size = n_bytes, .mem_buffer = nullptr, .no_alloc = false}),
                        ggml_free);
  const Gguf target(gguf_init_empty(), gguf_free);
  gguf_set_kv(target.get(), source.get());
  constexpr uint32_t kAllF32 = 0;  // llama.cpp's LLAMA_FTYPE_ALL_F32
  gguf_set_val_u32(target.get(), "general.file_type", kAllF32);
  for (int64_t i = 0; i < gguf_get_n_tensors(source.get()); ++i) {  // in the file's order
    const char* name = gguf_get_tensor_name(source.get(), i);
    const ggml_tensor* t = ggml_get_tensor(loaded, name);
    ggml_tensor* copy = ggml_new_tensor(tensors.get(), GGML_TYPE_F32, ggml_n_dims(t), t->ne);
    ggml_set_name(copy, name);
    if (t->type == GGML_TYPE_F32) {
      std::copy_n(static_cast<const float*>(t->data), ggml_nelements(t),
                  static_cast<float*>(copy->data));
    } else {
      ggml_get_type_traits(t->type)->to_float(t->data, static_cast<float*>(copy->data),
                                              ggml_nelements(t));
    }
    gguf_add_tensor(target.get(), copy);
  }
  if (!gguf_write_to_file(target.get(), to.c_str(), false)) {
    throw std::runtime_error("cannot write " + to);
  }
}

}  // namespace reprise::test
