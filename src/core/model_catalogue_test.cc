#include "core/model_catalogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"

namespace reprise {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

TEST(ModelCatalogue, EveryEntryCanBePulledAndFoundByItsName) {
  std::set<std::string> names;
  const std::vector<CatalogueModel> models = model_catalogue();
  ASSERT_FALSE(models.empty());
  for (const CatalogueModel& model : models) {
    SCOPED_TRACE(model.name);
    EXPECT_THAT(model.name, MatchesRegex("[a-z0-9.-]+"));
    EXPECT_THAT(model.file, MatchesRegex("[A-Za-z0-9._-]+\\.gguf"));
    EXPECT_TRUE(names.insert(model.name).second);
    EXPECT_TRUE(names.insert(model.file).second);
    EXPECT_THAT(model.sha256, MatchesRegex("[0-9a-f]+"));
    EXPECT_EQ(model.sha256.size(), 64);
    EXPECT_FALSE(model.licence.empty());
    EXPECT_FALSE(model.good_for.empty());
    int64_t n_bytes = 0;
    const auto entry = nlohmann::json::parse(model.entry);
    for (const auto& part : entry.at("parts")) {
      n_bytes += part.at("bytes").get<int64_t>();
      EXPECT_FALSE(part.at("version").get<std::string>().empty());
      EXPECT_FALSE(part.at("package").get<std::string>().empty());
    }
    EXPECT_EQ(n_bytes, model.n_bytes);
    EXPECT_GT(model.n_download_bytes, 0);
  }
}

TEST(ModelCatalogue, AnUnknownNameGetsTheNearestAndAllThatAreKnown) {
  EXPECT_EQ(catalogue_model("smollm2").file, "SmolLM2-135M-Instruct.Q4_1.gguf");
  EXPECT_EQ(catalogue_model("SmolLM2").name, "smollm2");
  const auto refusal = [](const char* name) -> std::string {
    try {
      return catalogue_model(name).name;
    } catch (const Error& error) {
      return error.what();
    }
  };
  EXPECT_EQ(refusal("smolm2"),
            "pull: no model 'smolm2', did you mean 'smollm2'? it knows smollm2, gemma3-270m, "
            "qwen2.5-coder-0.5b");
  EXPECT_THAT(refusal(""), HasSubstr("pull: no model ''; it knows"));
}

TEST(ModelCatalogue, GemmaAsksForItsTerms) {
  for (const CatalogueModel& model : model_catalogue()) {
    EXPECT_EQ(model.has_terms, model.name.starts_with("gemma")) << model.name;
  }
}

}  // namespace
}  // namespace reprise
