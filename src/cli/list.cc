#include "cli/list.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/gguf_file.h"
#include "core/model_catalogue.h"
#include "core/model_folders.h"
#include "core/printable.h"
#include "core/quantities.h"
#include "core/text_table.h"

namespace reprise {
namespace {

using nlohmann::ordered_json;

// "damaged", with the reason on standard error, for a file that nobody can load.
std::string architecture(const LocalModel& model) {
  try {
    return printable(GgufFile::open(model.path).string_or("general.architecture", "unknown"));
  } catch (const Error& error) {
    spdlog::warn("{}", error.what());
    return "damaged";
  }
}

struct Listing {
  std::vector<LocalModel> here;
  std::vector<CatalogueModel> to_pull;
};

Listing make_listing() {
  Listing listing;
  listing.here = local_models(model_folders());
  for (CatalogueModel& model : model_catalogue()) {
    if (std::ranges::find(listing.here, model.name, &LocalModel::name) == listing.here.end()) {
      listing.to_pull.push_back(std::move(model));
    }
  }
  return listing;
}

void print_json(const Listing& listing) {
  ordered_json out = {{"models", ordered_json::array()}, {"to_pull", ordered_json::array()}};
  for (const LocalModel& model : listing.here) {
    out["models"].push_back({{"name", model.name},
                             {"path", model.path},
                             {"bytes", model.n_bytes},
                             {"architecture", architecture(model)},
                             {"found_in", to_string(model.found_in)},
                             {"is_shadowed", model.is_shadowed}});
  }
  for (const CatalogueModel& model : listing.to_pull) {
    out["to_pull"].push_back({{"name", model.name},
                              {"bytes", model.n_bytes},
                              {"download_bytes", model.n_download_bytes},
                              {"licence", model.licence},
                              {"has_terms", model.has_terms},
                              {"good_for", model.good_for}});
  }
  fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

void print_tables(const Listing& listing) {
  using enum TextTable::Align;
  TextTable here({{"name"}, {"size", kRight}, {"architecture"}, {"found in"}, {"file"}});
  for (const LocalModel& model : listing.here) {
    here.add({model.name, format_bytes(model.n_bytes), architecture(model),
              fmt::format("{}{}", to_string(model.found_in), model.is_shadowed ? ", hidden" : ""),
              model.path});
  }
  if (here.is_empty()) {
    fmt::print("No model is here yet.\n");
  } else {
    fmt::print("{}", here.text());
  }
  if (listing.to_pull.empty()) return;
  TextTable to_pull({{"to pull"}, {"size", kRight}, {"licence"}, {"good for", kLeft, 60}});
  for (const CatalogueModel& model : listing.to_pull) {
    to_pull.add({model.name, format_bytes(model.n_bytes), model.licence, model.good_for});
  }
  fmt::print("\n{}\nPull one: reprise pull {}\n", to_pull.text(), listing.to_pull.front().name);
}

}  // namespace

void add_list(CLI::App& app, int& /*exit_code*/) {
  auto is_json = std::make_shared<bool>(false);
  CLI::App* verb =
      app.add_subcommand("list", "the models that are here, and those that can be pulled");
  verb->add_flag("--json", *is_json, "print JSON instead of tables");
  verb->footer(
      "Examples:\n"
      "  reprise list\n"
      "  reprise list --json");
  verb->callback([is_json] {
    const Listing listing = make_listing();
    *is_json ? print_json(listing) : print_tables(listing);
  });
}

}  // namespace reprise
