#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/progress.hpp"
#include "cli/result.hpp"
#include "cli/signals.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/train/features.hpp"

namespace ulmus::cli {

void add_features_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "features", "write the features that a pretrained backbone computes for images, as NumPy arrays");
  struct Request {
    RunOptions options;
    std::optional<std::string> out;
    bool half = false, as_json = false, quiet = false;
  };
  const auto request = std::make_shared<Request>();
  constexpr std::array<std::string_view, 13> k_options = {
      "data",    "data-root", "image-size",     "image-bits", "max-pixels",    "skip-bad", "model",
      "weights", "device",    "loader-threads", "autocast",   "channels-last", "threads"};
  add_run_options(*command, request->options, k_options);
  command->get_option("--data")->required();
  command
      ->add_option("--out", request->out, "file for the features; labels, class names and the test part go beside it")
      ->required();
  command->add_flag("--half", request->half, "float16 instead of float32: half the size, three digits");
  command->add_flag("--json", request->as_json, "print what was written as JSON");
  command->add_flag("--quiet", request->quiet, "no progress");
  command->footer(
      "Example:\n  script/weights efficientnet-lite0\n  ulmus features --data folder:photos --out photos.npy\n  ulmus "
      "compare --data 'npy:photos.npy,photos-labels.npy?classes=photos-classes.txt' --model linear");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    RunOptions& options = request->options;
    constexpr std::string_view k_script = "torchscript:";
    if (options.model.starts_with(k_script)) options.model_file = options.model.substr(k_script.size());
    ProgressPrinter progress(request->quiet);
    const GracefulStop graceful("interrupted; give the same command again to go on");
    const FeatureFiles files = write_features(
        options, {.out = *request->out, .half = request->half, .progress = std::ref(progress), .stop = stop_requested});
    if (request->as_json) {
      Json written = Json::array();
      for (const auto& file : files.written) written.push_back(file.string());
      print(Json{{"schema_version", k_result_schema_version},
                 {"address", files.address},
                 {"model", files.model},
                 {"width", files.width},
                 {"train", files.train},
                 {"test", files.test},
                 {"written", written}}
                .dump(2) +
            "\n");
      return;
    }
    print(fmt::format("{} features of {} for {} images to train and {} to test; use them with\n  --data {}\n",
                      files.width, files.model, files.train, files.test, shell_quoted(files.address)));
  });
}

}  // namespace ulmus::cli
