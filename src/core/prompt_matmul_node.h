#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/backend.h"

namespace reprise {

// What computes W x for several tokens.
enum class PromptKernel : uint8_t {
  kIntPanels,  // kernels/int_panel_matmul: the file's integers times activations of 8 bits
  kF32Panels,  // kernels/panel_matmul: nothing is rounded but the weights
  kGgml,       // ggml's product, which rounds activations like kIntPanels for quantised types
};

std::string_view prompt_kernel_name(PromptKernel kernel);

// Which it is for n_tokens >= 2:
// - kAsIs: integers where there is a kernel of ours that rounds as ggml does, else ggml's product;
// - kExpand: F32 from as many tokens on as pay for the conversion of the weights, and for the types
//   that ggml does not multiply faster;
// - kAuto: integers where there is a kernel of ours, kExpand's choice otherwise.
PromptKernel prompt_kernel(WeightUse use, ggml_type type, int64_t n_tokens);
// Of a matrix; repacked ones only ggml can read.
PromptKernel prompt_kernel(WeightUse use, const ggml_tensor& w, int64_t n_tokens);

// W x as nodes of a graph for every W that reads the same x: w [n_in, n_out] of any weight type,
// x [n_in, n_tokens] F32, contiguous; y [n_out, n_tokens] F32. x is rounded once for all of them.
void prompt_matmul_nodes(GraphArena& arena, std::span<ggml_tensor* const> w, ggml_tensor* x,
                         std::span<ggml_tensor*> y);
// By one kernel, which must have the type.
ggml_tensor* prompt_matmul_node(GraphArena& arena, PromptKernel kernel, ggml_tensor* w,
                                ggml_tensor* x);

}  // namespace reprise
