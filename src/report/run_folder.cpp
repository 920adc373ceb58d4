#include "ulmus/report/run_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "ulmus/base/base64.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

using Path = std::filesystem::path;

constexpr int k_split_schema_version = 1;

[[noreturn]] void throw_damaged(const Path& path, std::string_view reason) {
  throw Error(ErrorKind::data, fmt::format("'{}' is damaged: {}; restore the file or run again", path.string(),
                                           printable(reason, k_long_text)));
}

/// Reads a JSON file of a schema version and passes it to `use`; errors about missing or mistyped values name the file.
template <class Use>
auto with_json(const Path& path, int schema_version, Use use) {
  try {
    const Json json = parse_json(read_file(path));
    const Json version = json.at("schema_version");
    if (version != schema_version)
      throw Error(
          ErrorKind::data,
          fmt::format("'{}' has schema version {}, this program reads {}; use the release of Ulmus that wrote it",
                      path.string(), printable(version.dump()), schema_version));
    return use(json);
  } catch (const Json::exception& error) {
    throw_damaged(path, error.what());
  }
}

std::string first_comment(const Path& path) {
  if (!std::filesystem::exists(path)) return {};
  const std::string text = read_file(path);
  const std::string line = text.substr(0, text.find('\n'));
  return line.starts_with("# ") ? line.substr(2) : std::string();
}

std::optional<EpochScore> score(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return EpochScore{json.at("balanced_accuracy").get<double>(), json.at("top1").get<double>()};
}

EpochRecord epoch_record(const Json& json) {
  EpochRecord record;
  json.at("loss").get_to(record.loss);
  json.at("seed").get_to(record.seed);
  json.at("epoch").get_to(record.epoch);
  json.at("epochs").get_to(record.epochs);
  json.at("learning_rate").get_to(record.learning_rate);
  json.at("reweighted").get_to(record.reweighted);
  if (!json.at("train_loss").is_null()) record.train_loss = json.at("train_loss").get<double>();
  json.at("train_top1").get_to(record.train_top1);
  record.test = score(json.at("test"));
  record.validation = score(json.at("validation"));
  json.at("seconds").get_to(record.seconds);
  return record;
}

/// A line has a few hundred bytes; for a loss with many trials a few thousand.
constexpr std::size_t k_longest_line = 1 << 16;

/// The JSON object at the end of a line. A crash may leave the beginning of a line in front of the next one.
std::optional<Json> last_object(std::string_view line) {
  if (line.size() > k_longest_line) return std::nullopt;  // the loop below is quadratic in the length of the line
  for (std::size_t start = line.find('{'); start != std::string_view::npos; start = line.find('{', start + 1)) try {
      Json json = parse_json(line.substr(start));
      if (json.contains("loss")) return json;
    } catch (const Json::exception&) {
      continue;
    }
  return std::nullopt;
}

std::vector<EpochRecord> read_metrics(const Path& path) {
  if (!std::filesystem::exists(path)) return {};
  std::vector<std::string> losses;
  std::map<std::tuple<std::size_t, std::int64_t, std::int64_t>, EpochRecord> records;
  const std::vector<std::string> lines = split(read_file(path), '\n');
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const std::optional<Json> json = last_object(lines[i]);
    if (!json && i + 1 == lines.size()) continue;
    try {
      if (!json) throw_damaged(path, fmt::format("line {} is not a JSON object", i + 1));
      EpochRecord record = epoch_record(*json);
      const auto known = std::find(losses.begin(), losses.end(), record.loss);
      const auto order = static_cast<std::size_t>(known - losses.begin());
      if (known == losses.end()) losses.push_back(record.loss);
      records.insert_or_assign({order, record.seed, record.epoch}, std::move(record));
    } catch (const Json::exception& error) {
      throw_damaged(path, fmt::format("line {}, {}", i + 1, error.what()));
    }
  }
  std::vector<EpochRecord> result;
  for (auto& [key, record] : records) result.push_back(std::move(record));
  return result;
}

void read_split_facts(const Path& path, RunFolder& run) {
  with_json(path, k_split_schema_version, [&](const Json& json) {
    json.at("data").get_to(run.data);
    json.at("data_sha256").get_to(run.data_sha256);
    json.at("sha256").get_to(run.split_sha256);
    json.at("class_names").get_to(run.class_names);
    json.at("train_counts").get_to(run.train_counts);
    json.at("imbalance").get_to(run.imbalance);
    json.at("validation_per_class").get_to(run.validation_per_class);
  });
  if (run.class_names.size() != run.train_counts.size())
    throw_damaged(path, fmt::format("{} class names for {} counts", run.class_names.size(), run.train_counts.size()));
}

std::vector<RunColumn> read_columns(const Path& path) {
  if (!std::filesystem::exists(path)) return {};
  try {
    std::vector<RunColumn> columns;
    for (const Json& column : parse_json(read_file(path)))
      columns.push_back({.name = column.at("name"),
                         .kind = column.at("kind"),
                         .values = column.at("values"),
                         .treatment = column.at("treatment"),
                         .missing = column.at("missing")});
    return columns;
  } catch (const Json::exception& error) {
    throw_damaged(path, error.what());
  }
}

std::vector<std::string> read_notes(const Path& path) {
  if (!std::filesystem::exists(path)) return {};
  try {
    return parse_json(read_file(path)).get<std::vector<std::string>>();
  } catch (const Json::exception& error) {
    throw_damaged(path, error.what());
  }
}

bool within(const SparseCounts& tally, std::size_t size) {
  return tally.empty() || (tally.begin()->first >= 0 && tally.rbegin()->first < static_cast<std::int64_t>(size));
}

/// The report indexes by class and adds histograms, so shapes are validated once, here.
void check_shapes(const Evaluation& evaluation, std::size_t classes, const Path& path) {
  bool fits = evaluation.confusion.size() == classes && evaluation.classes.size() == classes &&
              evaluation.margin_edges.size() >= 2 && evaluation.worst_class_index >= 0 &&
              evaluation.worst_class_index < static_cast<std::int64_t>(classes);
  for (const SparseCounts& of_class : evaluation.confusion) fits = fits && within(of_class, classes);
  for (const ClassResult& result : evaluation.classes)
    fits = fits && within(result.margin.histogram, evaluation.margin_edges.size() - 1);
  if (!fits) throw_damaged(path, fmt::format("it does not fit the {} classes of split.json", classes));
}

Gallery read_gallery(const Path& path, std::size_t classes) {
  constexpr int k_gallery_schema_version = 1;
  return with_json(path, k_gallery_schema_version, [&](const Json& json) {
    Gallery gallery;
    for (const Json& image : json.at("images"))
      gallery.images.push_back({.true_class = image.at("class"), .jpeg = image.at("jpeg")});
    bool fits = true;
    const auto class_of = [&](const Json& value) {
      const auto c = value.get<std::int64_t>();
      fits = fits && c >= 0 && c < static_cast<std::int64_t>(classes);
      return c;
    };
    const auto image_of = [&](const Json& value) {
      const auto i = value.get<std::size_t>();
      fits = fits && i < gallery.images.size();
      return i;
    };
    const auto mistakes_of = [&](const Json& values) {
      std::vector<Gallery::Mistake> mistakes;
      for (const Json& value : values)
        mistakes.push_back({.image = image_of(value.at("image")),
                            .predicted = class_of(value.at("predicted")),
                            .confidence = value.at("confidence")});
      return mistakes;
    };
    for (const Json& image : json.at("images")) class_of(image.at("class"));
    for (const Gallery::Image& image : gallery.images) fits = fits && is_base64(image.jpeg);
    json.at("baseline").get_to(gallery.baseline);
    for (const Json& samples : json.at("classes")) {
      Gallery::ClassSamples of_class{.of_class = class_of(samples.at("class"))};
      for (const Json& image : samples.at("images")) of_class.images.push_back(image_of(image));
      gallery.classes.push_back(std::move(of_class));
    }
    for (const Json& loss : json.at("losses")) {
      Gallery::LossImages images{.loss = loss.at("loss"),
                                 .mistakes = mistakes_of(loss.at("mistakes")),
                                 .rescued = mistakes_of(loss.at("rescued"))};
      for (const Json& pair : loss.at("pairs"))
        images.pairs.push_back({.true_class = class_of(pair.at("true")),
                                .predicted = class_of(pair.at("predicted")),
                                .count = pair.at("count"),
                                .images = mistakes_of(pair.at("images"))});
      gallery.losses.push_back(std::move(images));
    }
    if (!fits)
      throw_damaged(
          path, fmt::format("it names images that it lacks, or does not fit the {} classes of split.json", classes));
    return gallery;
  });
}

TrialResult read_result(const Path& path, std::size_t classes) {
  return with_json(path, k_result_schema_version, [&](const Json& json) {
    TrialResult result;
    json.at("order").get_to(result.order);
    json.at("loss").get_to(result.loss);
    json.at("loss_full").get_to(result.loss_full);
    json.at("seed").get_to(result.seed);
    json.at("epochs").get_to(result.epochs);
    json.at("model").get_to(result.model);
    json.at("head").get_to(result.head);
    json.at("scale").get_to(result.scale);
    json.at("parameters").get_to(result.parameters);
    json.at("seconds").get_to(result.seconds);
    json.at("train").get_to(result.train);
    json.at("test").get_to(result.test);
    if (!json.at("validation").is_null()) result.validation = json.at("validation").get<Evaluation>();
    if (const Json selection = json.value("selection", Json()); !selection.is_null())
      result.selection =
          Selection{selection.at("chosen").get<std::string>(), selection.at("candidates").get<std::int64_t>()};
    if (const Json importance = json.value("importance", Json()); !importance.is_null()) {
      result.importance = {.columns = importance.at("columns"), .gain = importance.at("gain")};
      if (result.importance->columns.size() != result.importance->gain.size())
        throw_damaged(path, fmt::format("it has the gain of {} columns of {}", result.importance->gain.size(),
                                        result.importance->columns.size()));
    }
    check_shapes(result.train, classes, path);
    check_shapes(result.test, classes, path);
    if (result.validation) check_shapes(*result.validation, classes, path);
    return result;
  });
}

}  // namespace

RunFolder read_run(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder))
    throw Error(ErrorKind::data,
                fmt::format("run folder '{}' does not exist; give the folder that a run wrote", folder.string()));
  if (!std::filesystem::exists(folder / "split.json"))
    throw Error(ErrorKind::data, fmt::format("'{}' is not a run folder, it has no split.json; give the folder that a "
                                             "run wrote",
                                             folder.string()));
  RunFolder run;
  run.path = folder;
  run.command = first_comment(folder / "config.toml");
  read_split_facts(folder / "split.json", run);
  run.columns = read_columns(folder / "columns.json");
  run.notes = read_notes(folder / "notes.json");
  run.epochs = read_metrics(folder / "metrics.jsonl");
  if (std::filesystem::exists(folder / "gallery.json"))
    run.gallery = read_gallery(folder / "gallery.json", run.class_names.size());
  if (std::filesystem::is_directory(folder / "results"))
    for (const auto& entry : std::filesystem::directory_iterator(folder / "results"))
      if (entry.path().extension() == ".json") run.results.push_back(read_result(entry.path(), run.class_names.size()));
  if (run.results.empty())
    throw Error(ErrorKind::data, fmt::format("run folder '{}' has no results yet; wait for its first member to finish, "
                                             "or resume the run",
                                             folder.string()));
  std::sort(run.results.begin(), run.results.end(), [](const TrialResult& a, const TrialResult& b) {
    return std::tie(a.order, a.loss, a.seed) < std::tie(b.order, b.loss, b.seed);
  });
  return run;
}

}  // namespace ulmus
