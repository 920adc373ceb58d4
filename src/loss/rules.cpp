// The rules after a loss's name: methods that favour rare classes in addition to the loss.
#include "loss/rules.hpp"

#include <fmt/format.h>

#include "loss/definition.hpp"
#include "ulmus/base/class_values.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

using detail::k_beta;

constexpr Key k_from{"from",
                     0.8,
                     {0, 1, false, true},
                     "fraction of the epochs after which it begins",
                     "LDAM-DRW code: epoch 160 of 200"};
constexpr Key k_sampling_beta{
    "beta", 1, {0, 1}, "of the effective number; 1: every class is drawn as often", "LDAM-DRW code"};
constexpr Key k_beta_keys[] = {k_beta}, k_drw_keys[] = {k_from, k_beta}, k_rs_keys[] = {k_sampling_beta},
              k_drs_keys[] = {k_from, k_sampling_beta};

std::vector<double> effective_number(const KeyValues& keys, const ClassCounts& counts) {
  return counts.effective_number_weights(keys["beta"]);
}

/// Relative frequency with which an image of each class is drawn: 1 / n, or by the effective number.
std::vector<double> image_weights(const KeyValues& keys, const ClassCounts& counts) {
  return keys["beta"] == 1 ? counts.inverse_frequency_weights() : counts.effective_number_weights(keys["beta"]);
}

}  // namespace

std::vector<double> detail::read_weights(const std::string& path, const ClassCounts& counts) {
  const ClassValues file = read_class_values(path);
  std::vector<double> weights;
  for (const ClassValues::Line& line : in_class_order(file, counts.names(), counts.classes())) {
    const double weight = parse_number(line.value, fmt::format("line {} of the class weights '{}'", line.line, path));
    if (weight < 0)
      throw Error(ErrorKind::data, fmt::format("line {} of the class weights '{}' is {}, expected at least 0",
                                               line.line, path, line.value));
    weights.push_back(weight);
  }
  return weights;
}

std::span<const Rule> rules() {
  static const std::vector<Rule> table = {
      {
          .name = "cb",
          .title = "re-weighting (RW): class-balanced weights from the first epoch on",
          .equation = "w[j] = (1 - beta) / (1 - beta^n[j]), normalised to mean 1",
          .paper =
              "Cui, Jia, Lin, Song, Belongie: Class-Balanced Loss Based on Effective Number of Samples, CVPR 2019, "
              "arXiv 1901.05555",
          .keys = k_beta_keys,
          .weights = effective_number,
      },
      {
          .name = "inverse",
          .title = "inverse-frequency weights from the first epoch on",
          .equation = "w[j] = 1 / n[j], normalised to mean 1",
          .paper = "",
          .keys = {},
          .weights = [](const KeyValues&, const ClassCounts& counts) { return counts.inverse_frequency_weights(); },
      },
      {
          .name = "drw",
          .title = "deferred re-weighting (DRW): class-balanced weights from a later epoch on",
          .equation =
              "w[j] = 1 before epoch round(from * epochs), then (1 - beta) / (1 - beta^n[j]), normalised to mean 1",
          .paper = "Cao et al., NeurIPS 2019, arXiv 1906.07413",
          .keys = k_drw_keys,
          .deferred = true,
          .weights = effective_number,
      },
      {
          .name = "weights",
          .title = "class weights of your own, written +weights=FILE: a number a line, in the order of the classes",
          .equation = "w[j] = line j, as it is (not normalised)",
          .paper = "",
          .keys = {},
          .takes_file = true,
      },
      {
          .name = "rs",
          .title = "re-sampling (RS): images drawn with replacement, rare classes as often as frequent ones",
          .equation = "an image of class j is drawn with weight (1 - beta) / (1 - beta^n[j]); beta = 1: 1 / n[j]",
          .paper = "Cao et al., NeurIPS 2019, arXiv 1906.07413",
          .keys = k_rs_keys,
          .acts = Rule::Acts::sampling,
          .weights = image_weights,
      },
      {
          .name = "drs",
          .title = "deferred re-sampling (DRS): as rs, from a later epoch on",
          .equation = "every image once an epoch before epoch round(from * epochs), then as rs",
          .paper = "Cao et al., NeurIPS 2019, arXiv 1906.07413",
          .keys = k_drs_keys,
          .acts = Rule::Acts::sampling,
          .deferred = true,
          .weights = image_weights,
      },
  };
  return table;
}

}  // namespace ulmus
