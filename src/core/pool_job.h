#pragma once

#include <cstdint>
#include <functional>

#include "core/backend.h"

namespace reprise {

// Runs the job once on every thread of the backend's pool at the same time and returns when all
// have ended; i_thread counts from 0 to n_threads - 1, and thread 0 is the caller's. What a job
// throws comes out here, of the first thread that threw; the others run to their end. A job in
// which threads wait for each other must therefore not throw before the last wait. Throws Error
// when the backend is no CPU.
void run_on_pool(const Backend& backend,
                 const std::function<void(int32_t i_thread, int32_t n_threads)>& job);

}  // namespace reprise
