#include "core/pool_job.h"

#include <utility>

#include "core/error.h"

namespace reprise {

PoolRunner::PoolRunner(const Backend& backend) : arena_(backend, 16) {
  if (backend.pool() == nullptr) throw Error("a job on threads needs --device cpu");
  arena_.begin();
  ggml_tensor* none = arena_.input(GGML_TYPE_F32, 1);
  ggml_tensor* node = ggml_custom_4d(arena_.ctx(), GGML_TYPE_F32, 1, 1, 1, 1, &none, 1, work,
                                     GGML_N_TASKS_MAX, this);
  ggml_build_forward_expand(arena_.graph(), node);
  arena_.allocate();
}

void PoolRunner::run(const PoolJob& job) {
  job_ = &job;
  arena_.compute();
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void PoolRunner::work(ggml_tensor* /*dst*/, int ith, int nth, void* runner) {
  auto& self = *static_cast<PoolRunner*>(runner);
  try {
    (*self.job_)(ith, nth);
  } catch (...) {
    const std::scoped_lock lock(self.mutex_);
    if (!self.thrown_) self.thrown_ = std::current_exception();
  }
}

void run_on_pool(const Backend& backend, const PoolJob& job) { PoolRunner(backend).run(job); }

}  // namespace reprise
