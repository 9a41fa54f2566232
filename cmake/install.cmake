# What `make install` installs: ours alone. llama.cpp's own rules stay out, for its folder is EXCLUDE_FROM_ALL.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS reprise RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
if(REPRISE_MEDIA)
  install(TARGETS reprise_video LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}/reprise")
endif()
install(FILES docs/reprise.1 DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(FILES tools/completion.bash DESTINATION "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" RENAME reprise)
install(FILES tools/pip_download.py tools/pull_model.py DESTINATION "${CMAKE_INSTALL_DATADIR}/reprise")
install(DIRECTORY models/ DESTINATION "${CMAKE_INSTALL_DATADIR}/reprise/models" OPTIONAL)

# The library: headers, archives in a folder of their own (a user's ggml keeps its names), a CMake package. Whoever
# comes first needs those that follow.
set(REPRISE_ARCHIVES reprise_engines reprise_pusht reprise_nets reprise_policies reprise_core
    llama_jinja llama ggml ggml-cpu ggml-rpc ggml-base)
install(DIRECTORY include/reprise DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.h")
foreach(_archive IN LISTS REPRISE_ARCHIVES)
  install(FILES "$<TARGET_FILE:${_archive}>" DESTINATION "${CMAKE_INSTALL_LIBDIR}/reprise")
endforeach()

set(_package "${CMAKE_INSTALL_LIBDIR}/cmake/reprise")
configure_package_config_file(cmake/repriseConfig.cmake.in "${PROJECT_BINARY_DIR}/repriseConfig.cmake"
  INSTALL_DESTINATION "${_package}" PATH_VARS CMAKE_INSTALL_INCLUDEDIR CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/repriseConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/repriseConfig.cmake" "${PROJECT_BINARY_DIR}/repriseConfigVersion.cmake"
  DESTINATION "${_package}")
