/// Compares the loader of docs/performance.md with OpenCV's decoding and resizing alone: a generated folder of JPEG
/// files, decoded again in every epoch, on the same number of threads. Contenders take turns; medians over the rounds.
/// The ratio of processor time excludes the effect of other programs on wall-clock time.
///
///     bench_loader [ROUNDS]

#include "ulmus/data/loader.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <numeric>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <string>
#include <thread>
#include <vector>

#include "images.hpp"

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t k_images = 512;
constexpr int k_side = 224;

std::vector<std::string> make_folder(const fs::path& folder, cv::Size size) {
  std::vector<std::string> files;
  for (std::uint64_t i = 0; i < k_images; ++i) {
    const fs::path path = folder / (i % 2 == 0 ? "even" : "odd") / (std::to_string(i) + ".jpg");
    fs::create_directories(path.parent_path());
    cv::imwrite(path.string(), ulmus::bench::made_up_image(size, i % 2, i),
                {cv::IMWRITE_JPEG_QUALITY, ulmus::bench::k_jpeg_quality});
    files.push_back(path.string());
  }
  return files;
}

/// Only the work that no loader can avoid: read, decode, resize.
void decode_all(const std::vector<std::string>& files, int threads) {
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> workers;
  for (int t = 0; t < threads; ++t)
    workers.emplace_back([&] {
      for (std::size_t i = next++; i < files.size(); i = next++) {
        std::ifstream stream(files[i], std::ios::binary);
        const std::vector<char> bytes((std::istreambuf_iterator<char>(stream)), {});
        cv::Mat image = cv::imdecode(bytes, cv::IMREAD_COLOR);
        if (image.rows == k_side) continue;
        const double scale = static_cast<double>(k_side) / image.rows;
        cv::resize(image, image, {static_cast<int>(std::lround(image.cols * scale)), k_side}, 0, 0, cv::INTER_AREA);
      }
    });
}

struct Seconds {
  double wall;
  double processor;  ///< of all threads
};

Seconds seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t clock = std::clock();
  work();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(),
          static_cast<double>(std::clock() - clock) / CLOCKS_PER_SEC};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void compare(const fs::path& folder, cv::Size size, const std::string& augmentation, int threads, int rounds) {
  const std::vector<std::string> files = make_folder(folder, size);
  std::uintmax_t bytes = 0;
  for (const std::string& file : files) bytes += fs::file_size(file);
  const ulmus::Dataset data =
      ulmus::open_data("folder:" + folder.string(), {.image_size = k_side, .memory_limit = 0}).train;
  std::vector<std::int64_t> indices(static_cast<std::size_t>(data.size()));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  ulmus::Loader loader(data, indices,
                       {.batch_size = 32,
                        .shuffle = true,
                        .augmentation = ulmus::Augmentation::parse(augmentation, data.shape()),
                        .normalisation = ulmus::channel_statistics(data, indices),
                        .threads = threads});
  ulmus::Batch batch;
  std::int64_t epoch = 0;
  const auto load_all = [&] {
    loader.start(epoch++);
    while (loader.next(batch)) {
    }
  };

  std::vector<double> decode, load, ratio, processor_ratio;
  for (int round = -1; round < rounds; ++round) {
    const Seconds of_decode = seconds([&] { decode_all(files, threads); });
    const Seconds of_load = seconds(load_all);
    if (round < 0) continue;  // the first round only warms the caches
    decode.push_back(k_images / of_decode.wall);
    load.push_back(k_images / of_load.wall);
    ratio.push_back(of_decode.wall / of_load.wall);
    processor_ratio.push_back(of_decode.processor / of_load.processor);
  }
  std::printf(
      "%3d x %-3d %5.1f KB  %-9s threads:%d  decode %5.0f images/s  loader %5.0f images/s  ratio %.3f  of "
      "processor time %.3f\n",
      size.width, size.height, static_cast<double>(bytes) / k_images / 1000, augmentation.c_str(), threads,
      median(decode), median(load), median(ratio), median(processor_ratio));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  if (rounds < 1) {
    std::fprintf(stderr, "bench_loader: '%s' rounds, expected 1 or more\n", argv[1]);
    return 2;
  }
  const fs::path folder = fs::temp_directory_path() / "ulmus-bench-loader";
  for (const cv::Size size : {cv::Size(224, 224), cv::Size(500, 375)})
    for (const char* augmentation : {"none", "crop+flip"})
      for (const int threads : {1, 2}) {
        fs::remove_all(folder);
        compare(folder, size, augmentation, threads, rounds);
      }
  fs::remove_all(folder);
}
