# Defines the target ulmus::libtorch: Debian's LibTorch, or that of a wheel if CMAKE_PREFIX_PATH names it
# (torch.utils.cmake_prefix_path). Both the build and the installed package include this file.

# The configuration of a wheel looks for its library by name, and would find Debian's if both are installed. Its root goes first.
foreach(path IN LISTS CMAKE_PREFIX_PATH)
  if(path MATCHES "/share/cmake/?$")
    cmake_path(GET path PARENT_PATH share)
    cmake_path(GET share PARENT_PATH root)
    list(PREPEND CMAKE_PREFIX_PATH ${root})
  endif()
endforeach()
find_package(Torch 1.13 REQUIRED)

# System headers, so that their warnings are not shown.
add_library(ulmus::libtorch INTERFACE IMPORTED GLOBAL)
target_include_directories(ulmus::libtorch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_link_libraries(ulmus::libtorch INTERFACE ${TORCH_LIBRARIES})

# Debian's LibTorch multiplies matrices with libblas.so.3, which is the reference implementation if OpenBLAS is not installed.
find_library(ULMUS_BLAS libblas.so.3)
mark_as_advanced(ULMUS_BLAS)
if(ULMUS_BLAS AND NOT CMAKE_PREFIX_PATH)
  file(REAL_PATH ${ULMUS_BLAS} blas)
  if(blas MATCHES "/blas/libblas\\.so")
    message(WARNING "LibTorch will multiply matrices with the reference BLAS (${blas}), ten times slower than OpenBLAS: "
                    "apt-get install libopenblas0-openmp")
  endif()
endif()

# A wheel contains the headers of its own version of fmt, without the library. Ours must be found first.
get_target_property(fmt_include fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
foreach(folder IN LISTS TORCH_INCLUDE_DIRS)
  if(EXISTS ${folder}/fmt AND NOT folder IN_LIST fmt_include)
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/generated/include)
    file(CREATE_LINK ${fmt_include}/fmt ${PROJECT_BINARY_DIR}/generated/include/fmt SYMBOLIC)
    target_include_directories(ulmus::libtorch BEFORE INTERFACE ${PROJECT_BINARY_DIR}/generated/include)
  endif()
endforeach()
