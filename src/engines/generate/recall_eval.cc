#include "engines/generate/recall_eval.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "engines/generate/answer.h"
#include "policies/registry.h"

namespace reprise {
namespace {

bool is_two_turns(RecallProtocol protocol) { return protocol == RecallProtocol::kTurn2; }

// Whether something of what the sequence has seen is gone from a layer that a policy may cut.
bool has_dropped(Sequence& sequence) {
  const KvStore& kv = sequence.kv();
  for (int32_t il = 0; il < kv.n_layer(); ++il) {
    if (kv.shape(il).is_eligible() && kv.count(il) < sequence.n_past()) return true;
  }
  return false;
}

// Generates until the text is decided.
bool answers_right(Sequence& sequence, const TextModel& model, std::span<const float> logits,
                   const RecallQuestion& question, const TokensRead& read) {
  std::string text;
  RecallVerdict verdict = RecallVerdict::kOpen;
  AnswerEvents events;
  events.on_text = [&](std::string_view more) {
    text += more;
    if (verdict == RecallVerdict::kOpen) verdict = judge_recall(question, text, false);
  };
  events.is_cancelled = [&] {
    read(0);
    return verdict != RecallVerdict::kOpen;
  };
  AnswerOptions options;
  options.max_tokens = question.max_tokens();
  generate_answer(sequence, model, logits, options, events);
  if (verdict == RecallVerdict::kOpen) verdict = judge_recall(question, text, true);
  return verdict == RecallVerdict::kRight;
}

}  // namespace

struct RecallEval::Answer {
  bool is_right = false;
  bool has_dropped = false;
  std::vector<float> logits;     // [n_vocab, n_answer], before each token of the right answer
  std::vector<float> attention;  // likewise, [n_embd_head * n_head, n_layer, n_answer]
  int64_t held_bytes = 0;
  double seconds = 0;
};

RecallEval::RecallEval(std::shared_ptr<const TextModel> model, const Backend& backend,
                       std::span<const NamedPolicy> policies,
                       std::span<const RecallProtocol> protocols)
    : model_(std::move(model)), backend_(backend), n_policies_(policies.size()) {
  if (policies.empty() || protocols.empty()) {
    throw Error("nothing to measure; give at least one --kv and one --protocol");
  }
  const NamedPolicy reference{"full", make_kv_policy("full")};
  for (const RecallProtocol protocol : protocols) {
    run_of(reference, protocol);
    for (const NamedPolicy& policy : policies) {
      run_of(policy, protocol).rows.push_back(rows_.size());
      RecallRow& row = rows_.emplace_back();
      row.protocol = protocol;
      row.policy = policy.text;
    }
  }
}

RecallEval::Run& RecallEval::run_of(const NamedPolicy& policy, RecallProtocol protocol) {
  const auto is_same = [&](const Run& run) {
    return policy.is_unlimited() && run.policy.is_unlimited() &&
           policy.policy->plan().type == run.policy.policy->plan().type &&
           is_two_turns(protocol) == is_two_turns(run.protocol);
  };
  const auto found = std::ranges::find_if(runs_, is_same);
  return found != runs_.end() ? *found : runs_.emplace_back(Run{policy, protocol, {}});
}

int64_t RecallEval::n_read(const RecallCase& asked) const {
  size_t n_tokens = 0;
  for (const Run& run : runs_) n_tokens += asked.tokens(run.protocol).size() + asked.answer.size();
  return static_cast<int64_t>(n_tokens);
}

RecallEval::Answer RecallEval::answer(const Run& run, const RecallCase& asked,
                                      const TokensRead& read) const {
  using Clock = std::chrono::steady_clock;
  const auto n_growth =
      std::max(static_cast<int32_t>(asked.answer.size()), asked.question.max_tokens());
  Answer out;
  Sequence sequence(model_->decoder, backend_, run.policy.policy);
  sequence.keep_attention(true);
  Clock::time_point start = Clock::now();
  const std::span<const float> first =
      read_recall_prompt(sequence, asked, run.protocol, n_growth, read);
  out.logits.assign(first.begin(), first.end());
  out.attention.assign(sequence.attention().begin(), sequence.attention().end());
  Clock::duration spent = Clock::now() - start;
  out.held_bytes = sequence.kv().n_held_bytes();
  out.has_dropped = has_dropped(sequence);
  const bool replaces = run.policy.replaces_in_decode();
  const SequenceState before = replaces ? SequenceState{} : sequence.save();

  start = Clock::now();
  sequence.keep_attention(false);
  out.is_right = answers_right(sequence, *model_, out.logits, asked.question, read);
  spent += Clock::now() - start;
  out.seconds = std::chrono::duration<double>(spent).count();

  // Back to the end of the prompt, and the right answer instead.
  sequence.keep_attention(true);
  if (replaces) {  // what was replaced is gone
    sequence.clear();
    read_recall_prompt(sequence, asked, run.protocol, n_growth, [&](int64_t) { read(0); });
  } else {
    sequence.restore(before);
  }
  for (size_t i = 0; i + 1 < asked.answer.size(); ++i) {
    const std::span<const float> next = sequence.decode(asked.answer[i]);
    out.logits.insert(out.logits.end(), next.begin(), next.end());
    const std::span<const float> attention = sequence.attention();
    out.attention.insert(out.attention.end(), attention.begin(), attention.end());
  }
  read(static_cast<int64_t>(asked.answer.size()));
  return out;
}

void RecallEval::ask(const RecallCase& asked, const TokensRead& read) {
  const int32_t n_vocab = model_->decoder->hparams().n_vocab;
  const int32_t n_layer = model_->decoder->hparams().n_layer;
  const auto n_answer = static_cast<int32_t>(asked.answer.size());
  const auto quartile = static_cast<size_t>(std::clamp(asked.question.depth * 4, 0.0, 3.0));
  std::vector<RecallRow> rows = rows_;
  std::vector<bool> is_right(rows.size());
  std::array<Answer, 2> reference;  // of the full cache, for one and two turns
  for (const Run& run : runs_) {
    const Answer answer = this->answer(run, asked, read);
    Answer& of_full = reference[is_two_turns(run.protocol) ? 1 : 0];
    if (run.policy.is_reference()) of_full = answer;
    for (const size_t i : run.rows) {
      RecallRow& row = rows[i];
      is_right[i] = answer.is_right;
      row.all.add(answer.is_right);
      row.by_depth[quartile].add(answer.is_right);
      row.agreement.add(of_full.logits, answer.logits, n_vocab);
      row.attention_error.add(of_full.attention, answer.attention, n_layer, n_answer);
      row.held_bytes.add(static_cast<double>(answer.held_bytes));
      row.n_dropping += answer.has_dropped ? 1 : 0;
      row.seconds += answer.seconds;
    }
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t first = i / n_policies_ * n_policies_;
    rows[i].n_lost += is_right[first] && !is_right[i] ? 1 : 0;
    rows[i].n_gained += is_right[i] && !is_right[first] ? 1 : 0;
  }
  rows_ = std::move(rows);
}

}  // namespace reprise
