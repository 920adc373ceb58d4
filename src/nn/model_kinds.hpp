#pragma once

#include <cstdint>
#include <string>

#include "ulmus/nn/model_options.hpp"

namespace ulmus::detail {

/// What is known of a model, or of a kind of models that takes an argument after a colon, before it is made. This and
/// ulmus/nn/model_options.hpp need no LibTorch.
struct ModelKind {
  std::string name;
  std::int64_t smallest_side;  ///< of the images; 1: features too
  bool takes_argument;
  double (*least_parameters)(const ModelOptions&);
};

/// The kind of the model `name`. Throws Error{usage} for another name, or an argument that it does not take.
const ModelKind& model_kind(const std::string& name);

/// What follows the colon of a model's name; empty without one.
std::string argument_of(const std::string& name);

/// The keys of `mlp:layers=2,width=256,dropout=0.1`.
struct MlpShape {
  std::int64_t layers = 2;
  std::int64_t width = 256;
  double dropout = 0.1;
};

/// Throws Error{usage} for another key, or a value out of range.
MlpShape mlp_shape(const std::string& name);

}  // namespace ulmus::detail
