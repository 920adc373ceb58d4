#include "ulmus/nn/script_facts.hpp"

#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <string_view>
#include <tuple>

#include "ulmus/base/error.hpp"
#include "ulmus/base/json.hpp"

namespace ulmus {
namespace {

constexpr const char* k_record = "extra/ulmus.json";
constexpr std::int64_t k_largest_image = 4096;

/// The text of the record, if the file has one.
std::optional<std::string> read_record(const std::filesystem::path& path) {
  try {
    caffe2::serialize::PyTorchStreamReader reader(path.string());
    if (!reader.hasRecord(k_record)) return std::nullopt;
    const auto [data, size] = reader.getRecord(k_record);
    return std::string(static_cast<const char*>(data.get()), size);
  } catch (const std::exception&) {
    return std::nullopt;  // loading the module says what is wrong with the file
  }
}

bool fits(const ScriptFacts& facts) {
  const auto finite = [](float value) { return std::isfinite(value); };
  const auto positive = [](float value) { return std::isfinite(value) && value > 0; };
  return facts.image_size >= 1 && facts.image_size <= k_largest_image && !facts.mean.empty() &&
         facts.mean.size() == facts.stddev.size() && std::ranges::all_of(facts.mean, finite) &&
         std::ranges::all_of(facts.stddev, positive);
}

}  // namespace

std::optional<ScriptFacts> read_script_facts(const std::filesystem::path& path) {
  const std::optional<std::string> text = read_record(path);
  if (!text) return std::nullopt;
  ScriptFacts facts;
  try {
    const Json json = parse_json(*text);
    json.at("name").get_to(facts.name);
    json.at("image_size").get_to(facts.image_size);
    json.at("mean").get_to(facts.mean);
    json.at("stddev").get_to(facts.stddev);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::data, fmt::format("ulmus.json in '{}' is damaged ({}); write the file again with 'python -m "
                                             "ulmus.backbones'",
                                             path.string(), error.what()));
  }
  if (!fits(facts))
    throw Error(ErrorKind::data,
                fmt::format("ulmus.json in '{}' has an image size or a normalisation that is no such; write the file "
                            "again with 'python -m ulmus.backbones'",
                            path.string()));
  return facts;
}

}  // namespace ulmus
