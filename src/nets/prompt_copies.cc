#include "nets/prompt_copies.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>

#include "core/error.h"
#include "core/huge_pages.h"
#include "core/kernels/int_panel_matmul.h"
#include "core/kernels/panel_matmul.h"
#include "core/pool_job.h"
#include "core/repacked_weights.h"
#include "core/stopwatch.h"
#include "ggml-cpu.h"

namespace reprise {
namespace {

constexpr size_t kAlignment = 64;
constexpr int64_t kRowsAtATime = 64;  // that a thread converts
constexpr int64_t kFreeOverByType = 4;
constexpr float kMostF16 = 65504;

constexpr std::array kWords = {
    WeightWord{"auto", WeightUse::kAuto, PromptForm::kByType},
    WeightWord{"as-is", WeightUse::kAsIs, PromptForm::kFile},
    WeightWord{"expand=f32", WeightUse::kExpand, PromptForm::kFile},
    WeightWord{"expand=f16", WeightUse::kAuto, PromptForm::kF16},
    WeightWord{"expand=q8_0", WeightUse::kAuto, PromptForm::kQ8_0},
    WeightWord{"repack", WeightUse::kAuto, PromptForm::kRepacked},
};

// The memory of all copies of a model.
struct CopyMemory {
  CopyMemory() = default;
  ~CopyMemory() {
    ggml_backend_buffer_free(buffer);
    ggml_free(ctx);
  }
  CopyMemory(const CopyMemory&) = delete;
  CopyMemory& operator=(const CopyMemory&) = delete;

  HugePages pages;  // none of repacked matrices, whose buffer has its own
  ggml_backend_buffer_t buffer = nullptr;
  ggml_context* ctx = nullptr;
};

struct MatrixCopy {
  size_t il;
  ggml_tensor* DecoderLayer::*member;
  const ggml_tensor* from;
  ggml_type type;  // of the copy
  size_t offset;   // in the memory of the copies
  ggml_tensor* to = nullptr;
  bool is_in_range = true;
};

size_t aligned(size_t n_bytes) { return (n_bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Places each behind the other. Returns the bytes of them all.
size_t lay_out(const DecoderModel& model, PromptForm form, std::vector<MatrixCopy>& copies) {
  size_t n_bytes = 0;
  for (size_t il = 0; il < model.layers().size(); ++il) {
    for (ggml_tensor* DecoderLayer::*member : kLayerMatrices) {
      const ggml_tensor* from = model.layers()[il].*member;
      const ggml_type type = prompt_copy_type(form, from->type);
      const bool is_copied =
          form == PromptForm::kRepacked ? has_repacked_form(from) : type != from->type;
      if (!is_copied) continue;
      copies.push_back({il, member, from, type, n_bytes});
      n_bytes += aligned(ggml_row_size(type, from->ne[0]) * from->ne[1]);
    }
  }
  return n_bytes;
}

// Null when memory is short.
std::shared_ptr<CopyMemory> allocate(PromptForm form, size_t n_bytes,
                                     std::vector<MatrixCopy>& copies) {
  auto memory = std::make_shared<CopyMemory>();
  memory->ctx = ggml_init({.mem_size = ggml_tensor_overhead() * (copies.size() + 1),
                           .mem_buffer = nullptr,
                           .no_alloc = true});
  if (form == PromptForm::kRepacked) {
    memory->buffer = ggml_backend_buft_alloc_buffer(repack_buffer_type(), n_bytes);
  } else if ((memory->pages = allocate_huge_pages(n_bytes)) != nullptr) {
    memory->buffer = ggml_backend_cpu_buffer_from_ptr(memory->pages.get(), n_bytes);
  }
  if (memory->ctx == nullptr || memory->buffer == nullptr) return nullptr;
  ggml_backend_buffer_set_usage(memory->buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  auto* base = static_cast<std::byte*>(ggml_backend_buffer_get_base(memory->buffer));
  for (MatrixCopy& copy : copies) {
    copy.to = ggml_new_tensor(memory->ctx, copy.type, GGML_MAX_DIMS, copy.from->ne);
    ggml_set_name(copy.to, copy.from->name);
    ggml_backend_tensor_alloc(memory->buffer, copy.to, base + copy.offset);
  }
  return memory;
}

// What a value may be; of Q8_0, whose scale is a 127th of a block's largest value in F16.
float most_of(ggml_type type) { return type == GGML_TYPE_F16 ? kMostF16 : 127 * kMostF16; }

// Rows first to first + n. False when one holds a value out of range.
bool convert_rows(const MatrixCopy& copy, int64_t first, int64_t n, std::span<float> values) {
  const int64_t n_in = copy.from->ne[0];
  const ggml_to_float_t to_float = ggml_get_type_traits(copy.from->type)->to_float;
  const ggml_from_float_t from_float = ggml_get_type_traits_cpu(copy.type)->from_float;
  const float most = most_of(copy.type);
  for (int64_t i = first; i < first + n; ++i) {
    to_float(static_cast<const std::byte*>(copy.from->data) + i * copy.from->nb[1], values.data(),
             n_in);
    if (!std::ranges::all_of(values, [&](float v) { return std::abs(v) <= most; })) return false;
    from_float(values.data(), static_cast<std::byte*>(copy.to->data) + i * copy.to->nb[1], n_in);
  }
  return true;
}

void convert(const Backend& backend, std::vector<MatrixCopy>& copies) {
  int64_t n_most = 0;
  for (const MatrixCopy& copy : copies) n_most = std::max(n_most, copy.from->ne[0]);
  std::vector<std::vector<float>> values(backend.n_threads());
  for (std::vector<float>& of_thread : values) of_thread.resize(n_most);
  std::vector<std::atomic<int64_t>> next(copies.size());
  std::vector<std::atomic<bool>> is_out_of_range(copies.size());
  run_on_pool(backend, [&](int32_t i_thread, int32_t /*n_threads*/) {
    for (size_t k = 0; k < copies.size(); ++k) {
      const int64_t n_out = copies[k].from->ne[1];
      const std::span row(values[i_thread].data(), copies[k].from->ne[0]);
      for (int64_t first; (first = next[k].fetch_add(kRowsAtATime)) < n_out;) {
        if (!convert_rows(copies[k], first, std::min(kRowsAtATime, n_out - first), row))
          is_out_of_range[k] = true;
      }
    }
  });
  for (size_t k = 0; k < copies.size(); ++k) copies[k].is_in_range = !is_out_of_range[k];
}

// While it lives ggml tells nobody of each matrix that it repacks.
class SilentLog {
 public:
  SilentLog() {
    ggml_log_get(&before_, &before_data_);
    ggml_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  }
  ~SilentLog() { ggml_log_set(before_, before_data_); }
  SilentLog(const SilentLog&) = delete;
  SilentLog& operator=(const SilentLog&) = delete;

 private:
  ggml_log_callback before_ = nullptr;
  void* before_data_ = nullptr;
};

void repack(const Backend& backend, std::vector<MatrixCopy>& copies) {
  const SilentLog silent;
  std::atomic<size_t> next = 0;
  run_on_pool(backend, [&](int32_t /*i_thread*/, int32_t /*n_threads*/) {
    for (size_t k; (k = next++) < copies.size();)
      ggml_backend_tensor_set(copies[k].to, copies[k].from->data, 0, ggml_nbytes(copies[k].from));
  });
}

void count(const MatrixCopy& copy, std::vector<PromptCopyReport::OfType>& types) {
  auto same = std::ranges::find(types, copy.from->type, &PromptCopyReport::OfType::from);
  if (same == types.end()) same = types.insert(same, {copy.from->type, copy.type});
  ++same->n_matrices;
  same->n_bytes += static_cast<int64_t>(ggml_nbytes(copy.to));
}

}  // namespace

std::span<const WeightWord> weight_words() { return kWords; }

const WeightWord& weight_word(std::string_view word) {
  const auto* found = std::ranges::find(kWords, word, &WeightWord::word);
  if (found == kWords.end()) {
    std::vector<std::string_view> all;
    all.reserve(kWords.size());
    for (const WeightWord& known : kWords) all.push_back(known.word);
    throw Error(fmt::format("--weights: '{}' is none of {}", word, fmt::join(all, ", ")));
  }
  return *found;
}

ggml_type prompt_copy_type(PromptForm form, ggml_type type) {
  if (!ggml_is_quantized(type) || !has_panel_matmul(type)) return type;
  switch (form) {
    case PromptForm::kByType:
      return has_int_panel_matmul(type) ? type : GGML_TYPE_Q8_0;
    case PromptForm::kF16:
      return GGML_TYPE_F16;
    case PromptForm::kQ8_0:
      return GGML_TYPE_Q8_0;
    case PromptForm::kFile:
    case PromptForm::kRepacked:
      break;
  }
  return type;
}

PromptCopies with_prompt_copies(std::shared_ptr<const DecoderModel> model, PromptForm form,
                                const Backend& backend, int64_t n_free_bytes) {
  using Outcome = PromptCopyReport::Outcome;
  const Stopwatch watch;
  PromptCopies made{std::move(model), {}};
  made.report.form = form;
  made.report.n_free_bytes = n_free_bytes;
  std::vector<MatrixCopy> copies;
  const size_t n_bytes = lay_out(*made.model, form, copies);
  if (copies.empty()) return made;
  made.report.n_bytes = static_cast<int64_t>(n_bytes);
  made.report.outcome = Outcome::kNoMemory;
  const int64_t n_times = form == PromptForm::kByType ? kFreeOverByType : 1;
  if (made.report.n_bytes > n_free_bytes / n_times) return made;
  const std::shared_ptr<CopyMemory> memory = allocate(form, n_bytes, copies);
  if (memory == nullptr) return made;

  if (form == PromptForm::kRepacked) {
    repack(backend, copies);
  } else {
    convert(backend, copies);
  }
  std::vector<DecoderLayer> layers = made.model->layers();
  for (const MatrixCopy& copy : copies) {
    if (!copy.is_in_range) continue;
    layers[copy.il].*copy.member = copy.to;
    count(copy, made.report.types);
  }
  if (made.report.types.empty()) {  // all are out of range
    made.report.outcome = Outcome::kNone;
    made.report.n_bytes = 0;
    return made;
  }
  made.model = DecoderModel::with_prompt_layers(made.model, std::move(layers), memory);
  made.report.outcome = Outcome::kMade;
  made.report.seconds = watch.seconds();
  return made;
}

}  // namespace reprise
