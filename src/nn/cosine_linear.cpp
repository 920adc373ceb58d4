#include "ulmus/nn/cosine_linear.hpp"

namespace ulmus {

namespace F = torch::nn::functional;

CosineLinearImpl::CosineLinearImpl(std::int64_t features, std::int64_t classes)
    : weight(register_parameter("weight", torch::empty({classes, features}))) {
  const torch::NoGradGuard no_gradient;
  weight.uniform_(-1, 1);
  weight.copy_(F::normalize(weight, F::NormalizeFuncOptions().dim(1)));
}

torch::Tensor CosineLinearImpl::forward(const torch::Tensor& features) {
  const auto unit = F::NormalizeFuncOptions().dim(1).eps(1e-12);
  return F::linear(F::normalize(features, unit), F::normalize(weight, unit));
}

void CosineLinearImpl::pretty_print(std::ostream& stream) const {
  stream << "ulmus::CosineLinear(features=" << weight.size(1) << ", classes=" << weight.size(0) << ")";
}

}  // namespace ulmus
