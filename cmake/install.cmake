# Defines what `cmake --install` installs. Components: `runtime` is the C library, `dev` the headers, static libraries and package
# files, `program` the program, `license` the license.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ulmus)

install(TARGETS ulmus_c EXPORT ulmus-c
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT dev)
install(FILES include/ulmus/c.h include/ulmus/version.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ulmus COMPONENT dev)

set(components c loss)
if(ULMUS_TORCH)
  list(APPEND components train)
  install(FILES cmake/libtorch.cmake cmake/xgboost.cmake DESTINATION ${package_dir} COMPONENT dev)
  # The installed program finds a LibTorch outside the system folders at the path where it was found at build time.
  set_target_properties(ulmus PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS ulmus RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
endif()
foreach(component IN LISTS components)
  install(EXPORT ulmus-${component} NAMESPACE ulmus:: DESTINATION ${package_dir} COMPONENT dev)
endforeach()

list(JOIN components ", " components)  # for the message in ulmusConfig.cmake
configure_package_config_file(cmake/ulmusConfig.cmake.in generated/ulmusConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(generated/ulmusConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/generated/ulmusConfig.cmake ${PROJECT_BINARY_DIR}/generated/ulmusConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT dev)

# The prefix in the pkg-config files is relative to the file, so the installed tree may be moved.
file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
foreach(name IN ITEMS ulmus ulmus-loss)
  configure_file(cmake/${name}.pc.in generated/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/generated/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)
endforeach()

install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT license)
