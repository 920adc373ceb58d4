# The house, from the ground up: a room links only rooms below it.

# floor 0: no framework
ulmus_room(base SOURCES file.cpp log.cpp random.cpp text.cpp
           PRIVATE fmt::fmt spdlog::spdlog OpenSSL::Crypto)

find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(hwy REQUIRED CONFIG)
ulmus_room(loss SOURCES class_counts.cpp family.cpp loss.cpp row_kernel.cpp spec.cpp
           PUBLIC ulmus::base PRIVATE fmt::fmt OpenMP::OpenMP_CXX hwy::hwy)
