#include "core/pool_job.h"

#include <exception>
#include <mutex>

#include "core/error.h"

namespace reprise {
namespace {

struct PoolJob {
  const std::function<void(int32_t, int32_t)>& run;
  std::mutex mutex;  // of `thrown`
  std::exception_ptr thrown;
};

void work(ggml_tensor* /*dst*/, int ith, int nth, void* userdata) {
  auto& job = *static_cast<PoolJob*>(userdata);
  try {
    job.run(ith, nth);
  } catch (...) {
    const std::scoped_lock lock(job.mutex);
    if (!job.thrown) job.thrown = std::current_exception();
  }
}

}  // namespace

void run_on_pool(const Backend& backend,
                 const std::function<void(int32_t i_thread, int32_t n_threads)>& job) {
  if (backend.pool() == nullptr) throw Error("a job on threads needs --device cpu");
  PoolJob pool_job{job, {}, nullptr};
  GraphArena arena(backend, 16);
  arena.begin();
  ggml_tensor* none = arena.input(GGML_TYPE_F32, 1);
  ggml_tensor* node = ggml_custom_4d(arena.ctx(), GGML_TYPE_F32, 1, 1, 1, 1, &none, 1, work,
                                     GGML_N_TASKS_MAX, &pool_job);
  ggml_build_forward_expand(arena.graph(), node);
  arena.allocate();
  arena.compute();
  if (pool_job.thrown) std::rethrow_exception(pool_job.thrown);
}

}  // namespace reprise
