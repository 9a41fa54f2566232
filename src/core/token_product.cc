#include "core/token_product.h"

#include <cassert>

#include "core/product_log.h"
#include "ggml-cpu.h"

namespace reprise {
namespace {

constexpr size_t kLine = 64;

size_t lines(size_t n_bytes) { return (n_bytes + kLine - 1) / kLine * kLine; }

ggml_type ggml_rounding(ggml_type weight_type) {
  return ggml_get_type_traits_cpu(weight_type)->vec_dot_type;
}

size_t bytes_for(ggml_type weight_type, int64_t n_in) {
  if (has_token_matvec(weight_type)) return rounded_token_bytes(n_in);
  const ggml_type type = ggml_rounding(weight_type);
  return type == GGML_TYPE_F32 ? 0 : lines(ggml_row_size(type, n_in));
}

}  // namespace

std::string_view token_kernel_name(ggml_type weight_type) {
  return has_token_matvec(weight_type) ? "integer rows" : kGgmlProduct;
}

size_t TokenInput::scratch_bytes(std::span<const ggml_tensor* const> w) {
  size_t n_bytes = 0;
  for (const ggml_tensor* t : w) n_bytes += bytes_for(t->type, t->ne[0]);
  return n_bytes;
}

const TokenInput::Rounded& TokenInput::rounded_for(ggml_type weight_type) {
  const bool is_ours = has_token_matvec(weight_type);
  const ggml_type type = is_ours ? GGML_TYPE_F32 : ggml_rounding(weight_type);
  for (size_t i = 0; i < n_rounded_; ++i) {
    if (rounded_[i].is_ours == is_ours && rounded_[i].type == type) return rounded_[i];
  }
  assert(n_rounded_ < rounded_.size());
  Rounded& rounded = rounded_[n_rounded_++];
  rounded.is_ours = is_ours;
  rounded.type = type;
  if (is_ours) {
    rounded.token = round_token(x_, n_in_, scratch_);
  } else if (type == GGML_TYPE_F32) {
    rounded.data = x_;
  } else {
    ggml_get_type_traits_cpu(type)->from_float(x_, scratch_, n_in_);
    rounded.data = scratch_;
  }
  scratch_ += bytes_for(weight_type, n_in_);
  return rounded;
}

void TokenInput::multiply(const ggml_tensor* w, int64_t first, int64_t n, float* y) {
  const Rounded& x = rounded_for(w->type);
  const auto* rows = static_cast<const std::byte*>(w->data);
  if (x.is_ours) {
    token_matvec_rows({w->type, rows, w->nb[1], n_in_, w->ne[1], x.token}, first, n, y);
    return;
  }
  const ggml_vec_dot_t dot = ggml_get_type_traits_cpu(w->type)->vec_dot;
  for (int64_t i = 0; i < n; ++i)
    dot(static_cast<int>(n_in_), y + i, 0, rows + w->nb[1] * (first + i), 0, x.data, 0, 1);
}

}  // namespace reprise
