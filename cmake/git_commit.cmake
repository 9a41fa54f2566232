# Writes OUT with the commit of SOURCE_DIR, at every build and only when it has changed. Empty outside a git checkout.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C "${SOURCE_DIR}" describe --always --dirty --abbrev=10 --exclude=*
                OUTPUT_VARIABLE _commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE _status)
if(NOT _status EQUAL 0)
  set(_commit "")
endif()
file(CONFIGURE OUTPUT "${OUT}" CONTENT "#define REPRISE_GIT_COMMIT \"@_commit@\"\n" @ONLY)
