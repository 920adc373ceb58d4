#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ulmus/loss/hooks.hpp"
#include "ulmus/loss/kernel_params.hpp"

namespace ulmus::detail {

/// True if labels of any class are smoothed.
bool is_smoothed(const KernelParams& params);

/// The loss of a sample, as LossHooks::row_loss: the computation of the kernel plus label smoothing, which the kernel
/// does not support. `row_offset` may be empty and must not read a state.
std::function<double(const Sample& sample, std::span<double> gradient)> smoothed_row_loss(
    const KernelParams& params,
    const std::function<void(const Sample& sample, const LossState& state, std::span<double> offset)>& row_offset);

}  // namespace ulmus::detail
