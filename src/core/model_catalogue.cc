#include "core/model_catalogue.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "core/did_you_mean.h"
#include "core/error.h"
#include "core/lower_ascii.h"

namespace reprise {

extern const std::string_view kModelCatalogueJson;  // model_catalogue_json.cc.in

std::vector<CatalogueModel> model_catalogue() {
  const auto table = nlohmann::ordered_json::parse(kModelCatalogueJson);
  std::vector<CatalogueModel> models;
  for (const auto& entry : table.at("models")) {
    CatalogueModel model;
    model.name = entry.at("name");
    model.file = entry.at("file");
    model.n_bytes = entry.at("bytes");
    model.sha256 = entry.at("sha256");
    model.licence = entry.at("licence");
    model.good_for = entry.at("good_for");
    model.has_terms = entry.contains("terms");
    for (const auto& part : entry.at("parts")) {
      model.n_download_bytes += part.at("download_bytes").get<int64_t>();
    }
    model.entry = entry.dump();
    models.push_back(std::move(model));
  }
  return models;
}

CatalogueModel catalogue_model(std::string_view name) {
  const std::vector<CatalogueModel> models = model_catalogue();
  std::vector<std::string_view> known;
  for (const CatalogueModel& model : models) {
    if (model.name == lower_ascii(name)) return model;
    known.push_back(model.name);
  }
  throw Error(fmt::format("pull: no model '{}'{} it knows {}", name, did_you_mean(name, known),
                          fmt::join(known, ", ")));
}

}  // namespace reprise
