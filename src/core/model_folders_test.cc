#include "core/model_folders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "core/error.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Three folders of lookup in a temporary place.
class ModelFolders : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("model_folders_test." + std::to_string(getpid()));
    fs::create_directories(root_);
    folders_ = {{(root_ / "data").string(), ModelFolder::Kind::kData},
                {(root_ / "share").string(), ModelFolder::Kind::kInstalled},
                {(root_ / "source").string(), ModelFolder::Kind::kSource}};
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string put(const std::string& path) const {
    const fs::path file = root_ / path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << "GGUF";
    return file.string();
  }
  std::string find(const std::string& name) const { return find_model(name, folders_); }
  std::string refusal(const std::string& name) const {
    try {
      return "found " + find(name);
    } catch (const Error& error) {
      return error.what();
    }
  }

  fs::path root_;
  std::vector<ModelFolder> folders_;
};

TEST_F(ModelFolders, AModelAnswersToAllItsNames) {
  const std::string smollm2 = put("data/SmolLM2-135M-Instruct.Q4_1.gguf");
  const std::string recall = put("source/recall/recall.gguf");
  const std::string only = put("share/tiny/weights-f16.gguf");
  const std::string own = put("data/my.model.GGUF");
  for (const char* name : {"smollm2", "SmolLM2", "SmolLM2-135M-Instruct.Q4_1",
                           "smollm2-135m-instruct.q4_1.gguf", smollm2.c_str()}) {
    EXPECT_EQ(find(name), smollm2) << name;
  }
  for (const char* name : {"recall", "RECALL", "recall.gguf"}) EXPECT_EQ(find(name), recall);
  for (const char* name : {"tiny", "weights-f16"}) EXPECT_EQ(find(name), only);
  for (const char* name : {"my.model", "my.model.gguf"}) EXPECT_EQ(find(name), own);
}

TEST_F(ModelFolders, ACheckpointIsAFolderWithAConfig) {
  const std::string folder = fs::path(put("elsewhere/config.json")).parent_path().string();
  EXPECT_EQ(find(folder), folder);
  EXPECT_EQ(find(folder + "/"), folder + "/");
  const std::string empty = fs::path(put("nothing/weights.bin")).parent_path().string();
  EXPECT_EQ(refusal(empty), empty +
                                ": is a folder without config.json; name the model file, or a "
                                "checkpoint folder");
}

TEST_F(ModelFolders, AFolderOfItsOwnSparesTheWeightType) {
  const std::string demo = put("source/dllm/dllm-demo.Q8_0.gguf");
  const std::string no_type = put("share/tiny/tiny.v2.gguf");
  const std::string alone = put("data/plain.Q4_1.gguf");
  for (const char* name : {"dllm-demo", "DLLM-demo.q8_0", "dllm"}) EXPECT_EQ(find(name), demo);
  for (const char* name : {"tiny", "tiny.v2"}) EXPECT_EQ(find(name), no_type);
  EXPECT_EQ(find("plain.Q4_1"), alone);
  EXPECT_THAT(refusal("plain"), HasSubstr("no model 'plain'"));
  std::vector<std::string> names;
  for (const LocalModel& model : local_models(folders_)) names.push_back(model.name);
  EXPECT_THAT(names, testing::ElementsAre("plain.Q4_1", "tiny", "dllm-demo"));
}

TEST_F(ModelFolders, ACalibrationIsNoModel) {
  const std::string model = put("source/pusht/pusht-demo.gguf");
  put("source/pusht/pusht-demo.branch.gguf");
  put("data/other.Branch.GGUF");
  EXPECT_EQ(find("pusht"), model);  // alone in a folder of its own
  EXPECT_EQ(find("pusht-demo"), model);
  ASSERT_EQ(local_models(folders_).size(), 1U);
  EXPECT_EQ(local_models(folders_)[0].name, "pusht-demo");
  EXPECT_THAT(refusal("pusht-demo.branch"), HasSubstr("no model 'pusht-demo.branch'"));
}

TEST_F(ModelFolders, LooksInOrder) {
  const std::string source = put("source/recall/recall.gguf");
  EXPECT_EQ(find("recall"), source);
  const std::string installed = put("share/recall/recall.gguf");
  EXPECT_EQ(find("recall"), installed);
  const std::string data = put("data/recall.gguf");
  EXPECT_EQ(find("recall"), data);
  EXPECT_EQ(find(source), source);  // a path comes first
}

TEST_F(ModelFolders, SeveralFilesShareAFolderNameOnlyByHavingIt) {
  const std::string named = put("source/recall/recall.gguf");
  const std::string other = put("source/recall/big.gguf");
  EXPECT_EQ(find("recall"), named);
  EXPECT_EQ(find("big"), other);
  put("source/pair/a.gguf");
  put("source/pair/b.gguf");
  EXPECT_THAT(refusal("pair"), HasSubstr("no model 'pair'"));
}

TEST_F(ModelFolders, ListsFolderByFolderAndSeesWhatIsShadowed) {
  put("data/b.gguf");
  put("data/a.gguf");
  put("data/.a.gguf.part");
  put("data/.hidden.gguf");
  put("data/notes.txt");
  put("source/A/model.gguf");
  put("source/smol/gemma-3-270m.Q4_K_M.gguf");
  std::vector<std::string> seen;
  for (const LocalModel& model : local_models(folders_)) {
    seen.push_back(model.name + " " + std::string(to_string(model.found_in)) +
                   (model.is_shadowed ? " shadowed" : ""));
    EXPECT_EQ(model.n_bytes, 4);
  }
  EXPECT_THAT(seen, testing::ElementsAre("a data folder", "b data folder", "A source tree shadowed",
                                         "gemma3-270m source tree"));
}

TEST_F(ModelFolders, AnUnknownNameGetsTheNearest) {
  put("data/recall.gguf");
  EXPECT_THAT(refusal("recal"), AllOf(HasSubstr("no model 'recal', did you mean 'recall'?"),
                                      HasSubstr("'reprise list'")));
  EXPECT_THAT(refusal("zzzzzz"),
              AllOf(HasSubstr("no model 'zzzzzz'; 'reprise list'"), Not(HasSubstr("mean"))));
  EXPECT_THAT(refusal("rec"), HasSubstr("did you mean 'recall'?"));  // how it begins
  EXPECT_THAT(refusal("re"), Not(HasSubstr("mean")));
  EXPECT_THAT(refusal(""), HasSubstr("no model ''"));
  EXPECT_THAT(refusal("no/such.gguf"), HasSubstr("no/such.gguf: no such file"));
}

TEST_F(ModelFolders, WhatTheCatalogueHasCanBePulled) {
  for (const char* name : {"smollm2", "SmolLM2", "SmolLM2-135M-Instruct.Q4_1.gguf"}) {
    EXPECT_THAT(refusal(name), HasSubstr("is not here; pull it: reprise pull smollm2")) << name;
  }
  EXPECT_THAT(refusal("smolm2"),
              HasSubstr("did you mean 'smollm2'? pull it: reprise pull smollm2"));
  put("data/SmolLM2-135M-Instruct.Q4_1.gguf");
  EXPECT_THAT(refusal("smolm2"), AllOf(HasSubstr("did you mean 'smollm2'?"),
                                       HasSubstr("'reprise list'"), Not(HasSubstr("pull"))));
}

// Sets a variable for one test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value != nullptr ? setenv(name, value, 1) : unsetenv(name);
  }
  ~Variable() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(DataModelFolder, FollowsTheXdgSpecification) {
  const Variable home("HOME", "/home/me");
  {
    const Variable data("XDG_DATA_HOME", "/data");
    EXPECT_EQ(data_model_folder(), "/data/reprise/models");
  }
  for (const char* ignored : {static_cast<const char*>(nullptr), "", "relative"}) {
    const Variable data("XDG_DATA_HOME", ignored);
    EXPECT_EQ(data_model_folder(), "/home/me/.local/share/reprise/models");
  }
  const Variable data("XDG_DATA_HOME", nullptr);
  const Variable nobody("HOME", nullptr);
  EXPECT_THROW(data_model_folder(), Error);
  EXPECT_EQ(model_folders().front().kind, ModelFolder::Kind::kInstalled);
}

TEST(ModelFoldersOfTheBuild, EndInTheSourceTree) {
  const std::vector<ModelFolder> folders = model_folders();
  EXPECT_EQ(folders.back().kind, ModelFolder::Kind::kSource);
  EXPECT_EQ(folders.back().path, std::string(REPRISE_SOURCE_DIR) + "/models");
}

}  // namespace
}  // namespace reprise
