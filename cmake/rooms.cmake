# The house, from the ground up: a room links only rooms below it.

# floor 0: no framework
ulmus_room(base SOURCES file.cpp log.cpp random.cpp text.cpp
           PRIVATE fmt::fmt spdlog::spdlog OpenSSL::Crypto)

find_package(OpenMP REQUIRED COMPONENTS CXX)
ulmus_room(loss SOURCES class_counts.cpp family.cpp loss.cpp spec.cpp
           PUBLIC ulmus::base PRIVATE fmt::fmt OpenMP::OpenMP_CXX)

# floor 2: images and metrics need no LibTorch
find_package(OpenCV REQUIRED COMPONENTS core imgcodecs imgproc)
find_package(ZLIB REQUIRED)
find_package(nlohmann_json REQUIRED)
ulmus_room(data SOURCES dataset.cpp folder.cpp idx.cpp imbalance.cpp loader.cpp split.cpp
           PUBLIC ulmus::base PRIVATE fmt::fmt nlohmann_json::nlohmann_json ZLIB::ZLIB Threads::Threads opencv_core
                  opencv_imgcodecs opencv_imgproc)
ulmus_room(eval SOURCES evaluation.cpp
           PUBLIC ulmus::loss nlohmann_json::nlohmann_json PRIVATE fmt::fmt)
