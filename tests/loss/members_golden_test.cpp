// Compares the losses that were added later with the published vectors.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "golden.hpp"
#include "loss/losses/dro_lt.hpp"
#include "ulmus/loss/graph_margins.hpp"
#include "ulmus/loss/loss.hpp"

namespace ulmus {
namespace {

using nlohmann::json;

std::vector<double> flat(const json& rows) {
  std::vector<double> values;
  for (const json& row : rows)
    if (row.is_array())
      for (const json& value : row) values.push_back(value.get<double>());
    else
      values.push_back(row.get<double>());
  return values;
}

std::vector<double> numbers(const json& list) {
  std::vector<double> values;
  for (const json& value : list) values.push_back(value.get<double>());
  return values;
}

/// The library call that corresponds to a case of a file.
struct Question {
  std::string spec;  ///< empty: the definition differs from ours, see golden/README.md
  Reduction reduction = Reduction::weighted_mean;
  std::vector<double> state = {};
  std::vector<double> noise = {};
  std::vector<double> feature_norms = {};
  double input_scale = 1;  ///< the file's logits are ours times this
  double tolerance = 1e-10;
};

using Ask = Question (*)(const json& entry, const json& params);

Question ask_mm(const json&, const json& p) {
  if (p["variant"] == "batch_as_released") return {};
  return {fmt::format("mm:max_margin={},gamma={},variant={},scale={}", p["max_m"].get<double>(),
                      p["gamma"].get<double>(), p["ldam"].get<bool>() ? "ldam" : "plain", p["s"].get<double>())};
}
Question ask_gr(const json&, const json& p) { return {fmt::format("gr:rho={}", p["rho"].get<double>())}; }
Question ask_lade(const json&, const json& p) {
  return {fmt::format("lade:alpha={},lambda={}", p["alpha"].get<double>(), p["remine_lambda"].get<double>())};
}
Question ask_ib(const json& entry, const json& p) {
  const bool focal = p["kind"] == "ib_focal";
  Question q{fmt::format("{}:alpha={},from=0,weights={}{}", focal ? "ib-focal" : "ib", p["alpha"].get<double>(),
                         p["weights"] == "none"                ? "none"
                         : p["weights"] == "inverse_frequency" ? "inverse"
                                                               : "effective",
                         focal ? fmt::format(",gamma={}", p["gamma"].get<double>()) : ""),
             Reduction::mean};
  q.feature_norms = flat(entry["feature_l1"]);
  q.tolerance = 1e-9;
  return q;
}
Question ask_fce(const json&, const json& p) {
  Question q{fmt::format("{}:temperature={}", p["kind"].get<std::string>(), p["temp"].get<double>()), Reduction::mean};
  q.tolerance = 1e-6;  // the reference subtracts nearly equal numbers
  return q;
}
Question ask_seesaw(const json& entry, const json& p) {
  Question q{fmt::format("seesaw:p={},q={},eps={}", p["p"].get<double>(), p["q"].get<double>(), p["eps"].get<double>()),
             Reduction::mean};
  q.state = numbers(entry["counts"]);
  return q;
}
Question ask_eql(const json& entry, const json& p) {
  Question q{fmt::format("eql:kind={},lambda={}", p["kind"].get<std::string>(), p["lambda"].get<double>()),
             Reduction::mean};
  if (p["kind"] == "softmax") {
    q.state = {0};
    q.noise = flat(entry["beta_mask"]);
  }
  return q;
}
Question ask_gcl(const json& entry, const json& p) {
  Question q{fmt::format("gcl:noise={},margin={},scale={}", p["noise_mul"].get<double>(), p["m"].get<double>(),
                         p["s"].get<double>())};
  q.state = {0};
  q.noise = flat(entry["noise"]);
  return q;
}
Question ask_ala(const json&, const json& p) {
  Question q{fmt::format("ala:scale={}", p["s"].get<double>())};
  q.input_scale = p["s"].get<double>();
  return q;
}
Question ask_kps(const json&, const json& p) {
  return {fmt::format("kps:max_margin={},scale={},scaling={}", p["max_m"].get<double>(), p["s"].get<double>(),
                      p["weighted"].get<bool>() ? "label" : "one")};
}
Question ask_loce(const json& entry, const json&) {
  Question q{"loce", Reduction::mean};
  q.state = numbers(entry["mean_score"]);
  return q;
}
Question ask_dbm(const json&, const json& p) {
  return {
      fmt::format("dbm:base={},max_margin={},tau={},scale={},lambda={}", p["base"].get<std::string>(),
                  p["K"].get<double>(), p["tau"].get<double>(), p["s"].get<double>(), p["lambda_inst"].get<double>()),
      Reduction::mean};
}
Question ask_las(const json&, const json& p) {
  return {fmt::format("las:shape={},head={},tail={}", p["shape"].get<std::string>(), p["smooth_head"].get<double>(),
                      p["smooth_tail"].get<double>()),
          Reduction::mean};
}
Question ask_logitnorm(const json&, const json& p) {
  return {fmt::format("logitnorm:temperature={}", p["t"].get<double>()), Reduction::mean};
}
Question ask_poly1(const json&, const json& p) {
  return {fmt::format("poly1:epsilon={}", p["epsilon"].get<double>()), Reduction::mean};
}
Question ask_lm_softmax(const json&, const json& p) {
  return {fmt::format("lm-softmax:lambda={},lower={}", p["reg_lambda"].get<double>(),
                      p["deg_logit"].is_null() ? 0 : p["deg_logit"].get<double>())};
}
Question ask_angular(const json&, const json& p) {
  std::string kind = p["kind"].get<std::string>();
  const bool opensphere = kind.starts_with("opensphere_");
  if (opensphere) kind = kind.substr(11);
  return {fmt::format("{}:margin={},scale={}{}", kind, p["m"].get<double>(), p["s"].get<double>(),
                      kind == "arcface" && opensphere ? ",variant=opensphere" : ""),
          Reduction::mean};
}
Question ask_cb(const json&, const json& p) {
  const auto kind = p["kind"].get<std::string>();
  if (kind == "bce_on_softmax") return {};
  if (kind == "sigmoid_focal")
    return {fmt::format("cb:kind=focal,beta={},gamma={}", p["beta"].get<double>(), p["gamma"].get<double>()),
            Reduction::mean};
  return {fmt::format("cb:kind={},beta={}", kind == "ce" ? "softmax" : kind, p["beta"].get<double>()),
          kind == "ce" ? Reduction::weighted_mean : Reduction::mean};
}

struct File {
  const char* name;
  Ask ask;
};

class MemberGolden : public ::testing::TestWithParam<File> {};

TEST_P(MemberGolden, LossAndGradientAreThePublishedOnes) {
  int compared = 0;
  for (const json& entry : golden::cases(GetParam().name)) {
    if (entry.value("nonfinite_reference", false)) continue;
    const Question question = GetParam().ask(entry, entry["params"]);
    if (question.spec.empty()) continue;
    SCOPED_TRACE(entry["id"].get<std::string>() + " " + question.spec);
    Loss loss(LossSpec::parse(question.spec), ClassCounts(entry["counts"].get<std::vector<std::int64_t>>()));
    loss.set_epoch(0, 1);
    if (!question.state.empty()) loss.set_state({.values = question.state});
    const auto labels = entry["targets"].get<std::vector<std::int64_t>>();
    const auto rows = static_cast<std::int64_t>(labels.size());
    const std::int64_t classes = loss.counts().classes();
    std::vector<double> logits = flat(entry["logits"]), gradient(logits.size()), norm_gradient(labels.size());
    for (double& z : logits) z /= question.input_scale;
    // The norm of a feature with one component is that component.
    LossBatch batch{.labels = labels, .reduction = question.reduction};
    if (!question.feature_norms.empty()) {
      batch.features.features = {question.feature_norms.data(), rows, 1};
      batch.features.gradient = {norm_gradient.data(), rows, 1};
    }
    if (!question.noise.empty()) batch.noise = {question.noise.data(), rows, classes};
    if (!entry["class_weights"].is_null() && question.feature_norms.empty())
      loss.set_class_weights(numbers(entry["class_weights"]));
    const double value = loss.evaluate<double>({logits.data(), rows, classes}, batch, {gradient.data(), rows, classes});
    EXPECT_TRUE(golden::near(value, entry["loss"].get<double>(), question.tolerance));
    const std::vector<double> expected = flat(entry["grad_logits"]);
    for (std::size_t k = 0; k < expected.size(); ++k)
      EXPECT_TRUE(golden::near(gradient[k] / question.input_scale, expected[k], question.tolerance)) << "logit " << k;
    if (entry.contains("outputs") && entry["outputs"].contains("grad_feature_l1")) {
      const std::vector<double> by_norm = flat(entry["outputs"]["grad_feature_l1"]);
      for (std::size_t i = 0; i < by_norm.size(); ++i)
        EXPECT_TRUE(golden::near(norm_gradient[i], by_norm[i], question.tolerance)) << "norm " << i;
    }

    const std::vector<float> narrow(logits.begin(), logits.end());
    EXPECT_NEAR(loss.evaluate<float>({narrow.data(), rows, classes}, batch), value,
                1e-5 * std::max(1.0, loss.spec().scale()) * std::max(1.0, std::fabs(value)));
    ++compared;
  }
  EXPECT_GE(compared, golden::at_least(12));
}

INSTANTIATE_TEST_SUITE_P(Loss, MemberGolden,
                         ::testing::Values(File{"mm", ask_mm}, File{"gr", ask_gr}, File{"lade", ask_lade},
                                           File{"ib", ask_ib}, File{"fce", ask_fce}, File{"seesaw", ask_seesaw},
                                           File{"eql", ask_eql}, File{"gcl", ask_gcl}, File{"ala", ask_ala},
                                           File{"kps", ask_kps}, File{"loce", ask_loce}, File{"dbm", ask_dbm},
                                           File{"las", ask_las}, File{"logitnorm", ask_logitnorm},
                                           File{"poly1", ask_poly1}, File{"large_margin_softmax", ask_lm_softmax},
                                           File{"angular_margin", ask_angular}, File{"cb", ask_cb}),
                         [](const auto& instance) { return std::string(instance.param.name); });

/// The vectors of this repository; each case contains everything needed (tests/golden/make.py).
TEST(MemberGolden, EveryCaseOfTheRepositorysVectorsIsReproduced) {
  int compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ULMUS_SOURCE_DIR "/tests/golden")) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream stream(entry.path());
    const json file = json::parse(stream);
    for (const json& one : file["cases"]) {
      SCOPED_TRACE(one["spec"].get<std::string>());
      Loss loss(LossSpec::parse(one["spec"].get<std::string>()),
                ClassCounts(one["counts"].get<std::vector<std::int64_t>>()));
      loss.set_epoch(0, 1);
      const auto labels = one["labels"].get<std::vector<std::int64_t>>();
      const auto rows = static_cast<std::int64_t>(labels.size());
      const std::vector<double> logits = flat(one["logits"]), expected = flat(one["mean_gradient"]);
      std::vector<double> gradient(logits.size()), losses(labels.size());
      const double value = loss.evaluate<double>({logits.data(), rows, loss.counts().classes()},
                                                 {.labels = labels, .reduction = Reduction::mean, .losses = losses},
                                                 {gradient.data(), rows, loss.counts().classes()});
      EXPECT_TRUE(golden::near(value, one["mean"].get<double>(), 1e-13));
      for (std::size_t i = 0; i < losses.size(); ++i)
        EXPECT_TRUE(golden::near(losses[i], one["losses"][i].get<double>(), 1e-13)) << "sample " << i;
      for (std::size_t k = 0; k < expected.size(); ++k)
        EXPECT_TRUE(golden::near(gradient[k], expected[k], 1e-13)) << "logit " << k;
      ++compared;
    }
  }
  EXPECT_GE(compared, 12);
}

TEST(MemberGolden, DiscriminativeLossOverTwoStepsIsThePublishedOne) {
  int compared = 0;
  for (const json& entry : golden::cases("discriminative")) {
    SCOPED_TRACE(entry["id"].get<std::string>());
    const auto classes = entry["C"].get<std::int64_t>(), width = entry["D"].get<std::int64_t>();
    const json& p = entry["params"];
    Loss loss(LossSpec::parse(fmt::format("lmd:alpha={},beta={},gamma={},delta_v={},delta_d={},momentum={},norm=l{}",
                                          p["alpha"].get<double>(), p["beta"].get<double>(), p["gamma"].get<double>(),
                                          p["delta_var"].get<double>(), p["delta_dist"].get<double>(),
                                          p["momentum"].get<double>(), p["norm"].get<int>())),
              ClassCounts(std::vector<std::int64_t>(static_cast<std::size_t>(classes), 10)));
    const Loss ce(LossSpec::parse("ce"), loss.counts());
    const auto weight = flat(entry["fc_weight"]), bias = numbers(entry["fc_bias"]);
    for (const json& step : entry["steps"]) {
      const auto labels = step["targets"].get<std::vector<std::int64_t>>();
      const auto rows = static_cast<std::int64_t>(labels.size());
      const std::vector<double> features = flat(step["features"]);
      std::vector<double> gradient(features.size()), by_weight(weight.size()), by_bias(bias.size());
      const std::vector<double> logits(static_cast<std::size_t>(rows * classes));  // not read by the added term
      const LossBatch batch{.labels = labels,
                            .features = {.features = {features.data(), rows, width},
                                         .gradient = {gradient.data(), rows, width},
                                         .head_weight = {weight.data(), classes, width},
                                         .head_weight_gradient = {by_weight.data(), classes, width},
                                         .head_bias = bias,
                                         .head_bias_gradient = by_bias}};
      const MatrixView<const double> view(logits.data(), rows, classes);
      loss.apply_update(loss.collect_update(view, batch));
      const double value = loss.evaluate(view, batch) - ce.evaluate(view, {.labels = labels});
      EXPECT_TRUE(golden::near(value, step["loss"].get<double>()));
      const auto same = [&](const std::vector<double>& ours, const char* name) {
        const std::vector<double> expected = flat(step[name]);
        ASSERT_EQ(expected.size(), ours.size());
        for (std::size_t k = 0; k < ours.size(); ++k)
          EXPECT_TRUE(golden::near(ours[k], expected[k])) << name << ' ' << k;
      };
      same(gradient, "grad_features");
      same(by_weight, "grad_fc_weight");
      same(by_bias, "grad_fc_bias");
      const auto means = std::span(loss.state().values).subspan(static_cast<std::size_t>(classes));
      same({means.begin(), means.end()}, "running_mean_after");
      ++compared;
    }
  }
  EXPECT_GE(compared, golden::at_least(12));
}

TEST(MemberGolden, RobustPrototypeLossIsThePublishedOne) {
  int compared = 0;
  for (const json& entry : golden::cases("dro_lt")) {
    SCOPED_TRACE(entry["id"].get<std::string>());
    const auto classes = entry["C"].get<std::int64_t>(), width = entry["D"].get<std::int64_t>();
    const auto labels = entry["batch_targets"].get<std::vector<std::int64_t>>();
    const auto rows = static_cast<std::int64_t>(labels.size());
    const std::vector<double> features = flat(entry["batch_features"]), centroids = flat(entry["centroid_features"]);
    const auto of = entry["centroid_targets"].get<std::vector<std::int64_t>>();
    std::vector<double> means(static_cast<std::size_t>(classes * width)), members(static_cast<std::size_t>(classes));
    for (const std::int64_t c : of) ++members[static_cast<std::size_t>(c)];
    for (std::size_t i = 0; i < of.size(); ++i)
      for (std::int64_t k = 0; k < width; ++k)
        means[static_cast<std::size_t>(of[i] * width + k)] +=
            centroids[i * static_cast<std::size_t>(width) + static_cast<std::size_t>(k)] /
            members[static_cast<std::size_t>(of[i])];
    const std::vector<double> radius =
        entry["epsilons"].is_null() ? std::vector<double>(members.size()) : numbers(entry["epsilons"]);
    const std::vector<double> weights =
        entry["class_weights"].is_null() ? std::vector<double>() : numbers(entry["class_weights"]);
    std::vector<double> gradient(features.size());
    const BatchView batch{
        .rows = rows,
        .classes = classes,
        .labels = labels,
        .features = {.features = {features.data(), rows, width}, .gradient = {gradient.data(), rows, width}},
        .class_weights = weights};
    const double value =
        detail::dro_lt::robust_loss(batch, means, radius, entry["params"]["temperature"].get<double>(), 1);
    EXPECT_TRUE(golden::near(value, entry["loss"].get<double>()));
    const std::vector<double> expected = flat(entry["grad_batch_features"]);
    for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_TRUE(golden::near(gradient[k], expected[k])) << k;
    ++compared;
  }
  EXPECT_GE(compared, golden::at_least(8));
}

TEST(MemberGolden, TopologyAwareMarginsAreThePublishedOnes) {
  int compared = 0;
  for (const json& entry : golden::cases("tam")) {
    SCOPED_TRACE(entry["id"].get<std::string>());
    const auto nodes = entry["nodes"].get<std::int64_t>(), classes = entry["C"].get<std::int64_t>();
    const auto source = entry["edge_index"][0].get<std::vector<std::int64_t>>();
    const auto target = entry["edge_index"][1].get<std::vector<std::int64_t>>();
    const auto labels = entry["labels"].get<std::vector<std::int64_t>>();
    const auto is_train = std::make_unique<bool[]>(static_cast<std::size_t>(nodes));
    std::vector<std::int64_t> train_labels;
    for (std::size_t v = 0; v < labels.size(); ++v) {
      const json& mark = entry["train_mask"][v];
      is_train[v] = mark.is_boolean() ? mark.get<bool>() : mark.get<int>() != 0;
      if (is_train[v]) train_labels.push_back(labels[v]);
    }
    const std::vector<double> logits = flat(entry["logits"]);
    const ClassCounts counts(entry["counts"].get<std::vector<std::int64_t>>());
    const json& p = entry["params"];
    const GraphMargins margins = graph_margins({nodes, source, target}, labels, {is_train.get(), labels.size()},
                                               {logits.data(), nodes, classes}, counts, p["temp_phi"].get<double>());
    const auto same = [&](const std::vector<double>& ours, const char* name) {
      const std::vector<double> expected = flat(entry[name]);
      ASSERT_EQ(expected.size(), ours.size()) << name;
      for (std::size_t k = 0; k < ours.size(); ++k) EXPECT_TRUE(golden::near(ours[k], expected[k])) << name << ' ' << k;
    };
    same(margins.connectivity, "acm");
    same(margins.distribution, "adm");

    Loss loss(LossSpec::parse(fmt::format("tam:base=bs,from=0,alpha={},beta={}", p["alpha"].get<double>(),
                                          p["beta"].get<double>())),
              counts);
    loss.set_epoch(0, 1);
    const auto rows = static_cast<std::int64_t>(train_labels.size());
    std::vector<double> train_logits, offsets(margins.connectivity.size());
    for (std::size_t v = 0; v < labels.size(); ++v)
      if (is_train[v])
        train_logits.insert(train_logits.end(), logits.begin() + static_cast<std::ptrdiff_t>(v) * classes,
                            logits.begin() + static_cast<std::ptrdiff_t>(v + 1) * classes);
    for (std::size_t k = 0; k < offsets.size(); ++k)
      offsets[k] = p["alpha"].get<double>() * std::log(margins.connectivity[k]) -
                   p["beta"].get<double>() * margins.distribution[k];
    std::vector<double> gradient(train_logits.size());
    const double value = loss.evaluate<double>({train_logits.data(), rows, classes},
                                               {.labels = train_labels, .offsets = {offsets.data(), rows, classes}},
                                               {gradient.data(), rows, classes});
    EXPECT_TRUE(golden::near(value, entry["balanced_softmax_loss"].get<double>()));
    const std::vector<double> all = flat(entry["grad_logits"]);
    std::vector<double> expected;
    for (std::size_t v = 0; v < labels.size(); ++v)
      if (is_train[v])
        expected.insert(expected.end(), all.begin() + static_cast<std::ptrdiff_t>(v) * classes,
                        all.begin() + static_cast<std::ptrdiff_t>(v + 1) * classes);
    for (std::size_t k = 0; k < expected.size(); ++k) EXPECT_TRUE(golden::near(gradient[k], expected[k])) << k;
    ++compared;
  }
  EXPECT_GE(compared, golden::at_least(5));
}

}  // namespace
}  // namespace ulmus
