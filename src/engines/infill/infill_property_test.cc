#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "engines/infill/infill.h"
#include "policies/registry.h"

// What holds for every policy, on the tiny random models of the golden traces.
namespace reprise {
namespace {

constexpr int32_t kBudget = 24;

struct Tiny {
  std::shared_ptr<const DecoderModel> model;
  int32_t end_token;
};

Tiny tiny(const std::string& name) {
  const std::string path =
      std::string(REPRISE_SOURCE_DIR) + "/tests/golden/dllm/" + name + "-tiny.gguf";
  auto file = std::make_shared<const GgufFile>(GgufFile::open(path));
  const auto end_token = static_cast<int32_t>(file->integer("tokenizer.ggml.eos_token_id"));
  return {DecoderModel::load(std::move(file)), end_token};
}

const Tiny& llada() {
  static const Tiny model = tiny("llada");
  return model;
}
const Tiny& dream() {
  static const Tiny model = tiny("dream");
  return model;
}

InfillOptions options(const std::string& span, const std::string& commit,
                      const std::string& refresh) {
  InfillOptions o;
  o.span = make_span_policy(span);
  o.commit = make_commit_policy(commit);
  o.refresh = make_refresh_policy(refresh);
  o.stops_at_end = false;
  o.cache_type = GGML_TYPE_F32;
  return o;
}

const Backend& backend() {
  static const Backend one(1, WeightUse::kExpand);
  return one;
}

// A fifth of the vocabulary, so that lines end often.
TokenSet delimiters(const Tiny& tiny) {
  std::vector<int32_t> ids;
  for (int32_t id = 5; id < tiny.model->hparams().n_vocab - 5; id += 5) ids.push_back(id);
  return {tiny.model->hparams().n_vocab, ids};
}

std::vector<int32_t> prompt(uint64_t seed) {
  SplitMix64 rng(seed);
  std::vector<int32_t> ids(4 + rng.next() % 9);
  for (int32_t& id : ids) id = static_cast<int32_t>(4 + rng.next() % 80);
  return ids;
}

InfillResult fill(const Tiny& tiny, const InfillOptions& o, Canvas canvas) {
  Infiller infiller(tiny.model, backend(), tiny.end_token, o, delimiters(tiny));
  return infiller.fill({std::move(canvas)}, 1).front();
}

InfillResult answer(const Tiny& tiny, const InfillOptions& o, uint64_t seed, int32_t n_tail = 3) {
  return fill(tiny, o,
              Canvas::answer(prompt(seed), kBudget, n_tail, tiny.model->hparams().mask_token,
                             tiny.end_token));
}

std::vector<std::vector<int32_t>> commits(const InfillResult& result) {
  std::vector<std::vector<int32_t>> out;
  for (const InfillStep& step : result.report.steps) {
    std::vector<int32_t>& one = out.emplace_back();
    for (const Commit& commit : step.commits) {
      one.push_back(commit.position);
      one.push_back(commit.token);
    }
  }
  return out;
}

TEST(InfillProperties, EveryPositionIsWrittenOnceInsideItsSpan) {
  for (const Tiny* model : {&llada(), &dream()}) {
    for (const char* span :
         {"fixed:len=5", "whole", "adablock:window=budget,b0=6,rho=0.5,tau_d=0.1",
          "adablock:b0=3,rho=1,tau_d=0.1", "shuffled:window=budget,b0=6,rho=0.5,tau_d=0.1",
          "oracle:b0=6", "first_delimiter:window=budget,b0=6,rho=0.5",
          "wrong_delimiter:window=budget,b0=6,rho=0.5"}) {
      for (const char* refresh :
           {"none", "prefix", "dual", "dual:every=2", "dual:before=2,after=3"}) {
        for (uint64_t seed = 0; seed < 3; ++seed) {
          SCOPED_TRACE(fmt::format("{} {} seed {}", span, refresh, seed));
          const InfillResult got =
              answer(*model, options(span, "threshold:tau=0.6", refresh), seed);
          int32_t n_planned = 0;
          std::set<int32_t> written;
          for (const InfillSpan& s : got.report.spans) {
            EXPECT_EQ(s.first, got.canvas.gaps[0].first + n_planned);
            EXPECT_GE(s.plan.n, 1);
            n_planned += s.plan.n;
          }
          EXPECT_EQ(n_planned, kBudget);
          int64_t n_rows = 0;
          for (const InfillStep& step : got.report.steps) {
            const InfillSpan& s = got.report.spans[step.i_span];
            EXPECT_FALSE(step.commits.empty());
            for (const Commit& commit : step.commits) {
              EXPECT_GE(commit.position, s.first);
              EXPECT_LT(commit.position, s.first + s.plan.n);
              EXPECT_NE(commit.token, model->model->hparams().mask_token);
              EXPECT_TRUE(written.insert(commit.position).second) << commit.position;
              EXPECT_EQ(got.canvas.ids[commit.position], commit.token);
            }
            n_rows += step.rows.n();
          }
          EXPECT_EQ(written.size(), static_cast<size_t>(kBudget));
          EXPECT_EQ(got.report.n_rows, n_rows);
          EXPECT_EQ(got.report.n_rows + got.report.n_rows_reused,
                    static_cast<int64_t>(got.report.steps.size()) * got.canvas.n());
        }
      }
    }
  }
}

// Two ways that must be the same, commit by commit.
TEST(InfillProperties, WhatIsEqualByDefinitionIsEqual) {
  struct Pair {
    const char* a[3];
    const char* b[3];
  };
  const Pair pairs[] = {
      // A cache that is made anew every pass is none.
      {{"fixed:len=6", "threshold:tau=0.6", "dual:every=1"},
       {"fixed:len=6", "threshold:tau=0.6", "none"}},
      {{"fixed:len=6", "threshold:tau=0.6", "prefix:every=1"},
       {"fixed:len=6", "threshold:tau=0.6", "none"}},
      // Without a delimiter that is sure enough AdaBlock is the fixed rule.
      {{"adablock:b0=7,tau_d=inf", "threshold:tau=0.6", "dual"},
       {"fixed:len=7", "threshold:tau=0.6", "dual"}},
      {{"adablock:b0=7,tau_d=inf", "threshold:tau=0.6", "prefix"},
       {"fixed:len=7", "threshold:tau=0.6", "prefix"}},
      {{"adablock:b0=24,tau_d=inf", "threshold:tau=0.6", "none"},
       {"whole", "threshold:tau=0.6", "none"}},
      // As many steps as positions are one a step.
      {{"fixed:len=6", "quota:steps=24", "none"}, {"fixed:len=6", "top1", "none"}},
      // Rows on both sides of a span that reach to the canvas's ends are all rows.
      {{"fixed:len=6", "threshold:tau=0.6", "dual:before=99,after=99"},
       {"fixed:len=6", "threshold:tau=0.6", "none"}},
  };
  for (const Tiny* model : {&llada(), &dream()}) {
    for (const Pair& pair : pairs) {
      for (uint64_t seed = 0; seed < 4; ++seed) {
        const InfillResult a = answer(*model, options(pair.a[0], pair.a[1], pair.a[2]), seed);
        const InfillResult b = answer(*model, options(pair.b[0], pair.b[1], pair.b[2]), seed);
        EXPECT_EQ(commits(a), commits(b))
            << pair.a[0] << ' ' << pair.a[1] << ' ' << pair.a[2] << " seed " << seed;
      }
    }
  }
}

TEST(InfillProperties, ACacheWithoutAPromptAndTailIsNone) {
  // The prefix cache of a span at the very start holds nothing.
  const Tiny& model = llada();
  const Canvas canvas =
      Canvas::with_gaps(std::vector<int32_t>(kBudget, model.model->hparams().mask_token),
                        model.model->hparams().mask_token);
  const InfillResult prefix = fill(model, options("whole", "threshold:tau=0.6", "prefix"), canvas);
  const InfillResult none = fill(model, options("whole", "threshold:tau=0.6", "none"), canvas);
  EXPECT_EQ(commits(prefix), commits(none));
}

TEST(InfillProperties, ShuffledSpansAreThoseOfAdaBlock) {
  const auto lengths = [](const InfillResult& result) {
    std::vector<int32_t> out;
    for (const InfillSpan& span : result.report.spans) out.push_back(span.plan.n);
    std::ranges::sort(out);
    return out;
  };
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const char* options_text = ":window=budget,b0=6,rho=0.5,tau_d=0.1";
    const InfillResult a =
        answer(llada(),
               options(std::string("adablock") + options_text, "threshold:tau=0.6", "dual"), seed);
    const InfillResult b =
        answer(llada(),
               options(std::string("shuffled") + options_text, "threshold:tau=0.6", "dual"), seed);
    EXPECT_EQ(lengths(a), lengths(b)) << seed;
  }
}

TEST(InfillProperties, CancellingLeavesTextsAsTheyAre) {
  const Tiny& model = llada();
  for (const char* span : {"fixed:len=6", "shuffled:b0=6", "oracle:b0=6"}) {
    for (const int32_t n_before : {0, 1, 4}) {
      Infiller infiller(model.model, backend(), model.end_token,
                        options(span, "threshold:tau=0.6", "dual"), delimiters(model));
      std::vector<Canvas> texts;
      for (uint64_t seed = 0; seed < 3; ++seed)
        texts.push_back(Canvas::answer(prompt(seed), kBudget, 0, model.model->hparams().mask_token,
                                       model.end_token));
      int32_t n_asked = 0;
      InfillEvents events;
      events.is_cancelled = [&] { return n_asked++ >= n_before; };
      const std::vector<InfillResult> got = infiller.fill(texts, 2, events);
      ASSERT_EQ(got.size(), texts.size());
      for (size_t i = 0; i < texts.size(); ++i) {
        EXPECT_EQ(got[i].canvas.gaps, texts[i].gaps) << span;
        EXPECT_EQ(got[i].canvas.n(), texts[i].n()) << span;
      }
      EXPECT_EQ(got[2].canvas.ids, texts[2].ids) << "never begun";
    }
  }
}

TEST(InfillProperties, OneTokenAPassTakesAsManyPassesAsPositions) {
  const InfillResult got = answer(llada(), options("fixed:len=6", "top1", "none"), 1);
  EXPECT_EQ(got.report.steps.size(), static_cast<size_t>(kBudget));
}

// A pass over a span right behind one over everything, with no commit between, sees the same.
TEST(InfillProperties, APartialPassRepeatsWhatTheFullOneSaid) {
  for (const Tiny* tiny : {&llada(), &dream()}) {
    const DecoderHparams& hp = tiny->model->hparams();
    const Canvas canvas = Canvas::answer(prompt(5), kBudget, 4, hp.mask_token, tiny->end_token);
    CanvasCache cache(hp, GGML_TYPE_F32, canvas.n(), backend().kv_placement());
    InfillPass pass(tiny->model, backend());
    const ProposalRule rule{.forbidden = hp.mask_token};
    const int32_t first = canvas.gaps[0].first + 5;
    std::vector<int32_t> wanted(8);
    std::iota(wanted.begin(), wanted.end(), first);
    const auto compute = [&](RefreshRows rows) {
      InfillPass::Probe probe;
      pass.compute(std::vector{InfillRows{canvas.ids, &cache, rows, wanted, &rule, 0}}, &probe);
      return probe.logits;
    };
    const std::vector<float> full = compute({0, canvas.n()});
    const std::vector<float> partial = compute({first - 1, first + 8});
    ASSERT_EQ(full.size(), partial.size());
    // Sums of terms as large as the largest logit, so their rounding is relative to it.
    float largest = 1;
    for (const float logit : full) largest = std::max(largest, std::abs(logit));
    for (size_t i = 0; i < full.size(); ++i) ASSERT_NEAR(full[i], partial[i], 1e-5 * largest) << i;
  }
}

TEST(InfillProperties, DrawsDependOnTheSeedAlone) {
  InfillOptions o = options("fixed:len=6", "threshold:tau=0.6", "dual");
  o.temperature = 1;
  o.seed = 3;
  const InfillResult a = answer(llada(), o, 1);
  EXPECT_EQ(commits(a), commits(answer(llada(), o, 1)));
  o.seed = 4;
  EXPECT_NE(commits(a), commits(answer(llada(), o, 1)));
}

TEST(InfillProperties, EndTokensComeLastOrNever) {
  Tiny model = llada();
  // The model hardly ever proposes its own end token: the one that it proposes most stands for it.
  std::map<int32_t, int32_t> n_of;
  const InfillOptions plain = options("fixed:len=8", "threshold:tau=0.6", "none");
  for (uint64_t seed = 0; seed < 20; ++seed) {
    for (const InfillStep& step : answer(model, plain, seed).report.steps)
      for (const Commit& commit : step.commits) ++n_of[commit.token];
  }
  model.end_token =
      std::ranges::max_element(n_of, {}, [](const auto& token) { return token.second; })->first;
  // End tokens committed, and of them those of passes that committed another token, too.
  const auto count = [&](EndTokens end_tokens) {
    std::pair<int32_t, int32_t> n;
    InfillOptions o = plain;
    o.end_tokens = end_tokens;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      for (const InfillStep& step : answer(model, o, seed).report.steps) {
        const auto n_ends = static_cast<int32_t>(std::ranges::count(
            step.commits, model.end_token, [](const Commit& commit) { return commit.token; }));
        n.first += n_ends;
        if (n_ends < static_cast<int32_t>(step.commits.size())) n.second += n_ends;
      }
    }
    return n;
  };
  EXPECT_GT(count(EndTokens::kAsAny).second, 0);
  EXPECT_GT(count(EndTokens::kLast).first, 0);
  EXPECT_EQ(count(EndTokens::kLast).second, 0);  // only where every proposal is one
  EXPECT_EQ(count(EndTokens::kNever).first, 0);
}

TEST(InfillProperties, GapsAreFilledFromLeftToRightAndNothingElseIs) {
  for (const Tiny* tiny : {&llada(), &dream()}) {
    const int32_t mask = tiny->model->hparams().mask_token;
    const std::vector<int32_t> text = {7, 8, mask, mask, mask, 9, mask, 10, mask, mask, 11};
    const InfillResult got = fill(
        *tiny, options("adablock:window=budget,b0=2,rho=1,tau_d=0.1", "threshold:tau=0.6", "dual"),
        Canvas::with_gaps(text, mask));
    int32_t last = 0;
    for (const InfillSpan& span : got.report.spans) {
      EXPECT_GE(span.first, last);
      last = span.first + span.plan.n;
    }
    for (size_t p = 0; p < text.size(); ++p) {
      if (text[p] != mask) {
        EXPECT_EQ(got.canvas.ids[p], text[p]);
      } else {
        EXPECT_NE(got.canvas.ids[p], mask);
        EXPECT_NE(got.canvas.ids[p], tiny->end_token);
      }
    }
  }
}

TEST(InfillProperties, AFullBatchIsFilledAsAlone) {
  const Tiny& model = llada();
  const InfillOptions o = options("whole", "threshold:tau=0.5", "none");
  const Canvas canvas =
      Canvas::answer(prompt(1), 4, 0, model.model->hparams().mask_token, model.end_token);
  Infiller infiller(model.model, backend(), model.end_token, o, std::nullopt);
  const std::vector<InfillResult> got =
      infiller.fill(std::vector<Canvas>(Infiller::kMaxBatch + 2, canvas), Infiller::kMaxBatch);
  const InfillResult alone = fill(model, o, canvas);
  for (const InfillResult& result : got) EXPECT_EQ(result.canvas.ids, alone.canvas.ids);
  EXPECT_THROW(infiller.fill({canvas}, 0), Error);
  EXPECT_THROW(infiller.fill({canvas}, Infiller::kMaxBatch + 1), Error);
}

TEST(InfillProperties, RefusesWhatDoesNotFit) {
  const Tiny& model = llada();
  const int32_t mask = model.model->hparams().mask_token;
  const int32_t n_ctx = model.model->hparams().n_ctx_train;
  const InfillOptions o = options("fixed:len=6", "threshold", "none");
  EXPECT_THROW(fill(model, o, Canvas::answer(prompt(1), n_ctx, 0, mask, model.end_token)), Error);
  // A quota wants spans of equal length and steps that divide.
  EXPECT_THROW(answer(model, options("fixed:len=7", "quota", "none"), 1), Error);
  EXPECT_THROW(answer(model, options("fixed:len=6", "quota:steps=7", "none"), 1), Error);
  EXPECT_THROW(answer(model, options("fixed:len=6", "dream", "none"), 1), Error);
  // With shifted logits nothing says what stands first.
  EXPECT_THROW(fill(dream(), o,
                    Canvas::with_gaps({dream().model->hparams().mask_token, 5},
                                      dream().model->hparams().mask_token)),
               Error);
}

}  // namespace
}  // namespace reprise
