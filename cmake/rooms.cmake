# The house, from the ground up: a room links only rooms below it.

# floor 0: no framework
ulmus_room(base SOURCES file.cpp log.cpp random.cpp text.cpp
           PRIVATE fmt::fmt spdlog::spdlog OpenSSL::Crypto)

find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(hwy REQUIRED CONFIG)
ulmus_room(loss SOURCES class_counts.cpp family.cpp loss.cpp row_kernel.cpp spec.cpp
           PUBLIC ulmus::base PRIVATE fmt::fmt OpenMP::OpenMP_CXX hwy::hwy)

# The C interface, libulmus.so: the loss room inside, nothing but ulmus/c.h on its face.
add_library(ulmus_c SHARED src/loss/c_api.cpp)
add_library(ulmus::c ALIAS ulmus_c)
target_link_libraries(ulmus_c PRIVATE ulmus::loss fmt::fmt)
target_include_directories(ulmus_c INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_definitions(ulmus_c PRIVATE ULMUS_VERSION="${PROJECT_VERSION}")
target_link_options(ulmus_c PRIVATE LINKER:--exclude-libs,ALL)
set_target_properties(ulmus_c PROPERTIES OUTPUT_NAME ulmus VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
                      CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
ulmus_warnings(ulmus_c)
install(TARGETS ulmus_c LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES include/ulmus/c.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ulmus)

if(ULMUS_TORCH)
  find_package(Torch 1.13 REQUIRED)

  # LibTorch's headers as system headers: their warnings are not ours.
  add_library(ulmus_libtorch INTERFACE)
  target_include_directories(ulmus_libtorch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  target_link_libraries(ulmus_libtorch INTERFACE ${TORCH_LIBRARIES})
endif()

# The bench stands beside the floors: it measures the loss room, and LibTorch where it is there.
find_package(nlohmann_json REQUIRED)
set(ulmus_peers no_peers.cpp)
if(ULMUS_TORCH)
  set(ulmus_peers torch_peers.cpp)
endif()
ulmus_room(bench SOURCES bench.cpp ${ulmus_peers}
           PUBLIC ulmus::loss
           PRIVATE fmt::fmt nlohmann_json::nlohmann_json OpenMP::OpenMP_CXX $<$<BOOL:${ULMUS_TORCH}>:ulmus_libtorch>)
