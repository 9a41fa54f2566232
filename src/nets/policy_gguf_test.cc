#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>

#include "core/error.h"
#include "gguf.h"
#include "nets/policy_file.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

PolicyFile tiny(const char* name) {
  return PolicyFile::read(
      fmt::format("{}/tests/golden/control/{}.safetensors", REPRISE_SOURCE_DIR, name));
}

void write_gguf(const PolicyFile& file, bool is_encoder_only, const std::string& path) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(gguf_init_empty(), gguf_free);
  const PolicyHparams& hp = file.hparams;
  gguf_set_val_str(gguf.get(), "general.architecture", "dp");
  gguf_set_val_str(gguf.get(), "dp.scheduler.beta_schedule", file.noise.beta_schedule.c_str());
  gguf_set_val_str(gguf.get(), "dp.scheduler.prediction_type", file.noise.prediction.c_str());
  gguf_set_val_bool(gguf.get(), "dp.scheduler.clip_sample", file.noise.clips_sample);
  gguf_set_val_bool(gguf.get(), "dp.encoder_only", is_encoder_only);
  const std::pair<const char*, int32_t> sizes[] = {{"n_layer", hp.n_layer},
                                                   {"n_head", hp.n_head},
                                                   {"n_emb", hp.n_embd},
                                                   {"horizon", hp.n_horizon},
                                                   {"n_obs_steps", hp.n_obs_steps},
                                                   {"n_action_steps", hp.n_action_steps},
                                                   {"obs_dim", hp.n_obs},
                                                   {"action_dim", hp.n_action},
                                                   {"scheduler.train_steps", 100}};
  for (const auto& [key, value] : sizes) {
    gguf_set_val_u32(gguf.get(), fmt::format("dp.{}", key).c_str(), static_cast<uint32_t>(value));
  }
  std::vector<PolicyTensor> tensors = file.tensors;
  for (const auto& [kind, c] : {std::pair("obs", &file.obs), {"action", &file.action}}) {
    for (const auto& [name, values] : {std::pair("scale", &c->scale),
                                       {"offset", &c->offset},
                                       {"min", &c->min},
                                       {"max", &c->max}}) {
      tensors.push_back(
          {fmt::format("norm.{}.{}", kind, name), {std::ssize(*values)}, GGML_TYPE_F32, *values});
    }
  }
  const ggml_init_params params{
      .mem_size = size_t{1} << 20, .mem_buffer = nullptr, .no_alloc = false};
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> ctx(ggml_init(params), ggml_free);
  for (const PolicyTensor& tensor : tensors) {
    const std::vector<int64_t> ne(tensor.shape.rbegin(), tensor.shape.rend());
    ggml_tensor* made =
        ggml_new_tensor(ctx.get(), GGML_TYPE_F32, static_cast<int>(ne.size()), ne.data());
    ggml_set_name(made, tensor.name.c_str());
    std::memcpy(made->data, tensor.values.data(), ggml_nbytes(made));
    gguf_add_tensor(gguf.get(), made);
  }
  ASSERT_TRUE(gguf_write_to_file(gguf.get(), path.c_str(), false));
}

// The same values make the same model, whichever file they come from.
TEST(PolicyGguf, IsTheModelOfTheSafetensorsFile) {
  const std::string path = testing::TempDir() + "policy_gguf_test.gguf";
  for (const char* name : {"policy-tiny", "policy-tiny-encoder"}) {
    const PolicyFile want = tiny(name);
    write_gguf(want, want.hparams.is_encoder_only, path);
    const PolicyFile got = PolicyFile::read(path);
    EXPECT_EQ(got.hparams, want.hparams) << name;
    EXPECT_EQ(policy_hash(got), policy_hash(want)) << name;
  }
  fs::remove(path);
}

TEST(PolicyGguf, RefusesTheOtherFormsTensors) {
  const std::string path = testing::TempDir() + "policy_gguf_form_test.gguf";
  const auto refusal = [&](const char* name, bool is_encoder_only) -> std::string {
    write_gguf(tiny(name), is_encoder_only, path);
    try {
      PolicyFile::read(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "taken";
  };
  EXPECT_THAT(refusal("policy-tiny", true), HasSubstr("the sizes ask for [32, 8]"));
  EXPECT_THAT(refusal("policy-tiny-encoder", false), HasSubstr("(n_cond_layers) is not built in"));
  fs::remove(path);
}

}  // namespace
}  // namespace reprise
