#include "train/gallery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>

#include "train/run_data.hpp"
#include "ulmus/base/base64.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/data/thumbnail.hpp"

namespace ulmus::detail {
namespace {

constexpr int k_gallery_schema_version = 1;
constexpr int k_side = 96;  ///< of a thumbnail, in pixels
constexpr std::size_t k_samples_per_class = 3;
constexpr std::size_t k_rarest_shown = 16, k_most_frequent_shown = 8;  ///< of more classes than both together
constexpr std::size_t k_losses = 12;                                   ///< with mistakes of their own
constexpr std::size_t k_mistakes = 8, k_mistakes_per_class = 2, k_rescued = 12, k_pairs = 4, k_images_per_pair = 2;

/// The predictions of the model that was trained with a loss.
struct LossPredictions : Predictions {
  std::string loss;
};

/// Collects thumbnails, each image once.
class Thumbnails {
 public:
  /// The number of the image in the gallery.
  std::size_t add(const Dataset& data, std::int64_t index) {
    const auto [entry, is_new] = numbers_.try_emplace({&data, index}, images_.size());
    if (is_new) {
      std::vector<std::uint8_t> pixels(static_cast<std::size_t>(data.shape().pixels()));
      data.read(index, pixels);
      images_.push_back({{"class", data.labels()[static_cast<std::size_t>(index)]},
                         {"jpeg", base64(jpeg_thumbnail(pixels, data.shape(), k_side))}});
    }
    return entry->second;
  }

  Json take() { return std::move(images_); }

 private:
  std::map<std::pair<const Dataset*, std::int64_t>, std::size_t> numbers_;
  Json images_ = Json::array();
};

/// The classes from rare to frequent.
std::vector<std::int64_t> rarest_first(std::span<const std::int64_t> train_counts) {
  std::vector<std::int64_t> order(train_counts.size());
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::ranges::stable_sort(order, {}, [&](std::int64_t c) { return train_counts[static_cast<std::size_t>(c)]; });
  return order;
}

class Gallery {
 public:
  explicit Gallery(const Plan& plan)
      : plan_(plan),
        test_(test_part(plan.data.train, plan.data.test, plan.split)),
        order_(rarest_first(plan.split.train_counts)),
        rank_(order_.size()) {
    for (std::size_t i = 0; i < order_.size(); ++i) rank_[static_cast<std::size_t>(order_[i])] = i;
  }

  Json make(std::span<const LossPredictions> all) {
    Json losses = Json::array();
    const auto ce = std::ranges::find(all, "ce", &LossPredictions::loss);
    const LossPredictions& baseline = ce == all.end() ? all.front() : *ce;
    for (const LossPredictions& predictions : all.first(std::min(all.size(), k_losses)))
      losses.push_back({{"loss", predictions.loss},
                        {"mistakes", mistakes(predictions)},
                        {"rescued", &predictions == &baseline ? Json::array() : rescued(predictions, baseline)},
                        {"pairs", pairs(predictions)}});
    Json classes = class_samples();
    return {{"schema_version", k_gallery_schema_version},
            {"baseline", baseline.loss},
            {"classes", std::move(classes)},
            {"losses", std::move(losses)},
            {"images", thumbnails_.take()}};
  }

 private:
  std::int64_t true_class(std::size_t i) const {
    return test_.data.labels()[static_cast<std::size_t>(test_.indices[i])];
  }
  std::size_t rank(std::size_t i) const { return rank_[static_cast<std::size_t>(true_class(i))]; }

  Json entry(std::size_t i, std::int64_t predicted, double confidence) {
    return {
        {"image", thumbnails_.add(test_.data, test_.indices[i])}, {"predicted", predicted}, {"confidence", confidence}};
  }

  /// The positions in the test part for which `holds` is true, by ascending key.
  template <class Holds, class Key>
  std::vector<std::size_t> sorted(Holds holds, Key key) const {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < test_.indices.size(); ++i)
      if (holds(i)) found.push_back(i);
    std::ranges::stable_sort(found, {}, key);
    return found;
  }

  /// The first `most` positions, at most `per_class` of each class, with what is predicted for them.
  Json first_of_each_class(const std::vector<std::size_t>& positions, std::size_t most, std::size_t per_class,
                           const Predictions& shown) {
    Json chosen = Json::array();
    std::map<std::int64_t, std::size_t> of_class;
    for (const std::size_t i : positions)
      if (chosen.size() < most && of_class[true_class(i)]++ < per_class)
        chosen.push_back(entry(i, shown.classes[i], shown.confidence[i]));
    return chosen;
  }

  Json mistakes(const Predictions& p) {
    const std::size_t third = std::max<std::size_t>(1, order_.size() / 3);
    const std::size_t per_class = std::max(k_mistakes_per_class, k_mistakes / third);
    const auto found = sorted([&](std::size_t i) { return rank(i) < third && p.classes[i] != true_class(i); },
                              [&](std::size_t i) { return -p.confidence[i]; });
    return first_of_each_class(found, k_mistakes, per_class, p);
  }

  Json rescued(const Predictions& p, const Predictions& baseline) {
    const auto found =
        sorted([&](std::size_t i) { return p.classes[i] == true_class(i) && baseline.classes[i] != true_class(i); },
               [&](std::size_t i) { return std::pair(rank(i), -p.confidence[i]); });
    return first_of_each_class(found, k_rescued, k_mistakes_per_class, baseline);
  }

  Json pairs(const Predictions& p) {
    std::map<std::pair<std::int64_t, std::int64_t>, std::vector<std::size_t>> confused;
    for (std::size_t i = 0; i < test_.indices.size(); ++i)
      if (p.classes[i] != true_class(i)) confused[{true_class(i), p.classes[i]}].push_back(i);
    std::vector<const std::pair<const std::pair<std::int64_t, std::int64_t>, std::vector<std::size_t>>*> order;
    for (const auto& pair : confused) order.push_back(&pair);
    std::ranges::stable_sort(order, {}, [](const auto* pair) { return -std::ssize(pair->second); });
    Json chosen = Json::array();
    for (std::size_t n = 0; n < std::min(order.size(), k_pairs); ++n) {
      std::vector<std::size_t> examples = order[n]->second;
      std::ranges::stable_sort(examples, {}, [&](std::size_t i) { return -p.confidence[i]; });
      examples.resize(std::min(examples.size(), k_images_per_pair));
      Json images = Json::array();
      for (const std::size_t i : examples) images.push_back(entry(i, p.classes[i], p.confidence[i]));
      chosen.push_back({{"true", order[n]->first.first},
                        {"predicted", order[n]->first.second},
                        {"count", order[n]->second.size()},
                        {"images", std::move(images)}});
    }
    return chosen;
  }

  Json class_samples() {
    std::vector<std::int64_t> shown = order_;
    if (order_.size() > k_rarest_shown + k_most_frequent_shown)
      shown.erase(shown.begin() + k_rarest_shown, shown.end() - k_most_frequent_shown);
    std::map<std::int64_t, std::vector<std::int64_t>> samples;
    for (const std::int64_t index : plan_.split.train) {
      auto& of_class = samples[plan_.data.train.labels()[static_cast<std::size_t>(index)]];
      if (of_class.size() < k_samples_per_class) of_class.push_back(index);
    }
    Json classes = Json::array();
    for (const std::int64_t c : shown) {
      Json images = Json::array();
      for (const std::int64_t index : samples[c]) images.push_back(thumbnails_.add(plan_.data.train, index));
      classes.push_back({{"class", c}, {"images", std::move(images)}});
    }
    return classes;
  }

  const Plan& plan_;
  TestPart test_;
  std::vector<std::int64_t> order_;  ///< classes, rarest first
  std::vector<std::size_t> rank_;    ///< of each class in it
  Thumbnails thumbnails_;
};

/// Nothing if the result has no predictions, as those of Ulmus 0.1. Throws Error{data} for a damaged file and for
/// predictions of another number of images or classes.
std::optional<Predictions> read_predictions(const std::filesystem::path& path, std::size_t images,
                                            std::size_t classes) {
  const auto damaged = [&](const std::string& why) {
    return Error(ErrorKind::data,
                 fmt::format("'{}' is damaged: {}; remove it, and {} trains this model again", path.string(), why,
                             option_name("resume", path.parent_path().parent_path().string())));
  };
  try {
    const Json result = parse_json(read_file(path));
    const auto found = result.find("predictions");
    if (found == result.end()) return std::nullopt;
    Predictions predictions{.classes = found->at("classes").get<std::vector<std::int64_t>>(),
                            .confidence = found->at("confidence").get<std::vector<double>>()};
    if (predictions.classes.size() != images || predictions.confidence.size() != images ||
        !std::ranges::all_of(predictions.classes, [&](std::int64_t c) { return c >= 0 && std::cmp_less(c, classes); }))
      throw damaged(fmt::format("its predictions do not fit {} test images of {} classes", images, classes));
    return predictions;
  } catch (const Json::exception& error) {
    throw damaged(error.what());
  }
}

}  // namespace

void Predictions::add(const torch::Tensor& logits, double scale) {
  const auto [highest, predicted] = (logits * scale).softmax(1).max(1);
  const torch::Tensor rounded = (1000 * highest.to(torch::kDouble)).round() / 1000;
  classes.insert(classes.end(), predicted.data_ptr<std::int64_t>(),
                 predicted.data_ptr<std::int64_t>() + predicted.numel());
  confidence.insert(confidence.end(), rounded.data_ptr<double>(), rounded.data_ptr<double>() + rounded.numel());
}

bool has_gallery(const Plan& plan) {
  const Dataset& data = plan.data.train;
  return !plan.options.no_thumbnails && !data.is_features() && !plan.data.train_table &&
         (data.shape().channels == 1 || data.shape().channels == 3);
}

void write_gallery(const Plan& plan, const std::filesystem::path& folder, const std::vector<TrialPaths>& paths) {
  if (!has_gallery(plan)) return;
  const std::size_t images = test_part(plan.data.train, plan.data.test, plan.split).indices.size();
  std::vector<LossPredictions> all;
  for (std::size_t i = 0; i < plan.trials.size(); ++i) {
    if (plan.trials[i].seed != plan.options.seed) continue;
    if (auto predictions = read_predictions(paths[i].result, images, plan.data.train.class_names().size()))
      all.push_back({std::move(*predictions), plan.trials[i].loss.text()});
  }
  if (!all.empty()) write_file(folder / "gallery.json", Gallery(plan).make(all).dump() + "\n");
}

}  // namespace ulmus::detail
