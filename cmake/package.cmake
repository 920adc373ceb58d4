# In a build with the prefix /usr, `cpack` builds Debian packages (script/package): the C library, the development files, and
# the program.
set(library_package libulmus${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "the Ulmus authors")
set(CPACK_PACKAGE_CONTACT "the Ulmus authors <ulmus@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime dev)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME ${library_package})
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_COMPONENT_RUNTIME_DESCRIPTION "Losses for class-imbalanced classification: the C library")

# The development package depends on what the component `loss` links and recommends what only `train` links, because LibTorch is large.
set(CPACK_DEBIAN_DEV_PACKAGE_NAME libulmus-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
string(JOIN ", " CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "${library_package} (= ${PROJECT_VERSION})" pkg-config libfmt-dev
       libhwy-dev libspdlog-dev libssl-dev libutf8proc-dev nlohmann-json3-dev)
set(CPACK_COMPONENT_DEV_DESCRIPTION "Losses for class-imbalanced classification: headers and static C++ libraries")

if(ULMUS_TORCH)
  string(JOIN ", " CPACK_DEBIAN_DEV_PACKAGE_RECOMMENDS libtorch-dev libopencv-dev libjpeg-dev libpng-dev libtiff-dev libwebp-dev
         zlib1g-dev libtomlplusplus-dev libxgboost-dev)
  list(APPEND CPACK_COMPONENTS_ALL program)
  set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME ulmus)
  set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
  set(CPACK_DEBIAN_PROGRAM_PACKAGE_RECOMMENDS "libopenblas0-openmp, libjs-chart.js")
  set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS dataset-fashion-mnist)
  set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "Trains, compares and reports classifiers for imbalanced data")
endif()
foreach(package IN ITEMS runtime:${library_package} dev:libulmus-dev program:ulmus)
  string(REPLACE ":" ";" package ${package})
  list(GET package 0 component)
  list(GET package 1 name)
  install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name} RENAME copyright COMPONENT ${component})
endforeach()
include(CPack)
