#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "cli/commands.hpp"
#include "cli/options.hpp"
#include "cli/streams.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/data/inspection.hpp"
#include "ulmus/report/class_counts_chart.hpp"
#include "ulmus/train/proposal.hpp"

namespace ulmus::cli {

void add_inspect_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "inspect",
      "show the classes of a data set, how imbalanced they are, what is wrong with it and a run to begin with");
  struct Request {
    std::string data, imbalance = "none";
    std::optional<std::string> data_root, picture;
    std::optional<std::int64_t> image_size, image_bits;
    std::int64_t max_pixels = k_max_pixels;
    bool quick = false, all = false, as_json = false;
  };
  const auto request = std::make_shared<Request>();
  command
      ->add_option("--data", request->data,
                   "data set: fashion-mnist, mnist, cifar10, cifar100, folder:DIR, list:FILE, csv:FILE?label=COLUMN or "
                   "npy:FEATURES,LABELS")
      ->required();
  command->add_option("--data-root", request->data_root, "where named data sets lie");
  command
      ->add_option("--imbalance", request->imbalance,
                   "show it made long-tailed: exp:RATIO, step:RATIO, pareto:ALPHA, counts:FILE or none")
      ->capture_default_str();
  add_count(*command, "--image-size", request->image_size,
            "resize image files to squares of this side; default: leave them");
  add_count(*command, "--image-bits", request->image_bits,
            "bits in use in images of 16 bits a sample, 8 to 16; default: as many as the data use");
  add_number(*command, "--max-pixels", request->max_pixels, "refuse image files that declare more pixels than this")
      ->default_str(fmt::format("{}", k_max_pixels));
  command->add_option("--picture", request->picture, "write a bar chart of the classes, an SVG file");
  command->add_flag("--quick", request->quick, "count only: read no sample and search for no duplicates");
  command->add_flag("--all", request->all, "show every class, not only the ten largest and ten smallest");
  command->add_flag("--json", request->as_json, "print as JSON");
  command->footer("Example:\n  ulmus inspect --data folder:photos --picture classes.svg");
  command->allow_extras();
  command->callback([=] {
    reject_extras(*command);
    if (request->picture && request->picture->empty())
      throw Error(ErrorKind::usage, "--picture is empty, expected a file, for example --picture classes.svg");
    const OpenOptions open{.data_root = request->data_root.value_or(""),
                           .image_size = request->image_size,
                           .max_pixels = request->max_pixels,
                           .image_bits = static_cast<int>(std::min<std::int64_t>(request->image_bits.value_or(0), 17))};
    const Inspection inspection =
        inspect(request->data, open, {.imbalance = request->imbalance, .quick = request->quick});
    if (request->picture)
      write_file(
          *request->picture,
          to_svg({.data = inspection.data, .class_names = inspection.class_names, .counts = inspection.train_counts}));
    const std::optional<Proposal> proposal = propose_run(inspection, open, request->imbalance);
    if (request->as_json) return print(to_json(inspection, proposal));
    print(to_text(inspection, request->all) + (proposal ? "\n" + to_text(*proposal) : ""));
  });
}

}  // namespace ulmus::cli
