# The modules, from the lowest layer to the highest. A module links only modules below it (docs/architecture.md).

# Layer 0: no framework.
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET GLOBAL libutf8proc)
ulmus_module(base COMPONENT loss
           SOURCES base64.cpp class_values.cpp digest.cpp error.cpp file.cpp folder_lock.cpp input_file.cpp json.cpp log.cpp machine.cpp names.cpp
                   option_name.cpp posix.cpp random.cpp safetensors.cpp text.cpp text_file.cpp unicode.cpp
           PRIVATE fmt::fmt spdlog::spdlog OpenSSL::Crypto nlohmann_json::nlohmann_json PkgConfig::UTF8PROC)

find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(hwy REQUIRED CONFIG)
# Each loss is a file in losses/, so a new one needs no entry here.
file(GLOB losses RELATIVE ${PROJECT_SOURCE_DIR}/src/loss CONFIGURE_DEPENDS src/loss/losses/*.cpp)
ulmus_module(loss COMPONENT loss
             SOURCES batch_checks.cpp class_counts.cpp class_means.cpp definition.cpp describe.cpp evaluate.cpp
                     family.cpp graph_margins.cpp keys.cpp loss.cpp loss_state.cpp parallel.cpp reduction.cpp
                     row_kernel.cpp row_math.cpp row_statistics.cpp rules.cpp smoothing.cpp softmax_form.cpp spec.cpp true_logit.cpp
                     weighting.cpp ${losses}
             PUBLIC ulmus::base PRIVATE fmt::fmt nlohmann_json::nlohmann_json OpenMP::OpenMP_CXX hwy::hwy)
# The kernel includes itself for each instruction set.
set_source_files_properties(src/loss/row_kernel.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
# Highway's scalar target converts NaN to an integer, which is undefined in C++; the kernel returns NaN whatever it becomes.
set_source_files_properties(src/loss/row_kernel.cpp PROPERTIES
                            COMPILE_OPTIONS $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=float-cast-overflow>)
# Clang with its sanitizers compiles Highway's emulation of a vector for twice as long as the three other targets together
# (239 s, 83 s without). Its loads and stores are those of SSE4.
set(ulmus_last_target scalar)
if(NOT ULMUS_SCALAR_TARGET AND CMAKE_SYSTEM_PROCESSOR STREQUAL "x86_64")
  set(ulmus_last_target sse4)
  set_property(SOURCE src/loss/row_kernel.cpp APPEND PROPERTY COMPILE_OPTIONS -msse4.2 -maes -mpclmul)
  set_property(SOURCE src/loss/row_kernel.cpp PROPERTY COMPILE_DEFINITIONS ULMUS_NO_SCALAR_TARGET)
endif()

# The C interface, libulmus.so. It contains the module `loss` and exports only the functions of ulmus/c.h.
add_library(ulmus_c SHARED src/loss/c_api.cpp)
add_library(ulmus::c ALIAS ulmus_c)
target_link_libraries(ulmus_c PRIVATE ulmus::loss fmt::fmt)
target_include_directories(ulmus_c INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_options(ulmus_c PRIVATE LINKER:--exclude-libs,ALL)
set_target_properties(ulmus_c PROPERTIES OUTPUT_NAME ulmus VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
                      EXPORT_NAME c CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
ulmus_warnings(ulmus_c)

if(ULMUS_LOSS_ONLY)
  return()
endif()

# Layer 2: images and metrics need no LibTorch.
find_package(OpenCV REQUIRED COMPONENTS core imgproc)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(TIFF 4.5 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET GLOBAL libwebp libwebpdemux)
find_package(ZLIB REQUIRED)
ulmus_module(data COMPONENT train
           SOURCES address.cpp augment.cpp augment_spec.cpp block_shuffle.cpp cells.cpp cifar.cpp column_summary.cpp columns.cpp csv.cpp csv_rows.cpp
                   dataset.cpp dates.cpp decode.cpp decode_bitmap.cpp decode_jpeg.cpp decode_png.cpp decode_tiff.cpp
                   decode_webp.cpp duplicates.cpp encoding.cpp encoding_json.cpp folder.cpp gzip.cpp idx.cpp image_ops.cpp
                   image_stream.cpp image_walker.cpp images.cpp imbalance.cpp inspection.cpp inspection_text.cpp kind_counts.cpp
                   labels.cpp list.cpp loader.cpp mix.cpp named_rows.cpp npy.cpp npy_format.cpp npy_rows.cpp npy_shards.cpp npy_writer.cpp open_data.cpp policies.cpp sampler.cpp score_file.cpp search.cpp split.cpp
                   table.cpp thumbnail.cpp
           PUBLIC ulmus::base PRIVATE ulmus::loss fmt::fmt nlohmann_json::nlohmann_json JPEG::JPEG PNG::PNG TIFF::TIFF PkgConfig::WEBP
                  ZLIB::ZLIB Threads::Threads opencv_core opencv_imgproc)
ulmus_module(eval COMPONENT train
           SOURCES adjustment.cpp bootstrap.cpp costs.cpp evaluation.cpp posthoc.cpp predictions.cpp prior.cpp sample_metrics.cpp score_comparison.cpp
                   score_metrics.cpp scores.cpp temperature.cpp threshold_sums.cpp thresholds.cpp
           PUBLIC ulmus::loss nlohmann_json::nlohmann_json PRIVATE fmt::fmt)

# Boosted trees, which need no LibTorch. Without XGBoost the module is built all the same, and says so when trees are asked for.
set(ulmus_booster no_xgboost.cpp)
if(ULMUS_XGBOOST)
  include(cmake/xgboost.cmake)
  if(ulmus_xgboost_FOUND)
    set(ulmus_booster booster.cpp)
    set(ulmus_xgboost_target ulmus::xgboost)
  else()
    message(STATUS "XGBoost was not found, so the program has no boosted trees (libxgboost-dev)")
  endif()
endif()
ulmus_module(trees COMPONENT train
           SOURCES objective.cpp tree_options.cpp ${ulmus_booster}
           PUBLIC ulmus::loss PRIVATE fmt::fmt ${ulmus_xgboost_target})

# Layer 4: reads only run folders.
ulmus_module(report SOURCES adjustment.cpp adjustment_html.cpp charts.cpp class_counts_chart.cpp conclusion.cpp gallery.cpp html.cpp html_parts.cpp html_template.cpp model.cpp phrases.cpp run_folder.cpp summary.cpp svg_plot.cpp table.cpp tuning.cpp
           PUBLIC ulmus::eval PRIVATE fmt::fmt nlohmann_json::nlohmann_json)

# The HTML pages are compiled into the program, so it needs no files at run time.
set(report_source ${PROJECT_SOURCE_DIR}/src/report)
foreach(page IN ITEMS page tuning_page adjustment_page)
  set(report_page ${CMAKE_CURRENT_BINARY_DIR}/generated/report_${page}.cpp)
  add_custom_command(
    OUTPUT ${report_page}
    COMMAND ${CMAKE_COMMAND} -DNAME=k_${page} -DPAGE=${report_source}/${page}.html -DCSS=${report_source}/page.css
            -DTEMPLATE=${report_source}/page.cpp.in -DOUTPUT=${report_page} -P ${report_source}/embed.cmake
    DEPENDS ${report_source}/${page}.html ${report_source}/page.css ${report_source}/page.cpp.in ${report_source}/embed.cmake
    VERBATIM)
  target_sources(ulmus_report PRIVATE ${report_page})
endforeach()
target_include_directories(ulmus_report PRIVATE src/report)

if(ULMUS_TORCH)
  include(cmake/libtorch.cmake)
endif()

# The benchmarks are outside the layers. They measure the module `loss`, and LibTorch if it is available.
set(ulmus_peers no_peers.cpp)
if(ULMUS_TORCH)
  set(ulmus_peers torch_peers.cpp)
endif()
ulmus_module(bench SOURCES bench.cpp ${ulmus_peers}
             PUBLIC ulmus::loss
             PRIVATE fmt::fmt nlohmann_json::nlohmann_json OpenMP::OpenMP_CXX $<$<BOOL:${ULMUS_TORCH}>:ulmus::libtorch>)

if(ULMUS_TORCH)
  # A module that uses LibTorch. Its headers take a minute to precompile, so all such modules share the result of the first.
  function(ulmus_torch_module name)
    ulmus_module(${name} ${ARGN})
    if(name STREQUAL torch)
      target_precompile_headers(ulmus_torch PRIVATE <torch/torch.h>)
    else()
      target_precompile_headers(ulmus_${name} REUSE_FROM ulmus_torch)
    endif()
  endfunction()

  # Layers 1 to 3.
  ulmus_torch_module(torch COMPONENT train
                   SOURCES composed_loss.cpp margin_loss.cpp
                   PUBLIC ulmus::loss ulmus::libtorch PRIVATE fmt::fmt)
  ulmus_torch_module(nn COMPONENT train
                   SOURCES cifar_resnet.cpp conv3.cpp cosine_linear.cpp efficientnet_lite.cpp mlp.cpp model.cpp model_options.cpp script_facts.cpp torchscript.cpp torchvision_resnet.cpp
                              wide_resnet.cpp
                   PUBLIC ulmus::torch PRIVATE fmt::fmt nlohmann_json::nlohmann_json)
  find_package(tomlplusplus REQUIRED)
  ulmus_torch_module(train COMPONENT train
                   SOURCES address_space.cpp backbone_file.cpp checkpoint.cpp checkpoint_info.cpp checkpointed_model.cpp derived_options.cpp doctor.cpp evaluate.cpp export.cpp
                           feature_file.cpp feature_set.cpp feature_shuffle.cpp features.cpp forward.cpp frozen_features.cpp gallery.cpp head_candidates.cpp head_fit.cpp head_weights.cpp optimizer.cpp
                           optimizer_spec.cpp option_ranges.cpp options.cpp photo_weights.cpp placement.cpp plan.cpp predict.cpp pretrained.cpp proposal.cpp run.cpp run_data.cpp run_folder.cpp safetensors.cpp
                           schedule.cpp score_adjuster.cpp sharpness.cpp torch_threads.cpp torchscript.cpp trainer.cpp training_stage.cpp tree_classifier.cpp tree_plan.cpp tree_trainer.cpp
                           trial_paths.cpp trial_scheduler.cpp tune.cpp
                           tune_grid.cpp weight_average.cpp weights.cpp
                   PUBLIC ulmus::data ulmus::eval
                   PRIVATE ulmus::nn ulmus::trees fmt::fmt nlohmann_json::nlohmann_json tomlplusplus::tomlplusplus)

  # Layer 5.
  find_package(CLI11 REQUIRED)
  add_executable(ulmus src/cli/address_space.cpp src/cli/adjust_command.cpp src/cli/bench_command.cpp src/cli/commands.cpp src/cli/doctor_command.cpp src/cli/features_command.cpp
                       src/cli/inspect_command.cpp src/cli/losses_command.cpp src/cli/main.cpp src/cli/model_commands.cpp src/cli/options.cpp src/cli/plan_text.cpp
                       src/cli/progress.cpp src/cli/report_command.cpp src/cli/run_commands.cpp src/cli/signals.cpp src/cli/streams.cpp
                       src/cli/tune_command.cpp)
  target_precompile_headers(ulmus PRIVATE <CLI/CLI.hpp>)
  set_target_properties(ulmus PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  target_compile_options(ulmus PRIVATE $<$<CONFIG:Release>:-O1>)  # it parses and prints, and CLI11 takes long to optimise
  target_include_directories(ulmus PRIVATE src)
  target_link_libraries(ulmus PRIVATE ulmus::train ulmus::report ulmus::bench CLI11::CLI11 fmt::fmt spdlog::spdlog nlohmann_json::nlohmann_json)
  ulmus_warnings(ulmus)
endif()
