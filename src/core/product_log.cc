#include "core/product_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "core/kernels/int_panel_matmul.h"
#include "core/kernels/panel_matmul.h"
#include "core/kernels/token_matvec.h"

namespace reprise {
namespace {

using Phase = ProductLog::Phase;

bool has_kernel(Phase phase, ggml_type type) {
  if (phase == Phase::kDecode) return has_token_matvec(type);
  return has_int_panel_matmul(type) || has_panel_matmul(type);
}

// "no kernel of ours for f16 in decode: ggml multiplied 211 matrices"; empty when there was one.
std::string missing_kernels(const ProductLog& log) {
  std::string types;
  std::string counts;
  for (const ProductLog::Entry& entry : log.entries()) {
    if (entry.kernel != kGgmlProduct || has_kernel(entry.phase, entry.type)) continue;
    const char* comma = types.empty() ? "" : ", ";
    types += fmt::format("{}{} in {}", comma, ggml_type_name(entry.type), phase_name(entry.phase));
    counts += fmt::format("{}{}", comma, entry.n());
  }
  return types.empty()
             ? ""
             : fmt::format("no kernel of ours for {}: ggml multiplied {} matrices", types, counts);
}

}  // namespace

void ProductLog::add(Phase phase, std::string_view kernel, const ggml_tensor& w) {
  auto entry = std::ranges::find_if(entries_, [&](const Entry& e) {
    return e.phase == phase && e.kernel == kernel && e.type == w.type;
  });
  if (entry == entries_.end()) {
    entries_.push_back({phase, kernel, w.type});
    entry = entries_.end() - 1;
  }
  if (entry->matrices.insert(w.data).second)
    entry->n_bytes += static_cast<int64_t>(ggml_nbytes(&w));
}

int64_t ProductLog::n_by_ggml(Phase phase) const {
  int64_t n = 0;
  for (const Entry& entry : entries_)
    if (entry.phase == phase && entry.kernel == kGgmlProduct) n += entry.n();
  return n;
}

std::string_view phase_name(Phase phase) { return phase == Phase::kPrompt ? "prompt" : "decode"; }

void add_products(const ProductLog& log, Ledger& ledger) {
  LedgerList list{"products", {}};
  for (const ProductLog::Entry& entry : log.entries()) {
    list.rows.push_back({{"phase", std::string(phase_name(entry.phase)), ""},
                         {"kernel", std::string(entry.kernel), ""},
                         {"type", std::string(ggml_type_name(entry.type)), ""},
                         {"n_matrices", entry.n(), ""},
                         {"n_bytes", entry.n_bytes, ""}});
  }
  ledger.lists.push_back(std::move(list));
  ledger.facts.push_back({"n_prompt_matrices_by_ggml", log.n_by_ggml(Phase::kPrompt), ""});
  ledger.facts.push_back({"n_decode_matrices_by_ggml", log.n_by_ggml(Phase::kDecode), ""});
  const std::string remark = missing_kernels(log);
  if (!remark.empty()) ledger.remarks.push_back(remark);
}

}  // namespace reprise
