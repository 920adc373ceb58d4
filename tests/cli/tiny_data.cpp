#include "cli/tiny_data.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <stdexcept>

#include "ulmus/base/random.hpp"
#include "ulmus/base/safetensors.hpp"

namespace ulmus::cli_test {
namespace {

constexpr int k_classes = 10;
constexpr int k_side = 28;

/// Noise below 60 with a bright square whose position, on a grid of 4 x 3, is the class.
std::uint8_t pixel(Stream& noise, int label, int y, int x, int side) {
  const bool inside = y * 3 / side == label / 4 && x * 4 / side == label % 4;
  return static_cast<std::uint8_t>((inside ? 180 : 0) + static_cast<int>(noise.below(60)));
}

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

void write_part(const fs::path& folder, const std::string& part, int per_class) {
  const auto count = static_cast<std::uint32_t>(per_class * k_classes);
  std::string images = big_endian(0x803) + big_endian(count) + big_endian(k_side) + big_endian(k_side);
  std::string labels = big_endian(0x801) + big_endian(count);
  Stream noise(1, part);
  for (int i = 0; i < per_class * k_classes; ++i) {
    const int label = i % k_classes;
    labels += static_cast<char>(label);
    for (int y = 0; y < k_side; ++y)
      for (int x = 0; x < k_side; ++x) images += static_cast<char>(pixel(noise, label, y, x, k_side));
  }
  write_bytes(folder / (part + "-images-idx3-ubyte"), images);
  write_bytes(folder / (part + "-labels-idx1-ubyte"), labels);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

}  // namespace

void write_mnist(const fs::path& root, int train_per_class, int test_per_class) {
  write_part(root / "mnist", "train", train_per_class);
  write_part(root / "mnist", "t10k", test_per_class);
}

void write_image(const fs::path& path, int label, int number, int side, int channels) {
  Stream noise(2, "image", static_cast<std::uint64_t>(label), static_cast<std::uint64_t>(number));
  cv::Mat image(side, side, CV_8UC(channels));
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x)
      for (int c = 0; c < channels; ++c) image.ptr(y)[x * channels + c] = pixel(noise, label, y, x, side);
  fs::create_directories(path.parent_path());
  if (!cv::imwrite(path.string(), image)) throw std::runtime_error("cannot write " + path.string());
}

void write_image_folder(const fs::path& folder, const std::vector<std::string>& names, int per_class, int side) {
  for (std::size_t label = 0; label < names.size(); ++label)
    for (int i = 0; i < per_class; ++i)
      write_image(folder / names[label] / (std::to_string(i) + ".png"), static_cast<int>(label), i, side);
}

std::string read_bytes(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream) << path;
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write_bytes(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

nlohmann::json read_json(const fs::path& path) { return nlohmann::json::parse(read_bytes(path)); }

nlohmann::json without_times(nlohmann::json json) {
  if (json.is_object()) json.erase("seconds");
  if (json.is_structured())
    for (auto& value : json) value = without_times(std::move(value));
  return json;
}

nlohmann::json without_ranking(nlohmann::json evaluation) {
  for (const char* name : {"average_precision", "roc_auc"}) {
    evaluation.erase(name);
    for (auto& of_class : evaluation.at("classes")) of_class.erase(name);
  }
  return evaluation;
}

std::string tensors_of(const fs::path& path) {
  const std::string bytes = read_bytes(path);
  std::size_t header = 0;
  for (std::size_t i = 8; i-- > 0;) header = header << 8 | static_cast<unsigned char>(bytes.at(i));
  auto table = nlohmann::json::parse(bytes.substr(8, header));
  table.erase("__metadata__");
  return table.dump() + bytes.substr(8 + header);
}

std::map<std::string, std::string> weights_of(const fs::path& checkpoint) {
  const detail::SafetensorsFile file(checkpoint);
  std::map<std::string, std::string> tensors;
  for (const detail::StoredTensor& tensor : file.header().tensors) {
    if (tensor.name.starts_with("optimizer.")) continue;
    std::string& bytes = tensors[tensor.name];
    bytes.resize(tensor.size);
    file.read(tensor, bytes.data());
  }
  return tensors;
}

::testing::AssertionResult CliTest::complains(const Outcome& outcome, int code, const std::vector<std::string>& with) {
  const auto lines = outcome.error_lines();
  if (outcome.code != code) return ::testing::AssertionFailure() << "expected exit code " << code << "\n" << outcome;
  if (lines.size() != 1 || !lines[0].starts_with("ulmus: ") || !outcome.out.empty())
    return ::testing::AssertionFailure() << "expected one line beginning with 'ulmus: '\n" << outcome;
  for (const std::string& word : with)
    if (lines[0].find(word) == std::string::npos)
      return ::testing::AssertionFailure() << "expected to read '" << word << "'\n" << outcome;
  return ::testing::AssertionSuccess();
}

std::vector<std::string> CliTest::contents() const {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(place_.folder))
    found.push_back(fs::relative(entry.path(), place_.folder).string());
  std::ranges::sort(found);
  return found;
}

::testing::AssertionResult same_run(const fs::path& first, const fs::path& second) {
  for (const char* part : {"results", "checkpoints"}) {
    const auto names = names_in(first / part);
    if (names.empty()) return ::testing::AssertionFailure() << first / part << " is empty";
    if (names != names_in(second / part)) return ::testing::AssertionFailure() << part << " hold other files";
    for (const std::string& name : names) {
      const fs::path a = first / part / name;
      const fs::path b = second / part / name;
      const bool same = part == std::string("results") ? without_times(read_json(a)) == without_times(read_json(b))
                                                       : tensors_of(a) == tensors_of(b);
      if (!same) return ::testing::AssertionFailure() << a << " and " << b << " differ";
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace ulmus::cli_test
