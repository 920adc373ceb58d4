#pragma once

#include <cstdint>
#include <string>

#include "ulmus/nn/model_options.hpp"

namespace ulmus::detail {

/// Properties of a model, or of a kind of models with an argument after a colon, that are known without building it.
/// This file and ulmus/nn/model_options.hpp need no LibTorch.
struct ModelKind {
  std::string name;
  std::int64_t smallest_side;  ///< smallest image side; 1: also supports features
  bool takes_argument;
  double (*least_parameters)(const ModelOptions&);
};

/// The kind of the model `name`. Throws Error{usage} for an unknown name, or an argument that it does not take.
const ModelKind& model_kind(const std::string& name);

/// The text after the colon of a model's name; empty without one.
std::string argument_of(const std::string& name);

/// The keys of `mlp:layers=2,width=256,dropout=0.1`.
struct MlpShape {
  std::int64_t layers = 2;
  std::int64_t width = 256;
  double dropout = 0.1;
};

/// Throws Error{usage} for an unknown key, or a value out of range.
MlpShape mlp_shape(const std::string& name);

}  // namespace ulmus::detail
