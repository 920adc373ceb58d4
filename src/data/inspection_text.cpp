#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ulmus/base/json.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/inspection.hpp"

namespace ulmus {
namespace {

using Counts = std::vector<std::int64_t>;

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

std::string number_text(std::int64_t number, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", number, number == 1 ? one : many);
}

/// Indices of the counts in descending order; equal ones in label order.
std::vector<std::size_t> by_size(const Counts& counts) {
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t c) { return counts[c]; });
  return order;
}

/// The names of the first few of the given classes.
std::string names_text(const Inspection& inspection, const Counts& classes) {
  constexpr std::size_t k_named = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(classes.size(), k_named); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ", printable(inspection.class_names[at(classes[i])]));
  return classes.size() <= k_named ? text : fmt::format("{} and {} more", text, classes.size() - k_named);
}

void append_classes(std::string& text, const Inspection& inspection, bool all) {
  constexpr std::size_t k_shown_without_all = 20;
  const Counts& counts = inspection.train_counts;
  std::vector<std::size_t> shown(counts.size());
  std::iota(shown.begin(), shown.end(), std::size_t{0});
  const std::size_t left_out = all || counts.size() <= k_shown_without_all ? 0 : counts.size() - k_shown_without_all;
  if (left_out > 0) {
    shown = by_size(counts);
    shown.erase(shown.begin() + k_shown_without_all / 2, shown.end() - k_shown_without_all / 2);
  }
  std::size_t width = 0;
  const auto name = [&](std::size_t c) { return printable(inspection.class_names[c]); };
  for (const std::size_t c : shown) width = std::max(width, name(c).size());
  const std::int64_t largest = std::ranges::max(counts);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (left_out > 0 && i == k_shown_without_all / 2)
      text += fmt::format("  ... {} between them left out; {} shows them in label order\n",
                          number_text(static_cast<std::int64_t>(left_out), "class", "classes"), option_name("all"));
    const std::size_t c = shown[i];
    text += fmt::format("  {:<{}}  {:>7}  {}\n", name(c), width, counts[c],
                        std::string(at((40 * counts[c] + largest - 1) / largest), '#'));
  }
}

void append_duplicates(std::string& text, const Inspection& inspection) {
  const auto pair_of = [](const Duplicates& found) {
    const std::string labels =
        found.contradicting == 0 ? "" : fmt::format(", {} with another label", found.contradicting);
    return fmt::format("{}; first {} and {}\n", labels, found.pair[0], found.pair[1]);
  };
  if (!inspection.in_train) return;
  bool any = false;
  for (const auto& [found, part] :
       {std::pair(&inspection.in_train, "training"), std::pair(&inspection.in_test, "test")}) {
    if (!*found || (*found)->copies == 0) continue;
    any = true;
    text += fmt::format("duplicates: {} of an earlier one{}",
                        number_text((*found)->copies, fmt::format("{} sample is a copy", part),
                                    fmt::format("{} samples are copies", part)),
                        pair_of(**found));
  }
  if (inspection.leak && inspection.leak->copies > 0) {
    any = true;
    text += fmt::format("leak: {} in the training part, too{}",
                        number_text(inspection.leak->copies, "test sample is", "test samples are"),
                        pair_of(*inspection.leak));
  }
  if (!inspection.in_test && inspection.in_train->copies > 0)
    text += "  the data have no test part: a split may put one copy into training and another into test\n";
  if (!any) text += "no sample comes twice\n";
}

Json duplicates_json(const std::optional<Duplicates>& found) {
  if (!found) return nullptr;
  return {{"copies", found->copies}, {"contradicting", found->contradicting}, {"first_pair", found->pair}};
}

}  // namespace

std::string to_text(const Inspection& inspection, bool all) {
  const auto sum = [](const Counts& counts) { return std::accumulate(counts.begin(), counts.end(), std::int64_t{0}); };
  const std::string test = !inspection.test_counts ? "a part of these to test"
                                                   : fmt::format("{} to test{}", sum(*inspection.test_counts),
                                                                 inspection.held_out ? " held out of them" : "");
  std::string text = fmt::format("{}: {} {} in {} classes to train, {}\n", printable(inspection.data, k_long_text),
                                 sum(inspection.train_counts), inspection.samples, inspection.class_names.size(), test);
  text += fmt::format(
      "imbalance ratio {:.4g}, Gini coefficient {:.3f}; {} many-shot (over 100), {} medium-shot, {} few-shot (under "
      "20) classes\n",
      inspection.imbalance_ratio, inspection.gini, inspection.many_shot, inspection.medium_shot, inspection.few_shot);
  append_classes(text, inspection, all);
  if (!inspection.columns.empty()) text += "columns:\n" + to_text(inspection.columns, "  ", all);
  for (const std::string& note : inspection.notes) text += fmt::format("note: {}\n", note);
  append_duplicates(text, inspection);
  const auto append = [&](const Counts& classes, std::string_view one, std::string_view many) {
    if (!classes.empty())
      text += fmt::format("{}: {}\n", number_text(std::ssize(classes), one, many), names_text(inspection, classes));
  };
  append(inspection.single, "class has one training sample", "classes have one training sample");
  append(inspection.missing_in_test, "class has no test sample", "classes have no test sample");
  append(inspection.empty, "class is left without a training sample: no run can be made of it, lower the ratio",
         "classes are left without a training sample: no run can be made of it, lower the ratio");
  return text;
}

std::string to_json(const Inspection& inspection) {
  const auto names = [&](const Counts& classes) {
    Json list = Json::array();
    for (const std::int64_t c : classes) list.push_back(inspection.class_names[at(c)]);
    return list;
  };
  Json shape;
  if (inspection.shape) shape = {inspection.shape->channels, inspection.shape->height, inspection.shape->width};
  const Json all = {{"schema_version", 1},
                    {"data", inspection.data},
                    {"sha256", inspection.sha256},
                    {"class_names", inspection.class_names},
                    {"train_counts", inspection.train_counts},
                    {"test_counts", inspection.test_counts ? Json(*inspection.test_counts) : Json()},
                    {"held_out", inspection.held_out},
                    {"imbalance_ratio", inspection.imbalance_ratio},
                    {"gini", inspection.gini},
                    {"many_shot_classes", inspection.many_shot},
                    {"medium_shot_classes", inspection.medium_shot},
                    {"few_shot_classes", inspection.few_shot},
                    {"shape", shape},
                    {"columns", Json::parse(to_json(inspection.columns))},
                    {"skipped", inspection.skipped.total()},
                    {"skipped_by_reason", inspection.skipped.counts()},
                    {"skipped_files", inspection.skipped_files},
                    {"notes", inspection.notes},
                    {"empty_classes", names(inspection.empty)},
                    {"one_sample_classes", names(inspection.single)},
                    {"classes_missing_in_test", names(inspection.missing_in_test)},
                    {"duplicates_in_train", duplicates_json(inspection.in_train)},
                    {"duplicates_in_test", duplicates_json(inspection.in_test)},
                    {"leak", duplicates_json(inspection.leak)}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ulmus
