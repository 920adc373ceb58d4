#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <set>
#include <string>

#include "data/csv_rows.hpp"
#include "data/decode.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"

/// Runs the readers on public test suites: `script/suites` fetches them and sets ULMUS_SUITES.
namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

class Suites : public ::testing::Test {
 protected:
  /// The files of a folder of a suite with this ending, in order.
  static std::vector<fs::path> files(const char* folder, const char* ending) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(fs::path(std::getenv("ULMUS_SUITES")) / folder))
      if (entry.path().extension() == ending) found.push_back(entry.path());
    std::ranges::sort(found);
    return found;
  }

  void SetUp() override {
    if (!std::getenv("ULMUS_SUITES")) GTEST_SKIP() << "ULMUS_SUITES names no folder; run script/suites";
  }
};

bool parses(const std::string& text) {
  try {
    (void)parse_json(text);
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

TEST_F(Suites, JsonTestSuite) {
  // Valid by the standard, but names that are repeated within an object are refused here.
  const std::set<std::string> stricter = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"};
  std::map<char, int> accepted, refused;
  for (const fs::path& file : files("JSONTestSuite/test_parsing", ".json")) {
    const std::string name = file.filename().string();
    const bool valid = parses(read_file(file));
    ++(valid ? accepted : refused)[name[0]];
    if (name[0] != 'i') {  // of the others a parser decides
      EXPECT_EQ(valid, name[0] == 'y' && !stricter.contains(name)) << name;
    }
  }
  std::cout << "valid: " << accepted['y'] << " accepted, " << refused['y'] << " refused; invalid: " << refused['n']
            << " refused; undefined: " << accepted['i'] << " accepted, " << refused['i'] << " refused\n";
  EXPECT_GT(accepted['y'] + refused['n'], 250);
}

TEST_F(Suites, CsvSpectrum) {
  int tables = 0;
  for (const fs::path& file : files("csv-spectrum/csvs", ".csv")) {
    const nlohmann::json expected =
        nlohmann::json::parse(read_file(file.parent_path().parent_path() / "json" / (file.stem().string() + ".json")));
    const std::string text = read_file(file);
    RowReader reader(text, file, guess_delimiter(text), 1);
    ASSERT_TRUE(reader.next()) << file;
    const std::vector<std::string> header = reader.fields;
    for (const nlohmann::json& row : expected) {
      ASSERT_TRUE(reader.next()) << file;
      ASSERT_EQ(reader.fields.size(), row.size()) << file;
      for (std::size_t f = 0; f < header.size(); ++f) EXPECT_EQ(reader.fields[f], row.at(header[f])) << file;
    }
    EXPECT_FALSE(reader.next()) << file;
    ++tables;
  }
  std::cout << tables << " tables\n";
  EXPECT_GT(tables, 8);
}

TEST_F(Suites, PngSuite) {
  int decoded = 0, compared = 0, refused = 0;
  for (const fs::path& file : files("pngsuite/png", ".png")) {
    const std::string name = file.filename().string();
    if (name.starts_with("x")) {
      EXPECT_THROW((void)decode_image(read_file(file), {}), DecodeError) << name;
      ++refused;
      continue;
    }
    const DecodedImage image = decode_image(read_file(file), {});
    EXPECT_FALSE(image.pixels.empty()) << name;
    ++decoded;
    const fs::path bitmap = file.parent_path().parent_path() / "bmp" / (file.stem().string() + ".bmp");
    if (image.traits.transparent || image.traits.bits > 8 || !fs::exists(bitmap)) continue;
    cv::Mat expected = decode_image(read_file(bitmap), {}).pixels;
    if (expected.channels() != image.pixels.channels()) continue;
    EXPECT_EQ(cv::norm(image.pixels, expected, cv::NORM_INF), 0) << name;
    ++compared;
  }
  std::cout << decoded << " images decoded, " << compared << " of them equal to their bitmap; " << refused
            << " damaged ones refused\n";
  EXPECT_GT(compared, 50);
  EXPECT_GT(refused, 10);
}

}  // namespace
}  // namespace ulmus::detail
