# Adds the targets of llama.cpp's source in LLAMA_CPP_SOURCE. The caller has set GGML_OPENMP: it is off in our own build, and on
# in the peer of the benches that is built apart (peer_openmp.cmake).

foreach(_part TESTS EXAMPLES TOOLS SERVER APP COMMON)
  set(LLAMA_BUILD_${_part} OFF CACHE BOOL "" FORCE)
endforeach()
set(LLAMA_OPENSSL OFF CACHE BOOL "" FORCE)
set(BUILD_SHARED_LIBS OFF CACHE BOOL "" FORCE)
set(GGML_CCACHE OFF CACHE BOOL "" FORCE)  # it would set a launch rule for everything; ours is below
set(GGML_RPC ON CACHE BOOL "" FORCE)
set(GGML_NATIVE ${REPRISE_NATIVE} CACHE BOOL "" FORCE)
if(NOT REPRISE_NATIVE AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  # x86-64-v2: ggml would take AVX2, or what an earlier configure left in the cache.
  set(GGML_SSE42 ON CACHE BOOL "" FORCE)
  foreach(_part AVX AVX2 BMI2 F16C FMA)
    set(GGML_${_part} OFF CACHE BOOL "" FORCE)
  endforeach()
endif()
if(REPRISE_SANITIZE STREQUAL "thread")
  set(GGML_SANITIZE_THREAD ON CACHE BOOL "" FORCE)
elseif(REPRISE_SANITIZE STREQUAL "address")
  set(GGML_SANITIZE_ADDRESS ON CACHE BOOL "" FORCE)
endif()
add_subdirectory("${LLAMA_CPP_SOURCE}" "${PROJECT_BINARY_DIR}/third_party/llama.cpp" EXCLUDE_FROM_ALL SYSTEM)

# libllama repacks weights for AMX wherever the CPU announces it. In a virtual machine of ours its kernels then died of an
# illegal instruction (tilezero on a second thread), so AMX is a choice; our own engine never uses it.
option(REPRISE_AMX "Let libllama, the peer of the benches, use AMX tiles" OFF)
if(NOT REPRISE_AMX AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(ggml-cpu PRIVATE -mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
endif()
