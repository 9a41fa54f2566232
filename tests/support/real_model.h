#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/error.h"
#include "core/model_catalogue.h"
#include "core/model_folders.h"

namespace reprise::test {

// Path of a model of the catalogue, in the folder $REPRISE_TEST_MODELS or where `reprise pull` puts
// it. A test that needs one fails without it: throws Error that says how to get it.
inline std::string real_model(const std::string& name) {
  const char* folder = std::getenv("REPRISE_TEST_MODELS");
  const std::filesystem::path path =
      std::filesystem::path(folder != nullptr ? folder : data_model_folder()) /
      catalogue_model(name).file;
  if (!std::filesystem::exists(path)) {
    throw Error(fmt::format("{} is missing; run: build/reprise pull {}", path.string(), name));
  }
  return path.string();
}

}  // namespace reprise::test
