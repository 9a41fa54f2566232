#include "engines/generate/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/logprobs.h"
#include "engines/generate/libllama_peer.h"
#include "support/tiny_model_test.h"

namespace reprise {
namespace {

constexpr int32_t kContext = 300;
constexpr int32_t kBos = 1;

class PerplexityTest : public test::TinyModelTest {
 protected:
  std::vector<int32_t> tokens_;  // two contexts

  void SetUp() override {
    load({.n_layer = 4});
    tokens_ = tokens(2 * kContext, 3);
  }

  std::span<const int32_t> context(int32_t i) const {
    return std::span(tokens_).subspan(static_cast<size_t>(i) * kContext, kContext);
  }
  std::vector<PerplexityRow> rows(const std::vector<std::string>& policies, int32_t bos = kBos) {
    PerplexityEval eval(model_, backend_, named_policies(policies), bos);
    for (int32_t i = 0; i < 2; ++i) {
      int64_t n_told = 0;
      eval.add(context(i), [&](int64_t n_new) { n_told += n_new; });
      EXPECT_EQ(n_told, eval.n_read(kContext));
    }
    return eval.rows();
  }

  // The mean negative log-likelihood that libllama finds, with positions [first, last) forgotten
  // before the second half is read.
  double peer_nll(int32_t first, int32_t last) const {
    LibllamaPeer peer(path_, {.type_kv = GGML_TYPE_F32});
    const size_t n_vocab = model_->hparams().n_vocab;
    constexpr int32_t kRead = kContext / 2 + 1;
    Mean nll;
    for (int32_t i = 0; i < 2; ++i) {
      peer.clear();
      std::vector<int32_t> tokens(context(i).begin(), context(i).end());
      tokens[0] = kBos;
      std::vector<float> logits = peer.extend_all(std::span(tokens).first(kRead));
      logits.erase(logits.begin(), logits.end() - static_cast<int64_t>(n_vocab));
      if (first < last) peer.forget(first, last);
      const std::vector<float> rest =
          peer.extend_all(std::span(tokens).subspan(kRead, kContext - 1 - kRead));
      logits.insert(logits.end(), rest.begin(), rest.end());
      for (int32_t k = kRead; k < kContext; ++k) {
        const auto row = std::span(logits).subspan((k - kRead) * n_vocab, n_vocab);
        nll.add(log_sum_exp(row) - row[tokens[k]]);
      }
    }
    return nll.value();
  }
};

// Both keep an F32 cache; what is left is the order of additions, which differs in sign from token
// to token: single logits differ by up to 1e-3 (SequenceAgainstPeer), their mean by far less.
TEST_F(PerplexityTest, OfTheFullCacheEqualsLibllama) {
  const PerplexityRow row = rows({"full:type=f32"}).front();
  EXPECT_EQ(row.nll.n(), 2 * PerplexityEval::n_scored(kContext));
  EXPECT_EQ(row.nll.n(), 2 * 149);  // 300 - 150 - 1
  const double want = std::exp(peer_nll(0, 0));
  EXPECT_NEAR(row.perplexity(), want, 1e-5 * want);
  EXPECT_NEAR(row.error(), row.perplexity() * row.nll.error(), 1e-12);
  EXPECT_GT(row.error(), 0);
  EXPECT_EQ(row.n_dropped, 0);
}

// The second half is read on what the policy holds: 2 sinks and the last 38 of 151 tokens.
TEST_F(PerplexityTest, OfAnEvictingPolicyEqualsLibllamaWithoutThosePositions) {
  const auto both = rows({"streaming:budget=40,window=8,sink=2,type=f32", "full:type=f32", "full"});
  const double want = std::exp(peer_nll(2, 151 - 38));
  EXPECT_NEAR(both[0].perplexity(), want, 1e-5 * want);
  EXPECT_GT(std::abs(both[0].perplexity() - both[1].perplexity()), 1e-2 * want);
  EXPECT_EQ(both[0].n_dropped, int64_t{2} * 4 * (151 - 40));
  EXPECT_NEAR(both[0].held_bytes.value() * 151, both[1].held_bytes.value() * 40, 1e-6);
  EXPECT_GT(both[0].agreement.kl.value(), 1e-3);
  EXPECT_LT(both[0].agreement.same_best(), 1);
}

TEST_F(PerplexityTest, SlackPoliciesAgreeWithTheFullCacheExactly) {
  const auto all = rows({"snapkv:budget=500", "full", "kv/full:type=f16"});
  for (const PerplexityRow& row : all) {
    EXPECT_EQ(row.agreement.kl.n(), row.nll.n());
    EXPECT_EQ(row.agreement.kl.value(), 0) << row.policy;
    EXPECT_EQ(row.agreement.same_best(), 1) << row.policy;
    EXPECT_EQ(row.nll.value(), all[1].nll.value()) << row.policy;
  }
  EXPECT_EQ(rows({"snapkv:budget=500"})[0].agreement.kl.n(), 0);  // nothing to compare with
}

TEST_F(PerplexityTest, ScoredTokensEnterByTheDecodeMode) {
  const auto both = rows({"snapkv:budget=40,window=8", "snapkv:budget=40,window=8,decode=tova"});
  EXPECT_NE(both[0].nll.value(), both[1].nll.value());
  EXPECT_EQ(both[0].held_bytes.value(), both[1].held_bytes.value());
}

TEST_F(PerplexityTest, BosReplacesTheFirstToken) {
  const double with = rows({"full"})[0].nll.value();
  EXPECT_NE(with, rows({"full"}, -1)[0].nll.value());
  tokens_[0] = tokens_[kContext] = kBos;
  EXPECT_EQ(with, rows({"full"}, -1)[0].nll.value());
}

TEST_F(PerplexityTest, WhatFailsLeavesTheRowsAsBefore) {
  EXPECT_THROW(PerplexityEval(model_, backend_, {}, -1), Error);
  const std::vector<std::string> full = {"full"};
  PerplexityEval eval(model_, backend_, named_policies(full), -1);
  const TokensRead ignore = [](int64_t) {};
  eval.add(context(0), ignore);
  const double before = eval.rows()[0].nll.value();
  EXPECT_THROW(eval.add(context(1).first(PerplexityEval::kMinContext - 1), ignore), Error);
  std::vector<int32_t> foreign(context(1).begin(), context(1).end());
  foreign.back() = model_->hparams().n_vocab;
  EXPECT_THROW(eval.add(foreign, ignore), Error);
  int64_t n_told = 0;
  EXPECT_THROW(eval.add(context(1),
                        [&](int64_t n_new) {
                          n_told += n_new;
                          if (n_told > 200) throw Error("stop");
                        }),
               Error);
  EXPECT_EQ(eval.rows()[0].nll.value(), before);
  EXPECT_EQ(eval.rows()[0].nll.n(), 149);
  eval.add(context(1), ignore);
  EXPECT_EQ(eval.rows()[0].nll.value(), rows({"full"}, -1)[0].nll.value());
}

}  // namespace
}  // namespace reprise
