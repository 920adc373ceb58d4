#include "ulmus/eval/predictions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>

#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

using nlohmann::ordered_json;

std::string number_text(double value) { return fmt::format("{:.6g}", value); }

/// Returns whether a spreadsheet would evaluate a field as a formula; a number is safe.
bool is_formula(std::string_view text) {
  if (text.empty() || std::string_view("=+-@\t\r").find(text[0]) == std::string_view::npos) return false;
  double value = 0;
  const char* const end = text.data() + text.size();
  const char* const begin = text.data() + (text[0] == '+' ? 1 : 0);
  return std::from_chars(begin, end, value).ptr != end;
}

/// The value rounded to the same six digits.
double rounded(double value) { return std::strtod(number_text(value).c_str(), nullptr); }

}  // namespace

PredictionWriter::Format PredictionWriter::parse_format(std::string_view name) {
  static const std::vector<std::string> names = {"csv", "jsonl"};
  const auto found = std::ranges::find(names, name);
  if (found == names.end())
    throw Error(ErrorKind::usage, fmt::format("unknown format '{}'; {}", printable(name), suggest(name, names)));
  return static_cast<Format>(found - names.begin());
}

PredictionWriter::Format PredictionWriter::format_of(const std::filesystem::path& file) {
  return file.extension() == ".jsonl" ? Format::jsonl : Format::csv;
}

PredictionWriter::PredictionWriter(Format format, std::vector<std::string> class_names, std::int64_t top)
    : format_(format), class_names_(std::move(class_names)), top_(top) {
  if (top < 0 || top > static_cast<std::int64_t>(class_names_.size()))
    throw Error(ErrorKind::usage, fmt::format("{} is {}, expected 1 to {}, the classes of the run", option_name("top"),
                                              top, class_names_.size()));
}

std::string PredictionWriter::header(std::span<const std::string> fields) const {
  if (format_ == Format::jsonl) return {};
  std::vector<std::string> names;
  for (const std::string& field : fields) names.push_back(csv_field(field));
  names.insert(names.end(), {"predicted", "probability"});
  if (top_ == 0)
    for (const std::string& name : class_names_) names.push_back(csv_field(fmt::format("p({})", name)));
  for (std::int64_t k = 1; k <= top_; ++k)
    names.insert(names.end(), {fmt::format("class_{}", k), fmt::format("p_{}", k)});
  return join(names, ",") + "\n";
}

std::string PredictionWriter::line(std::span<const Field> fields, std::span<const double> probabilities) const {
  return line(fields, probabilities, std::ranges::max_element(probabilities) - probabilities.begin());
}

std::string PredictionWriter::line(std::span<const Field> fields, std::span<const double> probabilities,
                                   std::int64_t predicted_class) const {
  std::vector<std::size_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto wanted = order.begin() + top_;
  std::partial_sort(order.begin(), wanted, order.end(), [&](std::size_t a, std::size_t b) {
    return probabilities[a] > probabilities[b] || (probabilities[a] == probabilities[b] && a < b);
  });
  const std::span first = std::span(order).first(static_cast<std::size_t>(top_));
  const auto chosen = static_cast<std::size_t>(predicted_class);
  const std::string& predicted = class_names_[chosen];

  if (format_ == Format::csv) {
    std::string text;
    for (const Field& field : fields) text += csv_field(field.value) + ",";
    text += csv_field(predicted) + "," + number_text(probabilities[chosen]);
    if (top_ == 0)
      for (const double p : probabilities) text += "," + number_text(p);
    for (const std::size_t j : first) text += "," + csv_field(class_names_[j]) + "," + number_text(probabilities[j]);
    return text + "\n";
  }
  ordered_json object;
  for (const Field& field : fields)
    object[field.name] =
        field.is_number ? ordered_json(parse_integer(field.value, field.name)) : ordered_json(field.value);
  object["predicted"] = predicted;
  object["probability"] = rounded(probabilities[chosen]);
  if (top_ == 0) {
    auto& all = object["probabilities"] = ordered_json::object();
    for (std::size_t j = 0; j < probabilities.size(); ++j) all[class_names_[j]] = rounded(probabilities[j]);
  } else {
    auto& all = object["top"] = ordered_json::array();
    for (const std::size_t j : first)
      all.push_back({{"class", class_names_[j]}, {"probability", rounded(probabilities[j])}});
  }
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string csv_field(std::string_view text) {
  std::string safe;
  if (is_formula(text)) text = safe = fmt::format("'{}", text);
  const bool plain =
      text.find_first_of(",\"\r\n") == std::string_view::npos && !text.starts_with(' ') && !text.ends_with(' ');
  if (plain) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace ulmus
