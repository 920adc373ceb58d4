#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/view.hpp"
#include "ulmus/trees/tree_options.hpp"

/// Boosted trees by XGBoost's C interface. Without XGBoost at build time, every constructor throws Error{environment}.
namespace ulmus {

/// Throws Error{environment} when this build has no XGBoost, saying how to get one that does.
void require_xgboost();

/// "1.7.4"; empty in a build without XGBoost.
std::string xgboost_version();

/// The columns of a feature matrix.
struct FeatureColumns {
  std::vector<std::string> names;    ///< [D]
  std::vector<std::int64_t> levels;  ///< [D], of a category, whose values are 0 to levels - 1; 0: a number
};

/// Rows of features as XGBoost holds them: numbers, codes of categories, NaN where a value is missing.
class FeatureMatrix {
 public:
  /// Copies `rows` [N, D], float. Throws Error{data} for an infinite value, Error{environment} without memory.
  FeatureMatrix(MatrixView<const float> rows, const FeatureColumns& columns, int threads);

  std::int64_t rows() const;

  struct Handle;
  const Handle& handle() const { return *handle_; }

 private:
  std::shared_ptr<const Handle> handle_;
};

enum class BoosterFormat { json, ubj };

/// An ensemble of trees. Its scores f are sums over the trees, in the units of the softmax: in XGBoost's own terms it
/// is a model of `multi:softprob`, or of `binary:logistic` with f for the second of two classes, so XGBoost's
/// probabilities are those of softmax(f). Not for use by several threads at the same time.
class Booster {
 public:
  /// Without trees yet. The scores of `seen` matrices are kept from round to round. Same seed, same trees, on the same
  /// number of threads.
  Booster(const TreeOptions& options, std::int64_t classes, const FeatureColumns& columns, std::uint64_t seed,
          int threads, std::span<const FeatureMatrix> seen);

  /// Goes on from what save() wrote, to the same trees as if it had never ended; where columns are drawn (colsample),
  /// to others, as XGBoost does not save what it draws them from. Throws Error{data} for bytes that are
  /// no such model of these classes and columns.
  Booster(std::string_view saved, const TreeOptions& options, std::int64_t classes, const FeatureColumns& columns,
          std::uint64_t seed, int threads, std::span<const FeatureMatrix> seen);

  /// Grows the trees of one round on the rows of `matrix` from gradients and second derivatives, [N, groups].
  void boost(const FeatureMatrix& matrix, std::span<const float> gradient, std::span<const float> hessian);

  std::int64_t rounds() const;

  /// f [N, groups], groups as score_groups() has them.
  std::vector<float> scores(const FeatureMatrix& matrix) const;

  /// The trees of the first `rounds` rounds.
  Booster first(std::int64_t rounds) const;

  /// The bytes of a file that XGBoost reads.
  std::string save(BoosterFormat format) const;

  /// Splits of all trees.
  std::int64_t splits() const;

  /// For each column, the gain of all splits on it, as shares of the sum; zeros without a split. [D]
  std::vector<double> importance() const;

  /// Text that is saved with the model.
  void set_attribute(const std::string& name, const std::string& value);
  std::optional<std::string> attribute(const std::string& name) const;

 private:
  struct State;
  explicit Booster(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace ulmus
