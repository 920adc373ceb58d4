/// Makes a long-tailed folder of JPEG files, for tests and timings with many images: `train/CLASS/NUMBER.jpg`,
/// `test/CLASS/NUMBER.jpg`, and the lists train.txt and test.txt of both. The same arguments give the same bytes.
///
///     generate_images DIR --classes 20 --largest 4000 --imbalance exp:100 --size 224x224
///     generate_images DIR --counts FILE --size 16x16

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>
#include <string>
#include <thread>
#include <vector>

#include "images.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/imbalance.hpp"

namespace {

namespace fs = std::filesystem;

struct Part {
  std::string name;
  std::vector<std::int64_t> counts;  ///< [C]
  std::uint64_t first;               ///< number of its first image, so that no image is in two parts
};

std::string class_name(std::size_t c) { return fmt::format("{:05}", c); }

void write_class(const fs::path& root, const Part& part, std::size_t c, cv::Size size) {
  const fs::path folder = root / part.name / class_name(c);
  ulmus::make_folder(folder);
  for (std::int64_t i = 0; i < part.counts[c]; ++i) {
    const cv::Mat image = ulmus::bench::made_up_image(size, c, part.first + static_cast<std::uint64_t>(i));
    const fs::path path = folder / fmt::format("{:05}.jpg", i);
    if (!cv::imwrite(path.string(), image, {cv::IMWRITE_JPEG_QUALITY, ulmus::bench::k_jpeg_quality}))
      throw ulmus::Error(ulmus::ErrorKind::environment, fmt::format("cannot write '{}'; free space", path.string()));
  }
}

void write_part(const fs::path& root, const Part& part, cv::Size size) {
  std::string list;
  for (std::size_t c = 0; c < part.counts.size(); ++c)
    for (std::int64_t i = 0; i < part.counts[c]; ++i)
      list += fmt::format("{}/{}/{:05}.jpg {}\n", part.name, class_name(c), i, c);
  std::atomic<std::size_t> next{0};
  {
    std::vector<std::jthread> workers;
    for (unsigned t = 0; t < std::max(1u, std::thread::hardware_concurrency()); ++t)
      workers.emplace_back([&] {
        for (std::size_t c = next++; c < part.counts.size(); c = next++) write_class(root, part, c, size);
      });
  }
  ulmus::write_file(root / (part.name + ".txt"), list);
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app("Makes a folder of JPEG files with a long tail.");
  std::string root, counts, imbalance = "exp:100", size = "224x224";
  std::int64_t classes = 20, largest = 1000, test = 0;
  app.add_option("DIR", root, "where the files go")->required();
  auto* from_file =
      app.add_option("--counts", counts, "file with the number of training images of each class, a line each");
  app.add_option("--classes", classes, "number of classes")->check(CLI::PositiveNumber)->excludes(from_file);
  app.add_option("--largest", largest, "images of the largest class")->check(CLI::PositiveNumber)->excludes(from_file);
  app.add_option("--imbalance", imbalance, "how the classes become smaller, as of `ulmus train`")->excludes(from_file);
  app.add_option("--test", test, "test images of each class")->check(CLI::NonNegativeNumber);
  app.add_option("--size", size, "WIDTHxHEIGHT in pixels");
  CLI11_PARSE(app, argc, argv);

  int width = 0, height = 0;
  if (std::sscanf(size.c_str(), "%dx%d", &width, &height) != 2 || width < 1 || height < 1)
    throw ulmus::Error(ulmus::ErrorKind::usage,
                       fmt::format("--size is '{}', expected WIDTHxHEIGHT, e.g. 224x224", size));
  std::vector<std::int64_t> of_classes;
  if (!counts.empty())
    for (const auto& line : ulmus::ImbalanceProfile::parse("counts:" + counts).given.lines)
      of_classes.push_back(ulmus::parse_integer(line.value, "a class count"));
  else
    of_classes = ulmus::imbalance_counts(ulmus::ImbalanceProfile::parse(imbalance),
                                         std::vector<std::int64_t>(static_cast<std::size_t>(classes), largest));
  constexpr std::uint64_t k_test_numbers = std::uint64_t{1} << 40;
  write_part(root, {"train", of_classes, 0}, {width, height});
  if (test > 0)
    write_part(root, {"test", std::vector<std::int64_t>(of_classes.size(), test), k_test_numbers}, {width, height});
} catch (const std::exception& error) {
  std::fprintf(stderr, "generate_images: %s\n", error.what());
  return 2;
}
