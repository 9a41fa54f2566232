#pragma once

#include "ggml-backend.h"
#include "ggml.h"

namespace reprise {

// ggml's repacked weights: several rows interleaved for its CPU kernels, in a buffer of their own
// type that ggml's product alone can read.

// Null where ggml was built without them.
ggml_backend_buffer_type_t repack_buffer_type();
// Whether ggml has a repacked form for the type and the shape [n_in, n_out] of w on this CPU.
bool has_repacked_form(const ggml_tensor* w);
bool is_repacked(const ggml_tensor* w);

}  // namespace reprise
