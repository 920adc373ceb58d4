#include "train/pretrained.hpp"

#include <utility>

#include "train/derived_options.hpp"
#include "ulmus/nn/script_facts.hpp"

namespace ulmus::detail {
namespace {

/// How a TorchScript backbone normalises its images, if its file says so for this number of channels.
std::optional<Normalisation> script_normalisation(const RunOptions& options, std::int64_t channels) {
  if (!options.model_file) return std::nullopt;
  auto facts = read_script_facts(*options.model_file);
  if (!facts || std::ssize(facts->mean) != channels) return std::nullopt;
  return Normalisation{.mean = std::move(facts->mean), .stddev = std::move(facts->stddev)};
}

}  // namespace

PretrainedModel make_pretrained(const RunOptions& options, const Dataset& data, Head head,
                                const PretrainedWeights* weights) {
  const ModelOptions of_model = model_options(options, data, head);
  Classifier model = make_model(of_model);
  std::optional<Normalisation> normalisation =
      weights ? weights->load_into(model, of_model) : script_normalisation(options, data.shape().channels);
  return {.model = std::move(model), .normalisation = std::move(normalisation)};
}

}  // namespace ulmus::detail
