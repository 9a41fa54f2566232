// Compiled with the flags of the whole build, unlike cpu_check.cc: the list is what they allow.
#include "core/cpu_check.h"

namespace reprise {
namespace {

constexpr uint32_t kEax = 0, kEbx = 1, kEcx = 2;
[[maybe_unused]] constexpr uint32_t kEdx = 3;
constexpr uint64_t kNone = 0;
constexpr uint64_t kYmm = 0x6;   // XMM and the upper halves of YMM
constexpr uint64_t kZmm = 0xE6;  // and the opmasks and both parts of ZMM

}  // namespace

// Source: Intel SDM volume 2A, CPUID; volume 1, section 13.3. AMX is missing on purpose: ggml asks
// for it at run time.
constexpr CpuFeature kCpuFeaturesOfBuild[] = {
#ifdef __SSE3__
    {"sse3", 1, 0, kEcx, 0, kNone},
#endif
#ifdef __SSSE3__
    {"ssse3", 1, 0, kEcx, 9, kNone},
#endif
#ifdef __SSE4_1__
    {"sse4.1", 1, 0, kEcx, 19, kNone},
#endif
#ifdef __SSE4_2__
    {"sse4.2", 1, 0, kEcx, 20, kNone},
#endif
#ifdef __POPCNT__
    {"popcnt", 1, 0, kEcx, 23, kNone},
#endif
#ifdef __MOVBE__
    {"movbe", 1, 0, kEcx, 22, kNone},
#endif
#ifdef __PCLMUL__
    {"pclmul", 1, 0, kEcx, 1, kNone},
#endif
#ifdef __AES__
    {"aes", 1, 0, kEcx, 25, kNone},
#endif
#ifdef __LZCNT__
    {"lzcnt", 0x80000001, 0, kEcx, 5, kNone},
#endif
#ifdef __BMI__
    {"bmi", 7, 0, kEbx, 3, kNone},
#endif
#ifdef __BMI2__
    {"bmi2", 7, 0, kEbx, 8, kNone},
#endif
#ifdef __SHA__
    {"sha", 7, 0, kEbx, 29, kNone},
#endif
#ifdef __GFNI__
    {"gfni", 7, 0, kEcx, 8, kNone},
#endif
#ifdef __AVX__
    {"avx", 1, 0, kEcx, 28, kYmm},
#endif
#ifdef __FMA__
    {"fma", 1, 0, kEcx, 12, kYmm},
#endif
#ifdef __F16C__
    {"f16c", 1, 0, kEcx, 29, kYmm},
#endif
#ifdef __AVX2__
    {"avx2", 7, 0, kEbx, 5, kYmm},
#endif
#ifdef __AVXVNNI__
    {"avxvnni", 7, 1, kEax, 4, kYmm},
#endif
#ifdef __VAES__
    {"vaes", 7, 0, kEcx, 9, kYmm},
#endif
#ifdef __VPCLMULQDQ__
    {"vpclmulqdq", 7, 0, kEcx, 10, kYmm},
#endif
#ifdef __AVX512F__
    {"avx512f", 7, 0, kEbx, 16, kZmm},
#endif
#ifdef __AVX512DQ__
    {"avx512dq", 7, 0, kEbx, 17, kZmm},
#endif
#ifdef __AVX512CD__
    {"avx512cd", 7, 0, kEbx, 28, kZmm},
#endif
#ifdef __AVX512BW__
    {"avx512bw", 7, 0, kEbx, 30, kZmm},
#endif
#ifdef __AVX512VL__
    {"avx512vl", 7, 0, kEbx, 31, kZmm},
#endif
#ifdef __AVX512IFMA__
    {"avx512ifma", 7, 0, kEbx, 21, kZmm},
#endif
#ifdef __AVX512VBMI__
    {"avx512vbmi", 7, 0, kEcx, 1, kZmm},
#endif
#ifdef __AVX512VBMI2__
    {"avx512vbmi2", 7, 0, kEcx, 6, kZmm},
#endif
#ifdef __AVX512VNNI__
    {"avx512vnni", 7, 0, kEcx, 11, kZmm},
#endif
#ifdef __AVX512BITALG__
    {"avx512bitalg", 7, 0, kEcx, 12, kZmm},
#endif
#ifdef __AVX512VPOPCNTDQ__
    {"avx512vpopcntdq", 7, 0, kEcx, 14, kZmm},
#endif
#ifdef __AVX512BF16__
    {"avx512bf16", 7, 1, kEax, 5, kZmm},
#endif
#ifdef __AVX512FP16__
    {"avx512fp16", 7, 0, kEdx, 23, kZmm},
#endif
    {nullptr, 0, 0, kEax, 0, kNone}};

}  // namespace reprise
