// A run from C++: writes a small imbalanced table, trains a linear classifier on it and prints its balanced accuracy.
//
//     example_train FOLDER    writes into FOLDER and replaces the table and the run there
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "ulmus/base/error.hpp"
#include "ulmus/train/run.hpp"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("example_train: expected a folder; run example_train FOLDER\n", stderr);
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::remove_all(folder / "run");
  std::filesystem::create_directories(folder);
  std::ofstream table(folder / "table.csv");
  table << "x,y,label\n";
  for (int i = 0; i < 200; ++i) {
    const bool rare = i % 10 == 0;
    table << i % 7 + (rare ? 4 : 0) << ',' << i % 5 - (rare ? 3 : 0) << ',' << (rare ? "rare" : "frequent") << '\n';
  }
  table.close();

  try {
    ulmus::RunOptions options;
    options.data = "csv:" + (folder / "table.csv").string() + "?label=label";
    options.losses = ulmus::parse_losses("elm:lambda=0.5");
    options.model = "linear";
    options.epochs = 20;
    double balanced_accuracy = 0;
    const ulmus::Plan plan = ulmus::plan_run(options);
    ulmus::execute(plan, folder / "run", "train", {.progress = [&](const ulmus::Progress& progress) {
                     if (progress.epoch_done) balanced_accuracy = progress.balanced_accuracy;
                   }});
    std::printf("balanced accuracy of %s %.3f\n", plan.trials.front().loss.text().c_str(), balanced_accuracy);
  } catch (const ulmus::Error& error) {
    std::fprintf(stderr, "example_train: %s\n", error.what());
    return 1;
  }
}
