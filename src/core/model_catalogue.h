#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reprise {

// A model that `reprise pull` knows: an entry of models/catalogue.json.
struct CatalogueModel {
  std::string name;              // what it is pulled and looked up by
  std::string file;              // its file's name, as stored
  int64_t n_bytes = 0;           // of that file
  int64_t n_download_bytes = 0;  // of the packages
  std::string sha256;            // of the file, in hexadecimal digits
  std::string licence;
  std::string good_for;    // one line
  bool has_terms = false;  // asked once before the pull
  std::string entry;       // the whole entry as JSON, for tools/pull_model.py
};

// Every entry, in the order of the table, which is built into the program.
std::vector<CatalogueModel> model_catalogue();

// The entry of this name; small and capital letters are the same. Throws Error with the nearest
// name and all others.
CatalogueModel catalogue_model(std::string_view name);

}  // namespace reprise
