#include "ulmus/data/split.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/imbalance.hpp"

namespace ulmus {
namespace {

constexpr int k_schema_version = 1;

using Counts = std::vector<std::int64_t>;

/// NumPy's legacy generator and its shuffle, as specified in the header.
class NumpyShuffle {
 public:
  explicit NumpyShuffle(std::uint64_t seed) : generator_(static_cast<std::uint32_t>(seed)) {}

  void operator()(Counts& values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[up_to(i - 1)]);
  }

 private:
  /// Uniform in [0, largest]; a class has fewer than 2^32 images.
  std::size_t up_to(std::size_t largest) {
    const std::size_t mask = std::bit_ceil(largest + 1) - 1;
    for (;;)
      if (const std::size_t value = generator_() & mask; value <= largest) return value;
  }

  std::mt19937 generator_;
};

void check_rng(const SplitOptions& options) {
  static const std::array<std::string, 2> k_rngs{"ulmus", "numpy"};
  if (std::ranges::find(k_rngs, options.rng) == k_rngs.end())
    throw Error(ErrorKind::usage,
                fmt::format("unknown {} '{}'; {}", option_name("rng"), options.rng, suggest(options.rng, k_rngs)));
  if (options.rng == "numpy" && options.seed > std::numeric_limits<std::uint32_t>::max())
    throw Error(ErrorKind::usage, fmt::format("split seed is {}, expected at most 4294967295 for {}", options.seed,
                                              option_name("rng", "numpy")));
}

std::int64_t test_count(std::int64_t images, double fraction) {
  const std::int64_t rounded = std::llround(fraction * static_cast<double>(images));
  return images < 2 ? 0 : std::clamp<std::int64_t>(rounded, 1, images - 1);
}

/// The largest integer ratio with which every class keeps at least `least` samples; 0 if there is none. The smallest
/// count never grows with the ratio, so bisection finds it.
std::int64_t largest_ratio(ImbalanceProfile profile, const Counts& available, std::int64_t least) {
  const auto works = [&](std::int64_t ratio) {
    profile.factor = 1 / static_cast<double>(ratio);
    return std::ranges::min(imbalance_counts(profile, available)) >= least;
  };
  if (!works(1)) return 0;
  std::int64_t good = 1;
  std::int64_t bad = 2;
  while (works(bad)) {
    good = bad;
    bad *= 2;
  }
  while (bad - good > 1) {
    const std::int64_t middle = good + (bad - good) / 2;
    (works(middle) ? good : bad) = middle;
  }
  return good;
}

/// Every class must keep a training sample in addition to its validation samples.
void check_counts(const Counts& kept, const Counts& available, const std::vector<std::string>& class_names,
                  const SplitOptions& options, const ImbalanceProfile& profile) {
  const auto smallest = std::ranges::min_element(kept);
  const auto c = static_cast<std::size_t>(std::distance(kept.begin(), smallest));
  if (*smallest < 1) {
    const std::string kind(options.imbalance.substr(0, options.imbalance.find(':')));
    const bool has_ratio =
        profile.kind == ImbalanceProfile::Kind::exponential || profile.kind == ImbalanceProfile::Kind::step;
    const std::int64_t ratio = has_ratio ? largest_ratio(profile, available, 1) : 0;
    throw Error(ErrorKind::usage,
                fmt::format("class '{}' is left with no training image: imbalance '{}' keeps {} of {}; {}",
                            class_names[c], options.imbalance, *smallest, available[c],
                            ratio > 0 ? fmt::format("the largest ratio that works is {}:{}", kind, ratio)
                                      : "add images to the class or remove it"));
  }
  if (*smallest <= options.validation_per_class)
    throw Error(ErrorKind::usage,
                fmt::format("class '{}' has {} training images after imbalance '{}', too few to hold out {} for "
                            "validation; hold out {} at most",
                            class_names[c], *smallest, options.imbalance, options.validation_per_class, *smallest - 1));
}

/// The manifest without its SHA-256; keys in alphabetical order.
Json manifest(const Split& split) {
  Json json = {{"schema_version", k_schema_version},
               {"data", split.data},
               {"data_sha256", split.data_sha256},
               {"test_sha256", split.test_sha256},
               {"imbalance", split.options.imbalance},
               {"seed", split.options.seed},
               {"validation_per_class", split.options.validation_per_class},
               {"test_fraction", split.options.test_fraction},
               {"class_names", split.class_names},
               {"train", split.train},
               {"validation", split.validation},
               {"test", split.test},
               {"train_counts", split.train_counts}};
  if (split.options.rng != SplitOptions{}.rng) json["rng"] = split.options.rng;
  return json;
}

std::string manifest_sha256(Json json) {
  json.erase("data");
  json.erase("sha256");
  return sha256(json.dump());
}

[[noreturn]] void throw_damaged(const std::filesystem::path& path, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("split manifest '{}' is damaged: {}; restore it or make the split again",
                                           path.string(), what));
}

}  // namespace

SplitCounts split_counts(const OpenedData& data, const SplitOptions& options) {
  if (!data.test && !(options.test_fraction > 0 && options.test_fraction < 1))
    throw Error(ErrorKind::usage,
                fmt::format("test_fraction is {}, expected a number between 0 and 1: the data have no test part",
                            format_number(options.test_fraction)));
  Counts available = data.train.counts();
  Counts held_out(available.size(), 0);
  for (std::size_t c = 0; c < available.size(); ++c) {
    if (!data.test) held_out[c] = test_count(available[c], options.test_fraction);
    available[c] -= held_out[c];
  }
  return {imbalance_counts(ImbalanceProfile::parse(options.imbalance), available, data.train.class_names()),
          std::move(held_out)};
}

Split make_split(const OpenedData& data, const SplitOptions& options) {
  const ImbalanceProfile profile = ImbalanceProfile::parse(options.imbalance);
  if (options.validation_per_class < 0)
    throw Error(ErrorKind::usage,
                fmt::format("validation_per_class is {}, expected 0 or more", options.validation_per_class));
  const auto [kept, held_out] = split_counts(data, options);
  check_rng(options);

  const Dataset& images = data.train;
  std::vector<std::vector<std::int64_t>> by_class(images.class_names().size());
  for (std::size_t i = 0; i < images.labels().size(); ++i)
    by_class[static_cast<std::size_t>(images.labels()[i])].push_back(static_cast<std::int64_t>(i));

  Counts available = images.counts();
  for (std::size_t c = 0; c < by_class.size(); ++c) available[c] -= held_out[c];
  check_counts(kept, available, images.class_names(), options, profile);

  Split split;
  split.data = images.name();
  split.data_sha256 = images.sha256();
  if (data.test) split.test_sha256 = data.test->sha256();
  split.options = options;
  split.class_names = images.class_names();
  NumpyShuffle numpy_shuffle(options.seed);
  for (std::size_t c = 0; c < by_class.size(); ++c) {
    std::vector<std::int64_t>& indices = by_class[c];
    if (options.rng == "numpy")
      numpy_shuffle(indices);
    else
      Stream(options.seed, "split", c).shuffle(std::span(indices));
    const auto train = indices.begin() + held_out[c];
    const auto validation = train + kept[c] - options.validation_per_class;
    split.test.insert(split.test.end(), indices.begin(), train);
    split.train.insert(split.train.end(), train, validation);
    split.validation.insert(split.validation.end(), validation, train + kept[c]);
    split.train_counts.push_back(kept[c] - options.validation_per_class);
  }
  for (auto* part : {&split.train, &split.validation, &split.test}) std::ranges::sort(*part);
  split.sha256 = manifest_sha256(manifest(split));
  return split;
}

std::string to_json(const Split& split) {
  Json json = manifest(split);
  json["sha256"] = split.sha256;
  std::string text = "{\n";
  for (const char* key :
       {"schema_version", "data", "data_sha256", "test_sha256", "imbalance", "seed", "rng", "validation_per_class",
        "test_fraction", "class_names", "train_counts", "train", "validation", "test", "sha256"}) {
    if (!json.contains(key)) continue;
    // An address may contain a path that is not UTF-8; no decision depends on it.
    text += fmt::format("  \"{}\": {}{}\n", key, json[key].dump(-1, ' ', false, Json::error_handler_t::replace),
                        std::string_view(key) == "sha256" ? "" : ",");
  }
  return text + "}\n";
}

Split read_split(const std::filesystem::path& path) {
  const Json json = [&]() -> Json {
    try {
      return parse_json(read_file(path));
    } catch (const Json::exception& error) {
      throw_damaged(path, fmt::format("it is not the JSON of a split ({})", error.what()));
    }
  }();
  if (!json.is_object() || !json.contains("schema_version")) throw_damaged(path, "it is not the JSON of a split");
  if (json["schema_version"] != k_schema_version)
    throw Error(ErrorKind::data, fmt::format("split manifest '{}' has schema version {}, this program reads {}; use "
                                             "the program that wrote it",
                                             path.string(), json["schema_version"].dump(), k_schema_version));
  try {
    Split split;
    split.data = json.at("data");
    split.data_sha256 = json.at("data_sha256");
    split.test_sha256 = json.at("test_sha256");
    split.options.imbalance = json.at("imbalance");
    split.options.seed = json.at("seed");
    split.options.rng = json.value("rng", SplitOptions{}.rng);
    split.options.validation_per_class = json.at("validation_per_class");
    split.options.test_fraction = json.at("test_fraction");
    split.class_names = json.at("class_names").get<std::vector<std::string>>();
    split.train = json.at("train").get<Counts>();
    split.validation = json.at("validation").get<Counts>();
    split.test = json.at("test").get<Counts>();
    split.train_counts = json.at("train_counts").get<Counts>();
    split.sha256 = json.at("sha256");
    if (const std::string came = manifest_sha256(json); came != split.sha256)
      throw_damaged(path, fmt::format("its content has SHA-256 {}, recorded is {}", came, split.sha256));
    return split;
  } catch (const Json::exception& error) {
    throw_damaged(path, error.what());
  }
}

}  // namespace ulmus
