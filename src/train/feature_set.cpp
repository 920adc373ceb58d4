#include "train/feature_set.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "train/feature_shuffle.hpp"
#include "train/forward.hpp"

namespace ulmus::detail {
namespace {

/// Values of a batch. Several heads may be evaluated at a time, and their loaders read ahead.
constexpr std::int64_t k_most_values = std::int64_t{1} << 21;

/// Features [N, D] in a tensor.
class RowsOfTensor : public FeatureSource {
 public:
  explicit RowsOfTensor(torch::Tensor rows) : rows_(std::move(rows)) {}
  void read(std::int64_t index, std::span<float> values) const override {
    std::copy_n(rows_.data_ptr<float>() + index * rows_.size(1), values.size(), values.begin());
  }

 private:
  torch::Tensor rows_;
};

}  // namespace

void for_each_batch(const FeatureSet& set,
                    const std::function<void(const torch::Tensor&, std::span<const std::int64_t>)>& visit) {
  Loader loader(set.data, set.indices,
                {.batch_size = rows_at_once(std::max(set.width(), set.data.classes()), k_most_values),
                 .normalisation = set.normalisation,
                 .threads = 0});
  loader.start(0);
  for (Batch batch; loader.next(batch);)
    visit(torch::from_blob(batch.inputs.data(), {batch.size, set.width()}), batch.labels);
}

double mean_square(const FeatureSet& set) {
  double squares = 0;
  for_each_batch(set, [&](const torch::Tensor& x, std::span<const std::int64_t>) {
    squares += x.square().sum(torch::kDouble).item<double>();
  });
  return squares / static_cast<double>(set.indices.size());
}

FeatureSet extract_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                            const Normalisation& normalisation, int loader_threads, const Placement& placement) {
  torch::Tensor all;
  std::vector<std::int64_t> labels;
  for_each_features(model, data, indices, normalisation, loader_threads, placement,
                    [&](const torch::Tensor& features, std::span<const std::int64_t> of_batch) {
                      if (!all.defined()) {
                        require_memory(std::ssize(indices), features.size(1), "fitting heads");
                        all = torch::empty({std::ssize(indices), features.size(1)}, torch::kFloat);
                      }
                      all.narrow(0, std::ssize(labels), features.size(0)).copy_(features);
                      labels.insert(labels.end(), of_batch.begin(), of_batch.end());
                    });
  return feature_set_of(all, std::move(labels), data.class_names());
}

FeatureSet feature_set_of(const torch::Tensor& features, std::vector<std::int64_t> labels,
                          std::vector<std::string> class_names) {
  FeatureSet set{.data = Dataset({.name = "features",
                                  .class_names = std::move(class_names),
                                  .shape = {.channels = features.size(1), .height = 1, .width = 1},
                                  .labels = std::move(labels),
                                  .sha256 = "",
                                  .notes = {}},
                                 std::make_shared<RowsOfTensor>(features)),
                 .indices = {}};
  set.indices = all_indices(set.data);
  return set;
}

}  // namespace ulmus::detail
