#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "engines/infill/infill.h"
#include "engines/infill/infill_ledger.h"
#include "nets/dllm_checkpoint.h"
#include "policies/registry.h"

// Against tools/golden_dllm.py: forward passes of PyTorch (F32) and decoding loops over an F64
// forward of ours in numpy, on two tiny random models.
namespace reprise {
namespace {

using nlohmann::json;

std::string golden(const std::string& name) {
  return std::string(REPRISE_SOURCE_DIR) + "/tests/golden/dllm/" + name;
}

json read(const std::string& name) {
  std::ifstream file(golden(name));
  EXPECT_TRUE(file) << name;
  return json::parse(file);
}

struct Tiny {
  std::shared_ptr<const DecoderModel> model;
  int32_t end_token = -1;
};

const Tiny& load(const std::string& name) {
  static std::map<std::string, Tiny> loaded;
  Tiny& tiny = loaded[name];
  if (tiny.model == nullptr) {
    auto file = std::make_shared<const GgufFile>(GgufFile::open(golden(name + ".gguf")));
    tiny.end_token = static_cast<int32_t>(file->integer("tokenizer.ggml.eos_token_id"));
    tiny.model = DecoderModel::load(std::move(file));
  }
  return tiny;
}

// What was computed, against hidden states and logits of PyTorch.
TEST(InfillGolden, ForwardEqualsPyTorch) {
  const Backend backend(1, WeightUse::kExpand);
  const json file = read("forward.json");
  for (const json& want : file["models"]) {
    const auto model = load(want["model"]).model;
    const auto ids = want["ids"].get<std::vector<int32_t>>();
    const auto n = static_cast<int32_t>(ids.size());
    CanvasCache cache(model->hparams(), GGML_TYPE_F32, n, backend.kv_placement());
    const ProposalRule rule;
    std::vector<int32_t> wanted;
    // With shifted logits the row of position p is that of p - 1; row 0 then stands twice.
    const int32_t first = model->hparams().shifts_logits ? 1 : 0;
    for (int32_t p = first; p < n; ++p) wanted.push_back(p);
    InfillPass pass(model, backend);
    InfillPass::Probe probe;
    pass.compute(std::vector{InfillRows{ids, &cache, {0, n}, wanted, &rule, 0}}, &probe);
    ASSERT_EQ(probe.hidden.size(), want["hidden"].size());
    for (size_t il = 0; il < probe.hidden.size(); ++il) {
      size_t at = 0;
      for (const json& row : want["hidden"][il])
        for (const json& value : row)
          ASSERT_NEAR(probe.hidden[il][at++], value.get<double>(), 1e-4) << want["model"];
      ASSERT_EQ(at, probe.hidden[il].size());
    }
    size_t at = 0;
    for (int32_t row = 0; row < n - first; ++row) {
      for (const json& value : want["logits"][row])
        ASSERT_NEAR(probe.logits[at++], value.get<double>(), 1e-3) << want["model"];
    }
    ASSERT_EQ(at, probe.logits.size());
  }
}

// All logits of a text of one model.
std::vector<float> logits(const std::shared_ptr<const DecoderModel>& model,
                          const std::vector<int32_t>& ids) {
  const Backend backend(1, WeightUse::kExpand);
  const auto n = static_cast<int32_t>(ids.size());
  CanvasCache cache(model->hparams(), GGML_TYPE_F32, n, backend.kv_placement());
  const ProposalRule rule;
  std::vector<int32_t> wanted(n);
  std::iota(wanted.begin(), wanted.end(), 0);
  InfillPass pass(model, backend);
  InfillPass::Probe probe;
  pass.compute(std::vector{InfillRows{ids, &cache, {0, n}, wanted, &rule, 0}}, &probe);
  return probe.logits;
}

// The converter in Python and our reader of checkpoints permute, name and shape alike.
// Logits need no tokenizer, and the tiny models' is none that checkpoints are read with.
TEST(InfillGolden, CheckpointAndConvertedFileAgree) {
  const json forward = read("forward.json");
  ASSERT_EQ(forward["models"].size(), 2U);
  for (const json& want : forward["models"]) {
    const std::string name = want["model"];
    const auto ids = want["ids"].get<std::vector<int32_t>>();
    const std::filesystem::path folder =
        std::filesystem::path(testing::TempDir()) / fmt::format("reprise_{}_{}", name, getpid());
    std::filesystem::create_directories(folder);
    for (const char* file : {"config.json", "model.safetensors"})
      std::filesystem::copy_file(golden(name + "/" + file), folder / file);
    const auto checkpoint = DecoderModel::load(
        std::make_shared<const GgufFile>(dllm_checkpoint_as_gguf(folder.string())));
    std::filesystem::remove_all(folder);
    const std::vector<float> a = logits(checkpoint, ids);
    const std::vector<float> b = logits(load(name).model, ids);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5) << name;
  }
}

// The delimiters of a policy's text, given as ids: "5+17".
std::optional<TokenSet> delimiters(const SpanPolicy& policy, int32_t n_vocab) {
  const SpanNeeds needs = policy.needs();
  if (!needs.needs_delimiters) return std::nullopt;
  std::vector<int32_t> ids;
  std::istringstream text(needs.delimiters);
  for (std::string id; std::getline(text, id, '+');) ids.push_back(std::stoi(id));
  return TokenSet(n_vocab, ids);
}

struct Case {
  std::string name;
  Tiny tiny;
  std::vector<int32_t> prompt;
  int32_t budget;
  int32_t n_tail;
  InfillOptions options;
  json want;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  const json file = read("traces.json");
  for (const json& c : file["cases"]) {
    Case one;
    const std::string span = c["span"];
    const std::string commit = c["commit"];
    const std::string refresh = c["refresh"];
    one.name = fmt::format("{} --span {} --commit {} --refresh {}", std::string(c["model"]), span,
                           commit, refresh);
    one.tiny = load(c["model"]);
    one.prompt = c["prompt"].get<std::vector<int32_t>>();
    one.budget = c["budget"];
    one.n_tail = c["tail"];
    one.options.span = make_span_policy(span);
    one.options.commit = make_commit_policy(commit);
    one.options.refresh = make_refresh_policy(refresh);
    one.options.stops_at_end = c["eos_stop"];
    one.options.seed = c.value("seed", 0);
    one.options.cache_type = GGML_TYPE_F32;
    one.want = c;
    out.push_back(std::move(one));
  }
  EXPECT_GE(out.size(), 70U);
  return out;
}

void expect_trace(const Case& c, const InfillResult& got) {
  SCOPED_TRACE(c.name);
  const json& passes = c.want["passes"];
  ASSERT_EQ(got.report.steps.size(), passes.size());
  int64_t n_rows = 0;
  for (size_t i = 0; i < passes.size(); ++i) {
    const InfillStep& step = got.report.steps[i];
    EXPECT_EQ((std::vector{step.rows.first, step.rows.end}),
              passes[i]["rows"].get<std::vector<int32_t>>())
        << "pass " << i;
    std::vector<std::vector<int32_t>> commits;
    for (const Commit& commit : step.commits) commits.push_back({commit.position, commit.token});
    EXPECT_EQ(commits, passes[i]["commits"].get<decltype(commits)>()) << "pass " << i;
    n_rows += step.rows.n();
  }
  EXPECT_EQ(got.report.n_rows, n_rows);
  const json& blocks = c.want["blocks"];
  ASSERT_EQ(got.report.spans.size(), blocks.size());
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(got.report.spans[i].first, blocks[i][0].get<int32_t>());
    EXPECT_EQ(got.report.spans[i].plan.n, blocks[i][1].get<int32_t>());
    EXPECT_EQ(to_string(got.report.spans[i].plan.reason), blocks[i][2].get<std::string>());
  }
}

Infiller infiller(const Case& c, const Backend& backend) {
  return {c.tiny.model, backend, c.tiny.end_token, c.options,
          delimiters(*c.options.span, c.tiny.model->hparams().n_vocab)};
}

Canvas canvas(const Case& c) {
  return Canvas::answer(c.prompt, c.budget, c.n_tail, c.tiny.model->hparams().mask_token,
                        c.tiny.end_token);
}

TEST(InfillGolden, EveryCommitEqualsTheReference) {
  const Backend backend(1, WeightUse::kExpand);
  for (const Case& c : cases()) expect_trace(c, infiller(c, backend).fill({canvas(c)}, 1).front());
}

// What shares a pass changes nothing: each text twice, one of another length between.
TEST(InfillGolden, TextsThatShareAPassAreFilledAsAlone) {
  const Backend backend(1, WeightUse::kExpand);
  for (const Case& c : cases()) {
    Case longer = c;
    longer.prompt.insert(longer.prompt.end(), c.prompt.begin(), c.prompt.end());
    const std::vector<InfillResult> got =
        infiller(c, backend).fill({canvas(c), canvas(longer), canvas(c)}, 2);
    expect_trace(c, got[0]);
    // A rule that draws has the seeds 0 and 2 further on.
    if (!c.want.contains("seed")) expect_trace(c, got[2]);
  }
}

}  // namespace
}  // namespace reprise
