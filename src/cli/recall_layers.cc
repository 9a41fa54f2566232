#include "cli/recall_layers.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "core/text_table.h"

namespace reprise {

void print_recall_layers(std::span<const RecallRow> rows) {
  using Align = TextTable::Align;
  for (size_t first = 0; first < rows.size();) {
    size_t end = first + 1;
    while (end < rows.size() && rows[end].protocol == rows[first].protocol) ++end;
    const std::span<const RecallRow> of_protocol = rows.subspan(first, end - first);
    fmt::print("\nattention output, relative L2 error against the full cache, protocol {}\n",
               recall_protocol_name(of_protocol.front().protocol));
    std::vector<TextTable::Column> columns = {{"layer", Align::kRight}};
    for (const RecallRow& row : of_protocol) columns.push_back({row.policy, Align::kRight});
    TextTable table(columns);
    const size_t n_layer = of_protocol.front().attention_error.layers().size();
    for (size_t il = 0; il < n_layer; ++il) {
      std::vector<std::string> cells = {std::to_string(il)};
      for (const RecallRow& row : of_protocol)
        cells.push_back(fmt::format("{:.4f}", row.attention_error.layers()[il].value()));
      table.add(cells);
    }
    fmt::print("{}", table.text());
    first = end;
  }
}

}  // namespace reprise
