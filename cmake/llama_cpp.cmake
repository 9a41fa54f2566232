# Adds llama.cpp (ggml and libllama) from the pinned archive that tools/fetch_llama_cpp.sh brings.
# Only vendor/llama.cpp is unpacked. Its targets are SYSTEM and EXCLUDE_FROM_ALL: our warnings and clang-tidy skip them.

file(STRINGS "${PROJECT_SOURCE_DIR}/tools/llama_cpp.pin" _pin REGEX "^[^#]")
string(REPLACE " " ";" _pin "${_pin}")
list(GET _pin 0 _package)
list(GET _pin 1 _version)
list(GET _pin 2 _sha256)
string(REPLACE "-" "_" _stem "${_package}-${_version}")
string(REPLACE "llama_cpp_python_" "llama_cpp_python-" _stem "${_stem}")

if(DEFINED ENV{REPRISE_DOWNLOADS})
  set(_folder "$ENV{REPRISE_DOWNLOADS}")
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(_folder "$ENV{XDG_CACHE_HOME}/reprise")
else()
  set(_folder "$ENV{HOME}/.cache/reprise")
endif()
set(_archive "${_folder}/${_stem}.tar.gz")
set(LLAMA_CPP_SOURCE "${PROJECT_BINARY_DIR}/third_party/${_stem}/vendor/llama.cpp")

# Unpacked and patched once, and again when a patch changes.
file(GLOB _patches CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/patches/*.patch")
set(_wanted "${_sha256}")
foreach(_patch IN LISTS _patches)
  file(SHA256 "${_patch}" _patch_sha256)
  string(APPEND _wanted " ${_patch_sha256}")
endforeach()
set(_unpacked "")
if(EXISTS "${LLAMA_CPP_SOURCE}/unpacked")
  file(READ "${LLAMA_CPP_SOURCE}/unpacked" _unpacked)
endif()
if(NOT _unpacked STREQUAL _wanted)
  if(NOT EXISTS "${_archive}")
    message(FATAL_ERROR "${_archive} is missing; run tools/fetch_llama_cpp.sh (or 'make source') first")
  endif()
  file(SHA256 "${_archive}" _found)
  if(NOT _found STREQUAL _sha256)
    message(FATAL_ERROR "${_archive} has sha256 ${_found}, expected ${_sha256}; remove it and run 'make source'")
  endif()
  file(REMOVE_RECURSE "${LLAMA_CPP_SOURCE}")
  file(ARCHIVE_EXTRACT INPUT "${_archive}" DESTINATION "${PROJECT_BINARY_DIR}/third_party"
       PATTERNS "*/vendor/llama.cpp/*")
  foreach(_patch IN LISTS _patches)
    execute_process(COMMAND patch -p1 --silent --input "${_patch}" WORKING_DIRECTORY "${LLAMA_CPP_SOURCE}"
                    RESULT_VARIABLE _failed)
    if(_failed)
      message(FATAL_ERROR "${_patch} does not apply to ${_stem}; is the program 'patch' installed ('make setup')?")
    endif()
  endforeach()
  file(WRITE "${LLAMA_CPP_SOURCE}/unpacked" "${_wanted}")
endif()

set(GGML_OPENMP OFF CACHE BOOL "" FORCE)  # the engine owns one persistent thread pool
set(GGML_CUDA ${REPRISE_CUDA} CACHE BOOL "" FORCE)
set(GGML_CUDA_NCCL OFF CACHE BOOL "" FORCE)  # one device
include("${CMAKE_CURRENT_LIST_DIR}/llama_cpp_targets.cmake")

# llama.cpp's Jinja engine alone, for chat templates: `common`, which holds it there, drags in a downloader and a server.
# The name <string.h> must not find jinja/string.h, so `common` is on the include path and `common/jinja` is not.
file(GLOB _jinja CONFIGURE_DEPENDS "${LLAMA_CPP_SOURCE}/common/jinja/*.cpp")
add_library(llama_jinja STATIC EXCLUDE_FROM_ALL ${_jinja}
  "${LLAMA_CPP_SOURCE}/common/json.cpp" "${LLAMA_CPP_SOURCE}/common/unicode.cpp")
target_include_directories(llama_jinja PUBLIC "${LLAMA_CPP_SOURCE}/common" PRIVATE "${LLAMA_CPP_SOURCE}/vendor")
target_compile_options(llama_jinja PRIVATE -w)
target_compile_definitions(llama_jinja PRIVATE NDEBUG)  # its asserts would let a bad template end the process
target_link_libraries(llama_jinja PRIVATE ggml-base)
set_target_properties(llama_jinja PROPERTIES SYSTEM ON CXX_CLANG_TIDY "")
