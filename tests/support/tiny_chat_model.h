#pragma once

#include "support/tiny_model.h"

namespace reprise::test {

inline constexpr const char* kChatMl =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// The same random model with a vocabulary (n_vocab is its size) of one token a byte, one merge and
// ChatML's control tokens, and with kChatMl as its template. A llama answers in printable ASCII.
TinyModel tiny_chat_model(TinyModel model);

}  // namespace reprise::test
