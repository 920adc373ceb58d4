#include "train/feature_shuffle.hpp"

#include <fmt/format.h>

#include "ulmus/base/error.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/data/sampler.hpp"

namespace ulmus::detail {

BlockShuffle choose_shuffle(const std::string& option, const FeatureExtent& features, const std::string& sampler,
                            std::int64_t memory) {
  const bool automatic = option == "auto", images = features.width == 0;
  const bool large = static_cast<double>(features.bytes_on_disk) > k_full_shuffle_share * static_cast<double>(memory);
  if (automatic && (images || !large)) return {};
  const BlockShuffle shuffle = BlockShuffle::parse(automatic ? "block" : option, images ? 1 : features.width);
  if (automatic || shuffle.rows == 0) return shuffle;
  if (images)
    throw Error(ErrorKind::usage, fmt::format("{} cannot apply: it is for features that are read from files, and the "
                                              "run trains on images; leave it out",
                                              option_name("shuffle", option)));
  const Sampler::Kind kind = Sampler::parse(sampler).kind;
  if (kind != Sampler::Kind::instance && kind != Sampler::Kind::deferred)
    throw Error(ErrorKind::usage, fmt::format("{} cannot apply: {} draws samples from all of the data; leave one out",
                                              option_name("shuffle", option), option_name("sampler", sampler)));
  return shuffle;
}

void require_memory(std::int64_t rows, std::int64_t width, const std::string& what) {
  const double needed = static_cast<double>(rows) * static_cast<double>(width) * sizeof(float);
  const auto memory = static_cast<double>(usable_memory());
  if (needed <= memory) return;
  throw Error(ErrorKind::environment,
              fmt::format("{} needs the features of {} samples in memory at once, {:.1f} GB, and there are {:.1f} GB; "
                          "use fewer samples or features, or a machine with more memory",
                          what, rows, needed / 1e9, memory / 1e9));
}

}  // namespace ulmus::detail
