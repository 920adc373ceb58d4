#pragma once

#include <optional>

#include "train/weights.hpp"
#include "ulmus/data/dataset.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/nn/model.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus::detail {

/// A model, and how the images that its weights were trained on are normalised.
struct PretrainedModel {
  Classifier model;
  std::optional<Normalisation> normalisation;  ///< nothing if it is unknown
};

/// Makes the model of the options for `data`, with `weights` if there are any; a TorchScript backbone brings its own.
/// Throws as make_model() and PretrainedWeights::load_into() do.
PretrainedModel make_pretrained(const RunOptions& options, const Dataset& data, Head head,
                                const PretrainedWeights* weights);

}  // namespace ulmus::detail
