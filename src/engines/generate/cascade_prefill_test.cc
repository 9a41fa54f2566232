#include "engines/generate/cascade_prefill.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engines/generate/sequence.h"
#include "policies/registry.h"
#include "support/tiny_model_test.h"

namespace reprise {
namespace {

class CascadePrefill : public test::TinyModelTest {
 protected:
  Sequence sequence(const std::string& spec) const {
    return {model_, backend_, std::shared_ptr<const KvPolicy>(make_kv_policy(spec))};
  }
};

// Evicting once at the end keeps, bit for bit, what the cascade keeps, over two turns and with what
// is decoded after them; but until then it holds the whole prompt in every layer.
TEST_F(CascadePrefill, WithoutACascadeTheSameIsKeptAndThePeakIsAllLayers) {
  constexpr int32_t kPrompt = 400;
  for (const char* arch : {"llama", "gemma3"}) {
    load({.arch = arch, .n_layer = 13, .n_embd_head = 32});
    for (const char* more : {"", ",split=uniform", ",split=pyramid,type=q8_0", ",sink=4,min=3"}) {
      const std::string spec = std::string("cake:budget=50,window=8") + more;
      Sequence on = sequence(spec);
      Sequence off = sequence(spec + ",cascade=off");
      for (const uint32_t turn : {1U, 2U}) {
        const std::vector<int32_t> prompt = tokens(kPrompt, turn);
        EXPECT_TRUE(std::ranges::equal(off.prefill(prompt, {}), on.prefill(prompt, {}))) << spec;
        int64_t whole_bytes = 0;
        for (int32_t il = 0; il < 13; ++il) {
          EXPECT_EQ(off.kv().save_layer(il), on.kv().save_layer(il)) << spec << " layer " << il;
          const KvLayerShape& shape = on.kv().shape(il);
          if (shape.is_eligible()) whole_bytes += shape.kv.entry_bytes() * kPrompt;
        }
        EXPECT_GT(off.last_prefill().n_entries_dropped, 0);
        EXPECT_EQ(off.last_prefill().kept, on.last_prefill().kept);
        EXPECT_GE(off.last_prefill().peak_kv_bytes, whole_bytes) << spec;
        // Of Gemma's 13 layers two may be cut, and the others' windows can be the peak.
        const int64_t peak = on.last_prefill().peak_kv_bytes;
        EXPECT_LE(peak, off.last_prefill().peak_kv_bytes) << spec;
        if (model_->hparams().n_swa == 0) {
          EXPECT_LT(peak, off.last_prefill().peak_kv_bytes) << spec;
        }
        for (const int32_t token : tokens(3, 7)) {
          EXPECT_TRUE(std::ranges::equal(off.decode(token), on.decode(token))) << spec;
        }
      }
    }
  }
}

// CAKE's own rule lets shares rise from layer to layer; at the end it hands out the whole budget.
TEST_F(CascadePrefill, WithoutACascadeTheOfficialSplitLosesNothingToRisingShares) {
  load({.n_layer = 13});
  Sequence off = sequence("cake:budget=50,window=8,split=official,cascade=off");
  Sequence on = sequence("cake:budget=50,window=8,split=official");
  for (Sequence* each : {&off, &on}) each->prefill(tokens(400, 1), {});
  EXPECT_EQ(off.last_prefill().n_entries_kept, 13 * 50);
  EXPECT_LE(on.last_prefill().n_entries_kept, 13 * 50);
}

}  // namespace
}  // namespace reprise
