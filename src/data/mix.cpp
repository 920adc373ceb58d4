#include <algorithm>
#include <cmath>
#include <numeric>
#include <opencv2/core.hpp>

#include "ulmus/data/augment.hpp"

namespace ulmus {
namespace {

/// The logarithm of a number with the Gamma distribution (alpha, 1): Marsaglia and Tsang 2000, for alpha + 1, times
/// u^(1 / alpha). In logarithms, because for a small alpha the number may be below the smallest double.
double log_gamma_variate(double alpha, Stream& stream) {
  const double d = alpha + 1 - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = stream.normal();
    const double v = std::pow(1 + c * x, 3);
    const double u = 1 - stream.uniform();
    if (v > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v))
      return std::log(d * v) + std::log(1 - stream.uniform()) / alpha;
  }
}

double beta_variate(double alpha, Stream& stream) {
  const double first = log_gamma_variate(alpha, stream);
  const double second = log_gamma_variate(alpha, stream);
  return 1 / (1 + std::exp(second - first));
}

}  // namespace

Mixing mix(const Augmentation& augmentation, std::span<float> pixels, std::int64_t size, const ImageShape& shape,
           Stream stream) {
  Mixing mixing;
  mixing.lambda = beta_variate(augmentation.cutmix > 0 ? augmentation.cutmix : augmentation.mixup, stream);
  mixing.partner.resize(static_cast<std::size_t>(size));
  std::iota(mixing.partner.begin(), mixing.partner.end(), std::int64_t{0});
  stream.shuffle(std::span(mixing.partner));

  const auto length = static_cast<std::size_t>(shape.pixels());
  const std::vector<float> before(pixels.begin(), pixels.end());
  const auto partner_of = [&](std::size_t i) {
    return std::span(before).subspan(static_cast<std::size_t>(mixing.partner[i]) * length, length);
  };
  if (augmentation.cutmix == 0) {
    const auto own = static_cast<float>(mixing.lambda), other = static_cast<float>(1 - mixing.lambda);
    for (std::size_t i = 0; i < mixing.partner.size(); ++i) {
      const std::span<const float> partner = partner_of(i);
      const std::span<float> sample = pixels.subspan(i * length, length);
      for (std::size_t p = 0; p < length; ++p) sample[p] = own * sample[p] + other * partner[p];
    }
    return mixing;
  }

  const double share = std::sqrt(1 - mixing.lambda);
  const auto y = static_cast<int>(stream.below(static_cast<std::uint64_t>(shape.height)));
  const auto x = static_cast<int>(stream.below(static_cast<std::uint64_t>(shape.width)));
  const auto height = static_cast<int>(share * static_cast<double>(shape.height));
  const auto width = static_cast<int>(share * static_cast<double>(shape.width));
  const cv::Rect whole(0, 0, static_cast<int>(shape.width), static_cast<int>(shape.height));
  const cv::Rect box = cv::Rect(x - width / 2, y - height / 2, width, height) & whole;
  for (std::size_t i = 0; i < mixing.partner.size(); ++i)
    for (std::int64_t row = 0; row < shape.channels * shape.height; ++row)
      if (const auto in_plane = row % shape.height; in_plane >= box.y && in_plane < box.y + box.height) {
        const auto begin = static_cast<std::size_t>(row * shape.width + box.x);
        std::ranges::copy(partner_of(i).subspan(begin, static_cast<std::size_t>(box.width)),
                          pixels.begin() + static_cast<std::ptrdiff_t>(i * length + begin));
      }
  mixing.lambda = 1 - static_cast<double>(box.area()) / static_cast<double>(whole.area());
  return mixing;
}

}  // namespace ulmus
