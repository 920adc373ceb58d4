#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "train/trained.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/data/image_stream.hpp"

namespace ulmus {

PredictResult predict_run(const std::filesystem::path& folder, const RunOptions& run_options,
                          const PredictOptions& options, const PredictHooks& hooks) {
  if (options.threads < 0 || options.threads > 256)
    throw Error(ErrorKind::usage,
                fmt::format("--threads is {}, expected 1 to 256, or 0 for all cores", options.threads));
  const Split split = read_split(folder / "split.json");
  const detail::TrainedMember member = detail::choose_member(folder, options.loss, options.seed);
  const ModelOptions& shape = member.info.model;
  const PredictionWriter writer(options.format, member.info.class_names, options.top);
  const int threads =
      options.threads > 0 ? options.threads : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  at::set_num_threads(threads);

  ImageStreamOptions reading{.shape = {shape.channels, shape.height, shape.width},
                             .normalisation = member.info.normalisation,
                             .threads = threads};
  if (run_options.image_size > 0) reading.image_size = run_options.image_size;
  ImageStream images(options.paths, std::move(reading));
  Classifier model = member.load();
  const Scores scores =
      detail::Adjuster(folder, run_options, options.adjustment, split, member.info.encoding).read(member, model).scores;

  PredictResult result{.loss = member.label(), .seed = member.info.seed};
  const torch::NoGradGuard no_gradient;
  std::vector<double> p(member.info.class_names.size());
  hooks.write(writer.header(std::vector<std::string>{"path"}));
  for (ImageBatch batch; images.next(batch);) {
    if (hooks.stop && hooks.stop())
      throw Error(ErrorKind::interrupted, fmt::format("interrupted after {} images", result.predicted));
    result.failed += static_cast<std::int64_t>(batch.failures.size());
    if (hooks.failed)
      for (const std::string& failure : batch.failures) hooks.failed(failure);
    if (batch.paths.empty()) continue;
    const auto size = static_cast<std::int64_t>(batch.paths.size());
    const auto pixels = torch::from_blob(batch.pixels.data(), {size, shape.channels, shape.height, shape.width});
    const torch::Tensor logits = model->forward(pixels).contiguous();
    std::string lines;
    for (std::int64_t i = 0; i < size; ++i) {
      scores.probabilities({logits.data_ptr<float>() + i * logits.size(1), p.size()}, p);
      const std::vector<PredictionWriter::Field> fields = {{"path", batch.paths[static_cast<std::size_t>(i)]}};
      lines += writer.line(fields, p);
    }
    hooks.write(lines);
    result.predicted += size;
  }
  if (result.predicted == 0)
    throw Error(ErrorKind::data,
                result.failed == 0
                    ? "there is no image in what was named; give image files, or folders of them"
                    : fmt::format("none of {} could be predicted",
                                  result.failed == 1 ? "1 image" : fmt::format("{} images", result.failed)));
  return result;
}

}  // namespace ulmus
