#include "core/device.h"

#include <fmt/format.h>

#include <charconv>

#include "core/error.h"
#include "core/printable.h"

namespace reprise {

Device Device::parse(std::string_view text) {
  if (text == "cpu") return {};
  if (text == "ggml-cpu") return {Kind::kGgmlCpu};
  if (text == "cuda") return {Kind::kCuda};
  constexpr std::string_view kPrefix = "cuda:";
  if (text.starts_with(kPrefix)) {
    const std::string_view number = text.substr(kPrefix.size());
    Device device{Kind::kCuda};
    const auto [end, failed] =
        std::from_chars(number.data(), number.data() + number.size(), device.index);
    const bool is_whole = failed == std::errc() && end == number.data() + number.size();
    if (is_whole && device.index >= 0) return device;
  }
  throw Error(fmt::format("device '{}': expected cpu, cuda, cuda:N with N from 0, or ggml-cpu",
                          printable(text)));
}

ggml_backend_t start_cuda(int32_t index) {
  // ggml lists the backends that it was built with; the list is empty of devices on a machine
  // without a GPU or without its driver.
  ggml_backend_reg_t cuda = ggml_backend_reg_by_name("CUDA");
  if (cuda == nullptr) {
    throw Error("--device cuda: this program was built without CUDA; make cuda builds it with");
  }
  const auto n_devices = static_cast<int32_t>(ggml_backend_reg_dev_count(cuda));
  if (n_devices == 0) {
    throw Error("--device cuda: no CUDA device found; is the NVIDIA driver loaded (nvidia-smi)?");
  }
  if (index >= n_devices) {
    throw Error(fmt::format("--device cuda:{}: {} CUDA devices found, they count from 0", index,
                            n_devices));
  }
  ggml_backend_t backend = ggml_backend_dev_init(ggml_backend_reg_dev_get(cuda, index), nullptr);
  if (backend == nullptr) {
    throw Error(
        fmt::format("--device cuda:{}: the device cannot be started; is it in use or out "
                    "of memory?",
                    index));
  }
  return backend;
}

}  // namespace reprise
