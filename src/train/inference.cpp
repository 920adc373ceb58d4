#include "train/inference.hpp"

#include <algorithm>

#include "ulmus/eval/evaluator.hpp"

namespace ulmus::detail {

torch::Tensor images_of(Batch& batch, const ImageShape& shape) {
  return torch::from_blob(batch.inputs.data(), {batch.size, shape.channels, shape.height, shape.width}, torch::kFloat);
}

void for_each_features(Classifier& model, const Dataset& data, const std::vector<std::int64_t>& indices,
                       const Normalisation& normalisation, int loader_threads, const Placement& placement,
                       const BatchVisitor& visit) {
  constexpr std::int64_t k_most_samples = 500;
  const torch::NoGradGuard no_gradient;
  model->eval();
  const ImageShape& shape = data.shape();
  const std::int64_t most = std::min(rows_at_once(shape.pixels()), rows_at_once(data.classes()));
  Loader loader(
      data, indices,
      {.batch_size = std::min(most, k_most_samples), .normalisation = normalisation, .threads = loader_threads});
  loader.start(0);
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
                          int loader_threads, const Placement& placement) {
  Evaluator evaluator(train_counts, {.scale = scale});
  for_each_logits(model, data, indices, normalisation, loader_threads, placement,
                  [&](const torch::Tensor& logits, std::span<const std::int64_t> labels) {
                    evaluator.add(view_of(logits), labels);
                  });
  return evaluator.finish();
}

std::int64_t rows_at_once(std::int64_t columns) {
  constexpr std::int64_t k_most_values = std::int64_t{1} << 24;
  return std::max<std::int64_t>(1, k_most_values / columns);
}

MatrixView<const float> view_of(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), tensor.size(0), tensor.size(1)};
}

}  // namespace ulmus::detail
