#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace ulmus::detail {

/// The option `optimizer` taken apart.
struct OptimizerSpec {
  std::string base;           ///< "sgd" or "adamw"; empty: by the data
  std::optional<double> rho;  ///< of sharpness-aware minimisation: how far it looks; unset: it is off
  /// Focal-SAM: the exponent of its class weights; unset: all classes count alike, which is plain SAM.
  std::optional<double> focal;
  double sharpness = 0.8;  ///< of Focal-SAM: the weight of the sharpness

  /// "auto", "sgd", "adamw" or "sam:rho=0.05,base=sgd,focal=3,sharpness=0.8", of which any key may be left out. Throws
  /// Error{usage} with the nearest name, for a number out of range, and for a sharpness without focal.
  static OptimizerSpec parse(std::string_view text);

  /// Text that `parse` reads back.
  std::string text() const;
};

}  // namespace ulmus::detail
