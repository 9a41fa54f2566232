#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

#include "engines/generate/libllama_peer.h"
#include "engines/infill/dllm_eval.h"

// The trained model that comes with the project, against libllama and the tokenizer it was trained
// with.
namespace reprise {
namespace {

using nlohmann::json;

const std::string kPath = std::string(REPRISE_SOURCE_DIR) + "/models/dllm/dllm-demo.Q8_0.gguf";

const TextModel& demo() {
  static const auto model = TextModel::load(kPath, {}, TextKind::kMasked);
  return *model;
}

TEST(DllmModel, TokensEqualThoseOfItsTokenizerFile) {
  std::ifstream file(std::string(REPRISE_SOURCE_DIR) + "/tests/golden/dllm/tokens.json");
  const json golden = json::parse(file);
  ASSERT_GE(golden["cases"].size(), 200U);
  for (const json& c : golden["cases"]) {
    const auto text = c["text"].get<std::string>();
    const auto ids = c["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(demo().tokenizer.tokenize(text, true, false), ids) << text;
    EXPECT_EQ(demo().tokenizer.detokenize(ids), text);
  }
}

// FNV-1a over ids as tools/golden_dllm_tokens.py has it.
class IdHash {
 public:
  void add(const std::vector<int32_t>& ids) {
    ++n_texts_;
    n_ids_ += ids.size();
    word(static_cast<uint32_t>(ids.size()));
    for (const int32_t id : ids) word(static_cast<uint32_t>(id));
  }
  size_t n_texts() const { return n_texts_; }
  size_t n_ids() const { return n_ids_; }
  std::string hex() const { return fmt::format("{:016x}", value_); }

 private:
  void word(uint32_t word) {
    for (int i = 0; i < 4; ++i, word >>= 8) value_ = (value_ ^ (word & 0xFF)) * 0x100000001B3U;
  }
  uint64_t value_ = 0xCBF29CE484222325U;
  size_t n_texts_ = 0;
  size_t n_ids_ = 0;
};

// Every prompt and every answer of the held-out, the published and the smoke set.
TEST(DllmModel, TokensOfAllPromptsHaveTheHashOfItsTokenizerFiles) {
  const std::string source = REPRISE_SOURCE_DIR;
  IdHash hash;
  const auto add = [&](const std::string& prompt, const std::string& answer) {
    for (const std::string& text : {prompt, answer})
      hash.add(demo().tokenizer.tokenize(text, true, false));
  };
  for (const char* name : {"heldout", "published"}) {
    for (const DllmPrompt& p : read_dllm_prompts(source + "/models/dllm/" + name + ".jsonl"))
      add(p.prompt, p.answer);
  }
  std::ifstream smoke(source + "/tests/golden/dllm/smoke.json");
  for (const json& row : json::parse(smoke)) add(row["prompt"], row["answer"]);
  std::ifstream file(source + "/tests/golden/dllm/tokens.json");
  const json want = json::parse(file)["all"];
  EXPECT_EQ(hash.n_texts(), want["n_texts"].get<size_t>());
  EXPECT_EQ(hash.n_texts(), 2 * 5512U);
  EXPECT_EQ(hash.n_ids(), want["n_ids"].get<size_t>());
  EXPECT_EQ(hash.hex(), want["fnv1a"].get<std::string>());
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
  return most;
}

// A canvas half filled, all rows of it: ours differs from libllama by no more than twice what
// libllama's own settings differ by.
TEST(DllmModel, LogitsEqualLibllamas) {
  const auto prompts =
      read_dllm_prompts(std::string(REPRISE_SOURCE_DIR) + "/models/dllm/published.jsonl");
  DllmEvalOptions options;
  options.n_canvas = 384;
  const Backend backend(2, WeightUse::kAsIs);
  for (size_t i = 0; i < 3; ++i) {
    Canvas canvas = dllm_canvas(demo(), prompts[i].prompt, options);
    const std::vector<int32_t> answer = demo().tokenizer.tokenize(prompts[i].answer, false, false);
    for (size_t p = 0; p < answer.size() && p < 128; p += 2)
      canvas.ids[canvas.gaps[0].first + p] = answer[p];
    PeerOptions peer{.n_ubatch = canvas.n(), .n_threads = 2, .n_ctx = canvas.n()};
    LibllamaPeer plain(kPath, peer);
    peer.is_flash = true;
    LibllamaPeer flash(kPath, peer);
    const std::vector<float> want = plain.extend_all(canvas.ids);
    const double noise = largest_difference(want, flash.extend_all(canvas.ids));
    CanvasCache cache(demo().decoder->hparams(), GGML_TYPE_F32, canvas.n(), backend.kv_placement());
    InfillPass pass(demo().decoder, backend);
    const ProposalRule rule;
    std::vector<int32_t> wanted(canvas.n());
    std::iota(wanted.begin(), wanted.end(), 0);
    InfillPass::Probe probe;
    pass.compute(std::vector{InfillRows{canvas.ids, &cache, {0, canvas.n()}, wanted, &rule, 0}},
                 &probe);
    ASSERT_EQ(probe.logits.size(), want.size());
    const double ours = largest_difference(want, probe.logits);
    EXPECT_LE(ours, 2 * noise) << "libllama differs from itself by " << noise;
    EXPECT_GT(noise, 0);
  }
}

// Every record is written without fault, in one token a pass as in many, with a cache as without.
TEST(DllmModel, WritesRecordsWithoutFault) {
  const Backend backend(2);
  DllmEvalOptions options;
  options.n_canvas = 384;
  std::vector<DllmPrompt> records;
  for (const DllmPrompt& prompt :
       read_dllm_prompts(std::string(REPRISE_SOURCE_DIR) + "/models/dllm/published.jsonl")) {
    if (prompt.task == "record" && records.size() < 4) records.push_back(prompt);
  }
  for (const char* refresh : {"none", "prefix", "dual"}) {
    const DllmResult result = evaluate_dllm(
        demo(), backend, {"fixed:len=32", "threshold:tau=0.9", refresh}, records, options);
    EXPECT_EQ(result.n_right(), 4) << refresh;
  }
}

}  // namespace
}  // namespace reprise
