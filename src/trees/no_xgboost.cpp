#include "ulmus/base/error.hpp"
#include "ulmus/trees/booster.hpp"

/// The trees of a build without XGBoost.
namespace ulmus {

void require_xgboost() {
  throw Error(ErrorKind::environment,
              "this program was built without XGBoost, which grows the trees; install libxgboost-dev and build again "
              "(CMake finds it, or by CMAKE_PREFIX_PATH), or take another model, for example mlp");
}

std::string xgboost_version() { return {}; }

struct FeatureMatrix::Handle {};
struct Booster::State {};

FeatureMatrix::FeatureMatrix(MatrixView<const float>, const FeatureColumns&, int) { require_xgboost(); }
std::int64_t FeatureMatrix::rows() const { return 0; }

Booster::Booster(const TreeOptions&, std::int64_t, const FeatureColumns&, std::uint64_t, int,
                 std::span<const FeatureMatrix>) {
  require_xgboost();
}
Booster::Booster(std::string_view, const TreeOptions&, std::int64_t, const FeatureColumns&, std::uint64_t, int,
                 std::span<const FeatureMatrix>) {
  require_xgboost();
}
Booster::Booster(std::shared_ptr<State> state) : state_(std::move(state)) {}
void Booster::boost(const FeatureMatrix&, std::span<const float>, std::span<const float>) {}
std::int64_t Booster::rounds() const { return 0; }
std::vector<float> Booster::scores(const FeatureMatrix&) const { return {}; }
Booster Booster::first(std::int64_t) const { return *this; }
std::string Booster::save(BoosterFormat) const { return {}; }
std::int64_t Booster::splits() const { return 0; }
std::vector<double> Booster::importance() const { return {}; }
void Booster::set_attribute(const std::string&, const std::string&) {}
std::optional<std::string> Booster::attribute(const std::string&) const { return {}; }

}  // namespace ulmus
