// Properties that hold for every loss, with random shapes, counts, logits and keys.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/loss/loss.hpp"

namespace ulmus {
namespace {

/// The same cases every time, unless RC_PARAMS is set.
const int k_fixed_cases = setenv("RC_PARAMS", "seed=20230609 max_success=1500", 0);

/// A loss and a batch for it, derived from a few numbers that RapidCheck can shrink.
struct Problem {
  std::string spec;
  std::int64_t rows, classes, width = 3;
  std::vector<std::int64_t> counts, labels;
  std::vector<double> logits, features, weight, bias, noise, sample_weights;
  std::vector<double> gradient, feature_gradient, weight_gradient, bias_gradient;
  Reduction reduction = Reduction::weighted_mean;
  LossState state;

  static Problem any(bool (*takes_part)(const LossDefinition&) = [](const LossDefinition&) { return true; }) {
    std::vector<const LossDefinition*> definitions;
    for (const LossDefinition& definition : family())
      if (takes_part(definition)) definitions.push_back(&definition);
    const LossDefinition& definition = *definitions[*rc::gen::inRange<std::size_t>(0, definitions.size())];
    Problem p;
    p.rows = *rc::gen::inRange<std::int64_t>(1, 7);
    p.classes = *rc::gen::inRange<std::int64_t>(2, 20);
    p.reduction = *rc::gen::element(Reduction::mean, Reduction::weighted_mean);
    Stream stream(*rc::gen::inRange<std::uint64_t>(0, 1000), "property");
    const bool cosines = definition.head == Head::cosine;
    p.spec = std::string(definition.name);
    std::vector<std::string> keys;
    for (const Key& key : definition.keys) {
      // Scales at which differences of the loss are accurate enough; random words if every word has the inputs it
      // needs.
      if (key.name == "scale" && cosines) keys.push_back(fmt::format("scale={}", 2 + stream.uniform() * 6));
      if (key.name == "from") keys.push_back("from=0");
      if (key.name == "smoothing" && p.rows % 2 == 0) keys.push_back("smoothing=0.2");
      if (key.name == "temperature" && definition.name == "logitnorm") keys.push_back("temperature=0.5");
      if (!key.choices.empty() && key.name != "variant")
        keys.push_back(fmt::format("{}={}", key.name, key.choices[stream.below(key.choices.size())]));
      if (key.name == "lambda" && definition.name == "elm")
        keys.push_back(fmt::format("lambda={}", 2 * stream.uniform() - 1));
    }
    for (std::size_t k = 0; k < keys.size(); ++k) p.spec += (k == 0 ? ":" : ",") + keys[k];
    for (std::int64_t j = 0; j < p.classes; ++j) {
      // All different, because kps ranks the counts, and classes with equal counts by index.
      p.counts.push_back(static_cast<std::int64_t>(1 + 20 * stream.below(50)) + j);
      p.bias.push_back(stream.normal());
      for (std::int64_t k = 0; k < p.width; ++k) p.weight.push_back(stream.normal());
    }
    for (std::int64_t i = 0; i < p.rows; ++i) {
      p.labels.push_back(static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(p.classes))));
      p.sample_weights.push_back(0.5 + stream.uniform());
      for (std::int64_t k = 0; k < p.width; ++k) p.features.push_back(stream.normal());
      for (std::int64_t j = 0; j < p.classes; ++j) {
        p.logits.push_back(cosines ? 1.9 * stream.uniform() - 0.95 : 2 * stream.normal());
        p.noise.push_back(definition.name == "eql" ? static_cast<double>(stream.below(2)) : stream.normal() / 3);
      }
    }
    Loss loss = p.make();
    loss.apply_update(loss.collect_update(p.view(), p.batch()));
    p.state = loss.state();
    RC_LOG() << p.spec << " rows " << p.rows << " classes " << p.classes << '\n';
    return p;
  }

  Loss make() const {
    Loss loss(LossSpec::parse(spec), ClassCounts(counts));
    loss.set_epoch(0, 1);
    return loss;
  }
  MatrixView<const double> view() const { return {logits.data(), rows, classes}; }
  LossBatch batch() const {
    return {.labels = labels,
            .sample_weights = sample_weights,
            .reduction = reduction,
            .features = {.features = {features.data(), rows, width},
                         .head_weight = {weight.data(), classes, width},
                         .head_bias = bias},
            .noise = {noise.data(), rows, classes}};
  }
  double value() const {
    Loss loss = make();
    loss.set_state(state);
    return loss.evaluate(view(), batch());
  }
  double differentiate() {
    gradient.assign(logits.size(), 0);
    feature_gradient.assign(features.size(), 0);
    weight_gradient.assign(weight.size(), 0);
    bias_gradient.assign(bias.size(), 0);
    Loss loss = make();
    loss.set_state(state);
    LossBatch wanted = batch();
    wanted.features.gradient = {feature_gradient.data(), rows, width};
    wanted.features.head_weight_gradient = {weight_gradient.data(), classes, width};
    wanted.features.head_bias_gradient = bias_gradient;
    return loss.evaluate(view(), wanted, {gradient.data(), rows, classes});
  }
};

bool near(double a, double b, double tolerance) { return std::fabs(a - b) <= tolerance * (1 + std::fabs(b)); }

/// Values [rows, columns] with permuted rows and columns.
std::vector<double> reordered(const std::vector<double>& values, std::span<const std::size_t> rows,
                              std::span<const std::size_t> columns) {
  std::vector<double> result;
  for (const std::size_t i : rows)
    for (const std::size_t j : columns) result.push_back(values[i * columns.size() + j]);
  return result;
}

std::vector<std::size_t> in_order(std::int64_t n) {
  std::vector<std::size_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

std::vector<std::size_t> any_order(std::int64_t n) {
  auto order = in_order(n);
  Stream(*rc::gen::inRange<std::uint64_t>(0, 1000), "order").shuffle(std::span(order));
  return order;
}

TEST(Property, CasesAreFixed) { EXPECT_EQ(k_fixed_cases, 0); }

TEST(Property, TheGradientEqualsFiniteDifferences) {
  EXPECT_TRUE(rc::check([] {
    // For the other losses, differences do not give the gradient; the test of the torch module compares LibTorch's own
    // derivative.
    Problem p = Problem::any([](const LossDefinition& definition) { return !definition.has_constant_part; });
    p.differentiate();
    const auto check = [&](std::vector<double>& inputs, const std::vector<double>& gradient, const char* what) {
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        const double at = inputs[k], step = 1e-6;
        // The running means are state: they stay fixed while a feature moves, except for this batch's contribution,
        // which the gradient includes. So the state is updated, too.
        const auto value_at = [&](double x) {
          inputs[k] = x;
          Problem moved = p;
          if (p.spec.starts_with("lmd")) {
            Loss loss = moved.make();
            loss.apply_update(loss.collect_update(moved.view(), moved.batch()));
            moved.state = loss.state();
          }
          return moved.value();
        };
        const double difference = (value_at(at + step) - value_at(at - step)) / (2 * step);
        inputs[k] = at;
        if (!near(gradient[k], difference, 2e-5))
          RC_LOG() << what << ' ' << k << ": " << gradient[k] << " against " << difference;
        RC_ASSERT(near(gradient[k], difference, 2e-5));
      }
    };
    check(p.logits, p.gradient, "logit");
    const LossDefinition& definition = LossSpec::parse(p.spec).definition();
    if (definition.needs.features && definition.name != "tam") check(p.features, p.feature_gradient, "feature");
    if (definition.needs.head) {
      check(p.weight, p.weight_gradient, "weight");
      check(p.bias, p.bias_gradient, "bias");
    }
  }));
}

TEST(Property, ACommonOffsetOfTheLogitsChangesNothing) {
  EXPECT_TRUE(rc::check([] {
    Problem p = Problem::any([](const LossDefinition& definition) { return definition.ignores_offset; });
    RC_PRE(p.spec.find("sigmoid") == std::string::npos && p.spec.find("kind=focal") == std::string::npos);
    Problem moved = p;
    for (double& z : moved.logits) z += 8;
    RC_ASSERT(near(moved.differentiate(), p.differentiate(), 1e-10));
    for (std::size_t k = 0; k < p.gradient.size(); ++k) RC_ASSERT(near(moved.gradient[k], p.gradient[k], 1e-10));
  }));
}

TEST(Property, PermutedClassesPermuteTheResult) {
  EXPECT_TRUE(rc::check([] {
    Problem p = Problem::any();
    const auto order = any_order(p.classes), rows = in_order(p.rows);
    std::vector<std::int64_t> place(order.size());
    for (std::size_t j = 0; j < order.size(); ++j) place[order[j]] = static_cast<std::int64_t>(j);
    Problem other = p;
    for (std::size_t j = 0; j < order.size(); ++j) {
      other.counts[j] = p.counts[order[j]];
      other.bias[j] = p.bias[order[j]];
    }
    for (std::size_t i = 0; i < p.labels.size(); ++i) other.labels[i] = place[static_cast<std::size_t>(p.labels[i])];
    other.logits = reordered(p.logits, rows, order);
    other.noise = reordered(p.noise, rows, order);
    other.weight = reordered(p.weight, order, in_order(p.width));
    Loss loss = other.make();
    loss.apply_update(loss.collect_update(other.view(), other.batch()));
    other.state = loss.state();
    RC_ASSERT(near(other.differentiate(), p.differentiate(), 1e-9));
    const auto expected = reordered(p.gradient, rows, order);
    for (std::size_t k = 0; k < expected.size(); ++k) RC_ASSERT(near(other.gradient[k], expected[k], 1e-9));
  }));
}

TEST(Property, TheOrderOfTheBatchDoesNotMatter) {
  EXPECT_TRUE(rc::check([] {
    Problem p = Problem::any();
    const auto order = any_order(p.rows), columns = in_order(p.classes), components = in_order(p.width);
    Problem other = p;
    for (std::size_t i = 0; i < order.size(); ++i) {
      other.labels[i] = p.labels[order[i]];
      other.sample_weights[i] = p.sample_weights[order[i]];
    }
    other.logits = reordered(p.logits, order, columns);
    other.noise = reordered(p.noise, order, columns);
    other.features = reordered(p.features, order, components);
    RC_ASSERT(near(other.differentiate(), p.differentiate(), 1e-10));
    const auto expected = reordered(p.gradient, order, columns);
    for (std::size_t k = 0; k < expected.size(); ++k) RC_ASSERT(near(other.gradient[k], expected[k], 1e-10));
    const auto of_features = reordered(p.feature_gradient, order, components);
    for (std::size_t k = 0; k < of_features.size(); ++k)
      RC_ASSERT(near(other.feature_gradient[k], of_features[k], 1e-9));
  }));
}

TEST(Property, WhatSharesOfABatchAddToTheStateSumsToWhatTheBatchAdds) {
  EXPECT_TRUE(rc::check([] {
    const Problem p = Problem::any();
    const Loss loss = p.make();
    if (!loss.is_stateful()) return;
    const std::vector<double> whole = loss.collect_update(p.view(), p.batch());
    const std::int64_t cut = *rc::gen::inRange<std::int64_t>(0, p.rows + 1);
    std::vector<double> sum(whole.size());
    for (const auto& [begin, end] : {std::pair(std::int64_t{0}, cut), std::pair(cut, p.rows)}) {
      LossBatch share = p.batch();
      share.labels =
          std::span(p.labels).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
      share.sample_weights = {};
      share.first_position = begin;
      share.features.features = {p.features.data() + begin * p.width, end - begin, p.width};
      share.noise = {p.noise.data() + begin * p.classes, end - begin, p.classes};
      const auto part =
          loss.collect_update<double>({p.logits.data() + begin * p.classes, end - begin, p.classes}, share);
      for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += part[k];
    }
    for (std::size_t k = 0; k < sum.size(); ++k) RC_ASSERT(near(sum[k], whole[k], 1e-12));
  }));
}

/// Values of a key at the ends of its range and at the limits of what is accepted at all.
std::vector<std::string> extremes(const Key& key) {
  std::vector<std::string> texts;
  for (const std::string_view choice : key.choices) texts.emplace_back(choice);
  if (!texts.empty()) return texts;
  for (const double value : {key.range.low, key.range.high, std::nextafter(key.range.low, key.range.high),
                             std::nextafter(key.range.high, key.range.low), 0.0, 1e-30, -1e-30, 1000.0, -1000.0, 1e30,
                             -1e30, 1e300, 1e-300, 5e-324, std::numeric_limits<double>::max()})
    if (std::isfinite(value) && key.range.contains(value)) texts.push_back(fmt::format("{}={}", key.name, value));
  for (std::string& text : texts) text = text.substr(text.find('=') + 1);
  return texts;
}

/// With any keys and counts, a loss has finite parameters, or one line explains why not.
void expect_a_loss_or_one_line(const std::string& spec, const std::vector<std::int64_t>& counts, int& losses) {
  SCOPED_TRACE(fmt::format("{} of {} classes, first {}", spec, counts.size(), counts[0]));
  try {
    Loss loss(LossSpec::parse(spec), ClassCounts(counts));
    loss.set_epoch(999'999, 1'000'000);
    ++losses;
    const KernelParams& terms = loss.params();
    EXPECT_TRUE(std::isfinite(terms.scale) && terms.scale > 0);
    EXPECT_TRUE(std::isfinite(terms.shape_parameter));
    for (const auto* values : {&terms.slope, &terms.offset, &terms.true_margin, &terms.rival_margin})
      for (const double value : *values) EXPECT_TRUE(std::isfinite(value));
    double sum = 0;
    for (const double weight : loss.class_weights()) {
      EXPECT_TRUE(std::isfinite(weight) && weight >= 0) << weight;
      sum += weight;
    }
    if (!loss.class_weights().empty()) {
      const auto present = std::count_if(counts.begin(), counts.end(), [](std::int64_t n) { return n > 0; });
      EXPECT_NEAR(sum, static_cast<double>(present), 1e-9);
    }
    const auto classes = static_cast<std::int64_t>(counts.size());
    std::vector<float> logits;
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < 2 * classes; ++i) {
      labels.push_back(i % classes);
      for (std::int64_t j = 0; j < classes; ++j)
        logits.push_back(0.9F * static_cast<float>(std::sin(static_cast<double>(5 * i + 3 * j))));
    }
    std::vector<double> features(labels.size() * 2), weight(counts.size() * 2), bias(counts.size());
    for (std::size_t k = 0; k < features.size(); ++k) features[k] = std::cos(static_cast<double>(k));
    for (std::size_t k = 0; k < weight.size(); ++k) weight[k] = std::sin(static_cast<double>(k));
    const LossBatch batch{.labels = labels,
                          .reduction = terms.reduction,
                          .features = {.features = {features.data(), 2 * classes, 2},
                                       .head_weight = {weight.data(), classes, 2},
                                       .head_bias = bias}};
    const MatrixView<const float> view(logits.data(), 2 * classes, classes);
    loss.apply_update(loss.collect_update(view, batch));
    EXPECT_FALSE(std::isnan(loss.evaluate(view, batch)));
  } catch (const Error& error) {
    EXPECT_TRUE(error.kind() == ErrorKind::usage || error.kind() == ErrorKind::data);
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
  }
}

TEST(Property, KeysAtTheEndsOfTheirRangesAndAnyCountsGiveFiniteNumbersOrOneLine) {
  constexpr std::int64_t k_huge = 1'000'000'000'000'000'000;
  const std::vector<std::int64_t> all_counts[] = {
      {1, k_huge, 0}, {k_huge, 1, 5}, {0, 0, 7}, {1, 1, 1}, {4 * k_huge, 4 * k_huge, 1}, {5000, 5}, {3, k_huge, 20, 0}};
  int losses = 0;
  for (const LossDefinition& definition : family())
    for (const auto& counts : all_counts) {
      for (const Key& key : definition.keys)
        for (const std::string& value : extremes(key)) {
          const std::string with = key.only_with.empty() ? "" : fmt::format("{},", key.only_with);
          expect_a_loss_or_one_line(fmt::format("{}:{}{}={}", definition.name, with, key.name, value), counts, losses);
        }
      Stream stream(3, definition.name);
      for (int k = 0; k < 40; ++k) {  // several keys at once
        std::vector<std::string> pieces;
        for (const Key& key : definition.keys)
          if (const auto values = extremes(key); key.only_with.empty() && stream.below(2) == 0)
            pieces.push_back(fmt::format("{}={}", key.name, values[stream.below(values.size())]));
        if (!pieces.empty())
          expect_a_loss_or_one_line(fmt::format("{}:{}", definition.name, fmt::join(pieces, ",")), counts, losses);
      }
      for (const Rule& rule : rules())
        if (!rule.takes_file && rule.acts == Rule::Acts::weights)
          for (const Key& key : rule.keys)
            for (const std::string& value : extremes(key))
              expect_a_loss_or_one_line(fmt::format("{}+{}:{}={}", definition.name, rule.name, key.name, value), counts,
                                        losses);
    }
  EXPECT_GT(losses, 5000);
}

TEST(Property, IdentitiesOfTheFamilyHold) {
  const std::pair<const char*, const char*> same[] = {
      {"elm:lambda=0,scale=4", "ldam:scale=4"},
      {"elm:lambda=0,scale=4,placement=rival", "ldam:scale=4"},
      {"ldam:max_margin=0,scale=4", "ce:scale=4"},
      {"bs", "la:tau=1"},
      {"vs:gamma=0", "la"},
      {"vs:tau=0,gamma=0.2", "cdt:gamma=0.2"},
      {"focal:gamma=0", "ce"},
      {"poly1:epsilon=0", "ce"},
      {"gr:rho=1", "ce+inverse"},
      {"gr:rho=0", "ce"},
      {"cb", "ce+cb"},
      {"cosface:margin=0,scale=4", "ce:scale=4"},
      {"arcface:margin=0,scale=4", "ce:scale=4"},
      {"sphereface:margin=1,scale=4", "ce:scale=4"},
      {"dbm:max_margin=0,scale=4", "ce:scale=4"},
      {"gcl:noise=0,scale=4", "ce:scale=4"},
      {"gcl:noise=0,margin=0.2,scale=4", "cosface:margin=0.2,scale=4"},
      {"seesaw:p=0,q=0", "ce"},
      {"eql:lambda=0", "ce"},
      {"lade:alpha=0", "la"},
      {"las:head=0,tail=0", "ce"},
      {"lm-softmax:lambda=0", "ce"},
      {"tam:from=0,alpha=0,beta=0", "ce"},
      {"tam:from=0,alpha=0,beta=0,base=bs", "bs"},
      {"dro-lt:alpha=0,from=0", "ce"},
      {"lmd:alpha=0,beta=0,gamma=0", "ce"},
      {"ib-focal:gamma=0,from=0", "ib:from=0"},
  };
  for (const auto& [left, right] : same)
    EXPECT_TRUE(rc::check(fmt::format("{} is {}", left, right),
                          [left = left, right = right] {
                            Problem a =
                                Problem::any([](const LossDefinition& definition) { return definition.name != "ce"; });
                            for (double& z : a.logits) z = std::tanh(z) * 0.95;
                            a.reduction = Reduction::weighted_mean;
                            a.spec = left;
                            Loss loss = a.make();
                            loss.apply_update(loss.collect_update(a.view(), a.batch()));
                            a.state = loss.state();
                            Problem b = a;
                            b.spec = right;
                            b.state = b.make().state();
                            // lade's prior has a floor of 1e-9; an angle's cosine is inaccurate near 1
                            const double tolerance = 1e-6;
                            RC_ASSERT(near(a.differentiate(), b.differentiate(), tolerance));
                            for (std::size_t k = 0; k < a.gradient.size(); ++k)
                              RC_ASSERT(near(a.gradient[k], b.gradient[k], tolerance));
                          }))
        << left << " is not " << right;
}

}  // namespace
}  // namespace ulmus
