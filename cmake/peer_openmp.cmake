# `reprise_peer`: libllama from the same source with OpenMP, a program of its own beside `reprise`, for `bench kv --peer-openmp`.
# One process cannot hold ggml twice. Built on demand: cmake --build build --target reprise_peer (`make bench` does).
if(REPRISE_SANITIZE)
  return()
endif()
include(ExternalProject)
set(_arguments
  -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
  -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
  -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
  -DCMAKE_RUNTIME_OUTPUT_DIRECTORY=${PROJECT_BINARY_DIR}
  -DLLAMA_CPP_SOURCE=${LLAMA_CPP_SOURCE}
  -DREPRISE_NATIVE=${REPRISE_NATIVE}
  -DREPRISE_AMX=${REPRISE_AMX})
if(CCACHE)
  list(APPEND _arguments -DCMAKE_C_COMPILER_LAUNCHER=${CCACHE} -DCMAKE_CXX_COMPILER_LAUNCHER=${CCACHE})
endif()
ExternalProject_Add(reprise_peer
  SOURCE_DIR "${PROJECT_SOURCE_DIR}/bench/peer_openmp"
  BINARY_DIR "${PROJECT_BINARY_DIR}/peer_openmp"
  CMAKE_ARGS ${_arguments}
  BUILD_ALWAYS ON
  INSTALL_COMMAND ""
  EXCLUDE_FROM_ALL ON)
