// Asks a chat model what a text is about, then asks again, and says what the KV cache cost:
//   hello MODEL [FILE]

#include <reprise/generate.h>

#include <fstream>
#include <iostream>
#include <iterator>

namespace {

std::string read(const char* path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw reprise::Error(std::string(path) + ": cannot be opened");
  return {std::istreambuf_iterator<char>(in), {}};
}

void print(std::string_view text) { std::cout << text << std::flush; }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: hello MODEL [FILE]\n";
    return 2;
  }
  try {
    const auto model = reprise::LanguageModel::load(argv[1]);
    const std::string document = argc > 2 ? read(argv[2]) : "Reprise never computes things twice.";
    reprise::Chat chat(model, {.kv = "cake:budget=128", .max_tokens = 60});
    const reprise::AnswerLedger ledger = chat.ask("What is this about?", document, print).ledger;
    std::cout << "\n\n";
    chat.ask("Say it in five words.", "", print);
    std::cout << "\n\n"
              << model.name() << ": read " << ledger.n_prompt_tokens << " tokens in "
              << ledger.prefill_s << " s, kept " << ledger.n_entries_kept << " KV entries, dropped "
              << ledger.n_entries_dropped << '\n';
  } catch (const reprise::Error& error) {
    std::cerr << "hello: " << error.what() << '\n';
    return 1;
  }
}
