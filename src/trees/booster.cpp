#include "ulmus/trees/booster.hpp"

#include <fmt/format.h>
#include <xgboost/c_api.h>
#include <xgboost/version_config.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/trees/objective.hpp"

namespace ulmus {
namespace {

/// The first line of what XGBoost says; the others are the stack.
std::string last_message() {
  const std::string text = XGBGetLastError();
  const std::string line = text.substr(0, text.find('\n'));
  const std::size_t check = line.find("] ");  // before it are time and place in XGBoost's source
  return printable(check == std::string::npos ? line : line.substr(check + 2), k_long_text);
}

void check(int status, const char* what, ErrorKind kind = ErrorKind::environment) {
  if (status != 0) throw Error(kind, fmt::format("XGBoost cannot {}: {}", what, last_message()));
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> result;
  for (const std::string& text : texts) result.push_back(text.c_str());
  return result;
}

/// XGBoost's names of the kinds of columns: categorical, quantitative.
std::vector<std::string> types_of(const FeatureColumns& columns) {
  std::vector<std::string> types;
  for (const std::int64_t levels : columns.levels) types.emplace_back(levels > 0 ? "c" : "q");
  return types;
}

}  // namespace

void require_xgboost() {}

std::string xgboost_version() {
  int major = 0, minor = 0, patch = 0;
  XGBoostVersion(&major, &minor, &patch);
  return fmt::format("{}.{}.{}", major, minor, patch);
}

struct FeatureMatrix::Handle {
  DMatrixHandle handle = nullptr;
  std::int64_t rows = 0;

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (handle) XGDMatrixFree(handle);
  }
};

FeatureMatrix::FeatureMatrix(MatrixView<const float> rows, const FeatureColumns& columns, int threads) {
  for (std::int64_t i = 0; i < rows.rows; ++i)
    if (const float* inf = std::find_if(rows.row(i), rows.row(i) + rows.columns, [](float x) { return std::isinf(x); });
        inf != rows.row(i) + rows.columns)
      throw Error(ErrorKind::data,
                  fmt::format("row {} has an infinite value in column '{}'; correct it, or leave it "
                              "out as missing",
                              i, printable(columns.names[static_cast<std::size_t>(inf - rows.row(i))])));
  const auto handle = std::make_shared<Handle>();
  handle->rows = rows.rows;
  check(XGDMatrixCreateFromMat_omp(rows.data, static_cast<bst_ulong>(rows.rows), static_cast<bst_ulong>(rows.columns),
                                   std::numeric_limits<float>::quiet_NaN(), &handle->handle, threads),
        "take the rows");
  const std::vector<std::string> types = types_of(columns);
  const std::vector<const char*> texts = pointers(types);
  check(
      XGDMatrixSetStrFeatureInfo(handle->handle, "feature_type", const_cast<const char**>(texts.data()), texts.size()),
      "take the kinds of the columns");
  handle_ = handle;
}

std::int64_t FeatureMatrix::rows() const { return handle_->rows; }

struct Booster::State {
  BoosterHandle handle = nullptr;
  TreeOptions options;
  std::int64_t classes = 0;
  FeatureColumns columns;
  std::uint64_t seed = 0;
  int threads = 1;
  std::vector<FeatureMatrix> seen;  ///< kept, as XGBoost keeps their scores

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (handle) XGBoosterFree(handle);
  }

  void set(const char* name, const std::string& value) {
    check(XGBoosterSetParam(handle, name, value.c_str()), "take a parameter");
  }

  void create() {
    require_silence();
    std::vector<DMatrixHandle> matrices;
    for (const FeatureMatrix& matrix : seen) matrices.push_back(matrix.handle().handle);
    check(XGBoosterCreate(matrices.data(), matrices.size(), &handle), "begin a model");
  }

  void set_parameters() {
    set("nthread", std::to_string(threads));
    set("tree_method", "hist");
    set("objective", classes == 2 ? "binary:logistic" : "multi:softprob");
    if (classes > 2) set("num_class", std::to_string(classes));
    set("base_score", "0.5");  // a score of 0 for two classes, the same for all of more
    set("disable_default_eval_metric", "1");
    set("max_depth", std::to_string(options.depth));
    set("eta", format_number(options.eta));
    set("min_child_weight", format_number(options.min_child_weight));
    set("colsample_bytree", format_number(options.colsample));
    set("lambda", format_number(options.l2));
    set("alpha", format_number(options.l1));
    set("gamma", format_number(options.min_gain));
    set("seed", std::to_string(Stream(seed, "columns").next() >> 33));  // it draws the columns
    set("max_bin", std::to_string(options.bins));
  }

  void name_columns() {
    const std::vector<const char*> names = pointers(columns.names);
    const std::vector<std::string> types = types_of(columns);
    const std::vector<const char*> type_texts = pointers(types);
    check(XGBoosterSetStrFeatureInfo(handle, "feature_name", const_cast<const char**>(names.data()), names.size()),
          "take the names of the columns");
    check(XGBoosterSetStrFeatureInfo(handle, "feature_type", const_cast<const char**>(type_texts.data()),
                                     type_texts.size()),
          "take the kinds of the columns");
  }

  /// What goes wrong is in the exceptions; its warnings are about options that nobody here has set.
  static void require_silence() { check(XGBSetGlobalConfig(R"({"verbosity": 0})"), "be configured"); }
};

Booster::Booster(std::shared_ptr<State> state) : state_(std::move(state)) {}

Booster::Booster(const TreeOptions& options, std::int64_t classes, const FeatureColumns& columns, std::uint64_t seed,
                 int threads, std::span<const FeatureMatrix> seen)
    : state_(std::make_shared<State>()) {
  state_->options = options;
  state_->classes = classes;
  state_->columns = columns;
  state_->seed = seed;
  state_->threads = threads;
  state_->seen.assign(seen.begin(), seen.end());
  state_->create();
  state_->set_parameters();
  state_->name_columns();
}

Booster::Booster(std::string_view saved, const TreeOptions& options, std::int64_t classes,
                 const FeatureColumns& columns, std::uint64_t seed, int threads, std::span<const FeatureMatrix> seen)
    : Booster(options, classes, columns, seed, threads, seen) {
  check(XGBoosterLoadModelFromBuffer(state_->handle, saved.data(), saved.size()), "read the trees", ErrorKind::data);
  state_->set_parameters();
  bst_ulong features = 0;
  check(XGBoosterGetNumFeature(state_->handle, &features), "read the trees", ErrorKind::data);
  if (features != columns.names.size())
    throw Error(ErrorKind::data,
                fmt::format("the trees are of {} columns, expected {}; train again", features, columns.names.size()));
}

void Booster::boost(const FeatureMatrix& matrix, std::span<const float> gradient, std::span<const float> hessian) {
  // Rows are drawn here, as XGBoost's stream is not saved with a model: one that is left out has no gradient.
  std::vector<float> drawn_gradient, drawn_hessian;
  if (const double share = state_->options.subsample; share < 1) {
    drawn_gradient.assign(gradient.begin(), gradient.end());
    drawn_hessian.assign(hessian.begin(), hessian.end());
    const auto groups = static_cast<std::ptrdiff_t>(score_groups(state_->classes));
    Stream stream(state_->seed, "rows", static_cast<std::uint64_t>(rounds()));
    for (std::ptrdiff_t row = 0; row < matrix.rows(); ++row) {
      if (stream.uniform() < share) continue;
      std::fill_n(drawn_gradient.begin() + row * groups, groups, 0.0F);
      std::fill_n(drawn_hessian.begin() + row * groups, groups, 0.0F);
    }
    gradient = drawn_gradient;
    hessian = drawn_hessian;
  }
  check(XGBoosterBoostOneIter(state_->handle, matrix.handle().handle, const_cast<float*>(gradient.data()),
                              const_cast<float*>(hessian.data()), gradient.size()),
        "grow the trees of a round");
}

std::int64_t Booster::rounds() const {
  int rounds = 0;
  check(XGBoosterBoostedRounds(state_->handle, &rounds), "count the rounds");
  return rounds;
}

std::vector<float> Booster::scores(const FeatureMatrix& matrix) const {
  constexpr const char* k_margins =
      R"({"type": 1, "training": false, "iteration_begin": 0, "iteration_end": 0, "strict_shape": true})";
  const bst_ulong* shape = nullptr;
  bst_ulong dimensions = 0;
  const float* result = nullptr;
  check(XGBoosterPredictFromDMatrix(state_->handle, matrix.handle().handle, k_margins, &shape, &dimensions, &result),
        "score the rows");
  const auto size = static_cast<std::size_t>(matrix.rows() * score_groups(state_->classes));
  std::size_t given = 1;
  for (bst_ulong i = 0; i < dimensions; ++i) given *= shape[i];
  if (given != size)
    throw Error(ErrorKind::data, fmt::format("the trees give {} scores for {} rows, expected {}; train again", given,
                                             matrix.rows(), size));
  return {result, result + size};
}

Booster Booster::first(std::int64_t rounds) const {
  auto state = std::make_shared<State>();
  state->options = state_->options;
  state->classes = state_->classes;
  state->columns = state_->columns;
  state->seed = state_->seed;
  state->threads = state_->threads;
  check(XGBoosterSlice(state_->handle, 0, static_cast<int>(rounds), 1, &state->handle), "take the first rounds");
  state->set_parameters();
  state->name_columns();
  return Booster(std::move(state));
}

std::string Booster::save(BoosterFormat format) const {
  bst_ulong size = 0;
  const char* bytes = nullptr;
  check(XGBoosterSaveModelToBuffer(state_->handle,
                                   format == BoosterFormat::json ? R"({"format": "json"})" : R"({"format": "ubj"})",
                                   &size, &bytes),
        "write the trees");
  return {bytes, bytes + size};
}

namespace {

/// Scores of the columns by XGBoost: a total over the splits on each, [D].
std::vector<double> column_scores(BoosterHandle handle, std::size_t columns, const char* kind) {
  // Without names of its own the columns are "f0", "f1" ...; ours may hold anything.
  std::string config = fmt::format(R"({{"importance_type": "{}", "feature_names": [)", kind);
  for (std::size_t i = 0; i < columns; ++i) config += fmt::format(R"({}"{}")", i == 0 ? "" : ", ", i);
  config += "]}";
  bst_ulong count = 0, dimensions = 0;
  const char** names = nullptr;
  const bst_ulong* shape = nullptr;
  const float* scores = nullptr;
  check(XGBoosterFeatureScore(handle, config.c_str(), &count, &names, &dimensions, &shape, &scores),
        "weigh the columns");
  std::vector<double> result(columns, 0);
  for (bst_ulong i = 0; i < count; ++i)
    result.at(static_cast<std::size_t>(parse_integer(names[i], "a column"))) = scores[i];
  return result;
}

}  // namespace

std::int64_t Booster::splits() const {
  const std::vector<double> counts = column_scores(state_->handle, state_->columns.names.size(), "weight");
  return std::llround(std::accumulate(counts.begin(), counts.end(), 0.0));
}

std::vector<double> Booster::importance() const {
  std::vector<double> gains = column_scores(state_->handle, state_->columns.names.size(), "total_gain");
  const double sum = std::accumulate(gains.begin(), gains.end(), 0.0);
  if (sum > 0)
    for (double& gain : gains) gain /= sum;
  return gains;
}

void Booster::set_attribute(const std::string& name, const std::string& value) {
  check(XGBoosterSetAttr(state_->handle, name.c_str(), value.c_str()), "take a note");
}

std::optional<std::string> Booster::attribute(const std::string& name) const {
  const char* value = nullptr;
  int found = 0;
  check(XGBoosterGetAttr(state_->handle, name.c_str(), &value, &found), "read a note");
  return found ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace ulmus
