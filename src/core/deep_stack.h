#pragma once

#include <cstddef>
#include <functional>

namespace reprise {

// Runs `call` on a thread of its own with a stack of `n_bytes`, of which the kernel provides only
// what is touched, and waits for it. For code of others that recurses once for each byte of its
// input. Exceptions of `call` come through. Throws Error when no such thread can be made.
void on_deep_stack(size_t n_bytes, const std::function<void()>& call);

}  // namespace reprise
