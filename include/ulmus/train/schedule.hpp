#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ulmus {

/// The learning rate as a function of the epoch. Every position is a fraction of the epochs, so short and long runs
/// have the same shape.
struct LearningRateSchedule {
  enum class Kind {
    step,    ///< the reference protocol: a factor of 0.01 after 0.8 of the epochs, and again after 0.9; constant within
             ///< an epoch
    cosine,  ///< half a cosine from the base rate to 0, updated at every step
    constant,
    restart,  ///< two cosines: the second starts, at the base rate again, when the loss changes
  };
  Kind kind = Kind::step;
  double base = 0.1;
  double warmup = 0.025;           ///< fraction of the epochs for linear warm-up: 5 epochs of 200
  std::int64_t restart_epoch = 0;  ///< 0-based, for `restart`; 0: there is only one cosine

  /// Parses "step", "cosine", "constant" or "restart"; throws Error{usage} with the nearest name.
  static Kind parse_kind(std::string_view name);
};

/// The rate at `step` of `steps` in the 0-based `epoch` of `epochs`.
///
/// step: with e = epoch + 1 and W = round(warmup * epochs), base * e / W for e <= W, base * 0.0001 for e > 0.9 epochs,
/// base * 0.01 for e > 0.8 epochs, base otherwise (LDAM-DRW; 200 epochs reproduce its schedule exactly). cosine,
/// constant: a linear warm-up by steps over warmup * epochs epochs. restart: a cosine from the first epoch to
/// restart_epoch, including the warm-up, and another one from there to the end (the warm restarts of SGDR, Loshchilov
/// and Hutter, ICLR 2017, at one position).
double learning_rate(const LearningRateSchedule& schedule, std::int64_t epoch, std::int64_t epochs, std::int64_t step,
                     std::int64_t steps);

}  // namespace ulmus
