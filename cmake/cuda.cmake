# nvcc, for REPRISE_CUDA: from CMAKE_CUDA_COMPILER, $CUDACXX, the PATH or the toolkit's usual folder.
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(CMAKE_CUDA_COMPILER nvcc PATHS /usr/local/cuda/bin)
  if(NOT CMAKE_CUDA_COMPILER)
    message(FATAL_ERROR "REPRISE_CUDA needs nvcc, which is not here; install NVIDIA's CUDA toolkit or give "
                        "-DCMAKE_CUDA_COMPILER=/path/to/nvcc")
  endif()
endif()
if(REPRISE_SANITIZE)
  message(FATAL_ERROR "REPRISE_CUDA and REPRISE_SANITIZE do not go together")
endif()
set(CMAKE_CUDA_ARCHITECTURES "${CUDA_ARCH}")
if(CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${CCACHE}")
endif()
enable_language(CUDA)
# Where the driver is missing the programs do not start, so that a build that asks them for their tests would fail.
set(CMAKE_GTEST_DISCOVER_TESTS_DISCOVERY_MODE PRE_TEST)
set(CMAKE_CUDA_STANDARD 17)  # ggml's; ours take 20
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # which CMake 3.25 does not know of nvcc
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
endif()
find_package(CUDAToolkit REQUIRED)
