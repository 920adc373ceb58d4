#include "ulmus/eval/prior.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>
#include <system_error>
#include <utility>

#include "ulmus/base/class_values.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

void normalise(std::vector<double>& prior) {
  const double most = *std::max_element(prior.begin(), prior.end());
  for (double& p : prior) p /= most;  // prevents overflow of the sum
  const double sum = std::accumulate(prior.begin(), prior.end(), 0.0);
  for (double& p : prior) p /= sum;
}

bool is_number(const std::string& text) {
  try {
    parse_number(text, "");
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// `place` describes the position of a number for messages.
std::vector<double> read_numbers(std::span<const std::string> texts, ErrorKind kind, const std::string& where,
                                 const std::function<std::string(std::size_t)>& place) {
  std::vector<double> prior;
  for (std::size_t j = 0; j < texts.size(); ++j) {
    if (!is_number(texts[j]) || parse_number(texts[j], where) <= 0)
      throw Error(kind, fmt::format("{} is '{}', expected a number above 0", place(j), printable(texts[j])));
    prior.push_back(parse_number(texts[j], where));
  }
  normalise(prior);
  return prior;
}

std::vector<double> read_numbers(const std::vector<std::string>& texts, std::int64_t classes, ErrorKind kind,
                                 const std::string& where) {
  if (static_cast<std::int64_t>(texts.size()) != classes)
    throw Error(kind, fmt::format("{} has {} numbers, expected one for each of {} classes, in their order", where,
                                  texts.size(), classes));
  return read_numbers(texts, kind, where, [&](std::size_t j) { return fmt::format("number {} of {}", j + 1, where); });
}

}  // namespace

std::vector<double> parse_prior(const std::string& text, const ClassCounts& train_counts) {
  const std::int64_t classes = train_counts.classes();
  if (text == "uniform")
    return std::vector<double>(static_cast<std::size_t>(classes), 1 / static_cast<double>(classes));
  if (text == "train") {
    std::vector<std::string> counts;
    for (const std::int64_t n : train_counts.values()) counts.push_back(std::to_string(n));
    return read_numbers(counts, classes, ErrorKind::data, option_name("prior", "train"));
  }
  if (const auto pieces = split(text, ','); is_number(pieces[0]))
    return read_numbers(pieces, classes, ErrorKind::usage, option_name("prior"));
  // A text that cannot be a path, for example because it is very long, is not a file.
  if (std::error_code reason; !std::filesystem::exists(text, reason)) {
    const std::vector<std::string> names = {"uniform", "train"};
    const std::string near = nearest_name(text, names);
    throw Error(
        ErrorKind::usage,
        fmt::format("{} '{}' is no file; {}", option_name("prior"), printable(text),
                    near.empty()
                        ? "write uniform, train, numbers p1,p2,... or a file with a number or name,number a line"
                        : fmt::format("did you mean '{}'?", near)));
  }
  const auto lines = in_class_order(read_class_values(text), train_counts.names(), classes);
  std::vector<std::string> numbers;
  for (const ClassValues::Line& line : lines) numbers.push_back(line.value);
  return read_numbers(numbers, ErrorKind::data, text,
                      [&](std::size_t j) { return fmt::format("line {} of '{}'", lines[j].line, text); });
}

std::vector<double> assumed_prior(const LossSpec& spec, const ClassCounts& train_counts) {
  Loss loss(spec, train_counts);
  loss.set_epoch(1, 2);  // the end of a training, when all deferred parts are active
  std::vector<double> prior = train_counts.prior();
  const auto weights = loss.class_weights();
  std::vector<double> draws;  // a sampling rule is combined with the loss's own weights
  if (spec.resamples()) draws = spec.rule()->weights(spec.rule_keys(), train_counts);
  for (std::size_t j = 0; j < prior.size(); ++j) {
    if (!weights.empty()) prior[j] *= weights[j];
    if (!draws.empty()) prior[j] *= draws[j];
    if (!loss.params().offset.empty()) prior[j] *= std::exp(-loss.params().scale * loss.params().offset[j]);
  }
  normalise(prior);
  return prior;
}

std::vector<double> assumed_prior(std::vector<double> of_loss, const PostHoc& posthoc,
                                  const ClassCounts& train_counts) {
  if (posthoc.kind == PostHoc::Kind::mla || posthoc.kind == PostHoc::Kind::tau_norm)
    throw Error(ErrorKind::usage,
                fmt::format("{} cannot correct the outputs of {}: no class prior can be named that their probabilities "
                            "assume; leave one out",
                            option_name("prior"), option_name("posthoc", posthoc.text())));
  if (posthoc.kind == PostHoc::Kind::none) return of_loss;
  const std::vector<double> pi = train_counts.prior();
  for (std::size_t j = 0; j < pi.size(); ++j) of_loss[j] *= std::pow(pi[j], -posthoc.tau);
  normalise(of_loss);
  return of_loss;
}

void correct_prior(ScoreTransform& scores, std::span<const double> assumed, std::span<const double> q) {
  scores.offset.resize(q.size(), 0);
  for (std::size_t j = 0; j < q.size(); ++j) {
    if (!(assumed[j] > 0))
      throw Error(
          ErrorKind::data,
          fmt::format("the prior of class {} cannot be corrected: the model assumes that it does not occur", j));
    scores.offset[j] += std::log(q[j] / assumed[j]);
  }
}

double accuracy_under(const Evaluation& evaluation, std::span<const double> q) {
  double hits = 0, sum = 0;
  for (std::size_t j = 0; j < q.size(); ++j) {
    if (!evaluation.classes[j].recall) continue;
    hits += q[j] * *evaluation.classes[j].recall;
    sum += q[j];
  }
  return hits / sum;
}

}  // namespace ulmus
