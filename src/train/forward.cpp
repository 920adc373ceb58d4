#include "train/forward.hpp"

#include <algorithm>
#include <numeric>

#include "ulmus/eval/evaluator.hpp"

namespace ulmus::detail {

torch::Tensor images_of(Batch& batch, const ImageShape& shape) {
  return torch::from_blob(batch.inputs.data(), {batch.size, shape.channels, shape.height, shape.width}, torch::kFloat);
}

void for_each_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                       const Normalisation& normalisation, int loader_threads, const Placement& placement,
                       const BatchVisitor& visit, const ImageView& view) {
  constexpr std::int64_t k_most_samples = 500, k_most_pixels = std::int64_t{1} << 22;  // 27 images of 224x224
  const torch::NoGradGuard no_gradient;
  model->eval();
  const ImageShape& shape = data.shape();
  const std::int64_t most = std::clamp<std::int64_t>(k_most_pixels / shape.pixels(), 1, rows_at_once(data.classes()));
  Loader loader(data, indices,
                {.batch_size = std::min(most, k_most_samples),
                 .augmentation = view.augmentation,
                 .normalisation = normalisation,
                 .seed = view.seed,
                 .threads = loader_threads});
  loader.start(view.number);
  for (Batch batch; loader.next(batch);)
    visit(compute_features(model, images_of(batch, shape), placement),
          std::span(batch.labels).first(static_cast<std::size_t>(batch.size)));
}

void for_each_logits(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                     const Normalisation& normalisation, int loader_threads, const Placement& placement,
                     const BatchVisitor& visit) {
  for_each_features(model, data, indices, normalisation, loader_threads, placement,
                    [&](const torch::Tensor& features, std::span<const std::int64_t> labels) {
                      visit(model->classify(features).to(torch::kCPU, torch::kFloat).contiguous(), labels);
                    });
}

Evaluation evaluate_model(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                          const ClassCounts& train_counts, const Normalisation& normalisation, double scale,
                          int loader_threads, const Placement& placement, const BatchVisitor& visit) {
  Evaluator evaluator(train_counts, {.scale = scale});
  for_each_logits(model, data, indices, normalisation, loader_threads, placement,
                  [&](const torch::Tensor& logits, std::span<const std::int64_t> labels) {
                    evaluator.add(view_of(logits), labels);
                    if (visit) visit(logits, labels);
                  });
  return evaluator.finish();
}

std::vector<std::int64_t> all_indices(const Dataset& data) {
  std::vector<std::int64_t> indices(static_cast<std::size_t>(data.size()));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  return indices;
}

std::optional<std::int64_t> first_not_finite(const torch::Tensor& rows) {
  const torch::Tensor finite = torch::isfinite(rows).flatten(1).all(1);
  if (finite.all().item<bool>()) return std::nullopt;
  return finite.logical_not().to(torch::kInt64).argmax().item<std::int64_t>();
}

std::int64_t rows_at_once(std::int64_t columns, std::int64_t values) {
  return std::max<std::int64_t>(1, values / columns);
}

MatrixView<const float> view_of(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), tensor.size(0), tensor.size(1)};
}

}  // namespace ulmus::detail
