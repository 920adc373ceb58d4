#include "ulmus/loss/loss.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "loss/definition.hpp"
#include "loss/rules.hpp"
#include "loss/smoothing.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {

namespace {

/// Returns the spec after checking that no key is `auto`.
LossSpec require_values(LossSpec spec) {
  if (const Key* key = spec.automatic())
    throw Error(ErrorKind::usage,
                fmt::format("loss '{}' leaves {} to the trainer, which chooses it on validation data; write a number "
                            "here, for example {}",
                            spec.text(), key->name, spec.with(key->name, format_number(key->automatic[0])).text()));
  return spec;
}

}  // namespace

Loss::Loss(LossSpec spec, ClassCounts counts)
    : spec_(require_values(std::move(spec))),
      counts_(std::move(counts)),
      params_(spec_.definition().make_params(spec_.keys(), counts_)),
      hooks_(spec_.definition().hooks(spec_.keys(), counts_)) {
  for (const auto& [values, what] :
       {std::pair(&params_.slope, "slopes"), std::pair(&params_.offset, "offsets"),
        std::pair(&params_.true_margin, "margins"), std::pair(&params_.rival_margin, "margins of the rival"),
        std::pair(&params_.class_weight, "class weights")})
    detail::require_finite(*values, what);
  // Slopes that are all 1 are dropped.
  if (std::all_of(params_.slope.begin(), params_.slope.end(), [](double a) { return a == 1; })) params_.slope.clear();
  slope_.assign(params_.slope.begin(), params_.slope.end());
  offset_.assign(params_.offset.begin(), params_.offset.end());
  if (!params_.class_weight.empty())
    weights_ = params_.class_weight;
  else if (spec_.rule() && spec_.rule()->takes_file)
    weights_ = detail::read_weights(spec_.rule_file(), counts_);
  else if (spec_.rule() && !spec_.resamples())
    weights_ = spec_.rule()->weights(spec_.rule_keys(), counts_);
  row_loss_ = detail::is_smoothed(params_) ? detail::smoothed_row_loss(params_, hooks_.row_offset) : hooks_.row_loss;
  state_.values = hooks_.initial_state;
  constexpr std::int64_t k_many_epochs = 1'000'000;  // large enough that at epoch 0 no deferred part has started
  set_epoch(0, k_many_epochs);
}

std::span<const double> Loss::class_weights() const {
  return weights_in_force_ ? std::span<const double>(weights_) : std::span<const double>();
}

void Loss::set_epoch(std::int64_t epoch, std::int64_t epochs) {
  if (epoch < 0 || epoch >= epochs)
    throw Error(ErrorKind::usage,
                fmt::format("epoch is {} of {}, expected 0 or more and below the number of epochs", epoch, epochs));
  active_ = epoch >= spec_.start_epoch(epochs);
  if (!params_.class_weight.empty())
    weights_in_force_ = active_;
  else if (spec_.rule() && !spec_.resamples())
    weights_in_force_ = epoch >= spec_.rule_epoch(epochs);
}

void Loss::set_class_weights(std::vector<double> weights) {
  if (static_cast<std::int64_t>(weights.size()) != counts_.classes())
    throw Error(ErrorKind::usage, fmt::format("{} class weights came, expected one for each of {} classes",
                                              weights.size(), counts_.classes()));
  for (std::size_t j = 0; j < weights.size(); ++j)
    if (!(weights[j] >= 0 && std::isfinite(weights[j])))
      throw Error(ErrorKind::usage,
                  fmt::format("the weight of class {} is {}, expected a finite number of at least 0", j, weights[j]));
  weights_ = std::move(weights);
  weights_in_force_ = true;
}

bool Loss::is_shardable() const {
  return !row_loss_ && !hooks_.row_offset && !hooks_.batch_offset && !hooks_.batch_term;
}

}  // namespace ulmus
