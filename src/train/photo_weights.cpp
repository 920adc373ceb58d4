#include "train/photo_weights.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>

#include "train/derived_options.hpp"
#include "train/weights.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/nn/script_facts.hpp"

namespace ulmus::detail {
namespace {

/// The model for photographs if its weights are stored.
constexpr const char* k_photo_model = "efficientnet-lite0";
constexpr std::int64_t k_smallest_photo = 48;  ///< shorter side; the small networks are better for smaller images
constexpr std::int64_t k_small_photo_size = 160;

/// The shape of the first image if it is a photograph: coloured and not tiny.
std::optional<ImageShape> first_photo(const RunOptions& o) {
  OpenOptions open = open_options(o);
  open.image_size.reset();
  const std::optional<ImageShape> first = first_image_shape(o.data, open);
  if (!first || first->channels != 3) return std::nullopt;
  return o.image_size.value_or(std::min(first->height, first->width)) >= k_smallest_photo ? first : std::nullopt;
}

}  // namespace

void resolve_weights(RunOptions& o) {
  if (o.model_file && !o.image_size)
    if (const auto facts = read_script_facts(*o.model_file); facts && first_photo(o)) o.image_size = facts->image_size;
  const bool photo_model = o.model.starts_with("efficientnet-lite");
  const bool wanted = o.weights == "auto" || (!o.weights && o.freeze == "auto" && (o.model == "auto" || photo_model));
  if (o.weights == "auto" || o.weights == "none") o.weights.reset();
  if (wanted) {
    const std::optional<ImageShape> photo = first_photo(o);
    const std::string model = o.model == "auto" ? k_photo_model : o.model;
    const auto stored = photo || o.model != "auto" ? stored_weights(model) : std::nullopt;
    if (stored) {
      o.model = model;
      o.weights = stored->string();
      if (o.freeze == "auto") o.freeze = "backbone";
      const std::string published = weights_fact(*stored, "image_size");
      const std::int64_t side = published.empty() ? k_small_photo_size : parse_integer(published, "image_size");
      if (photo && !o.image_size)
        o.image_size = std::min(photo->height, photo->width) >= side ? side : k_small_photo_size;
    } else if (photo && o.freeze == "auto" && !o.unfreeze && !o.views) {  // others need weights: plan_run() throws
      warn_once("weights", fmt::format("no weights of {} are stored in '{}'; 'script/weights {}' fetches them (17 MB), "
                                       "and a head on them usually classifies photographs far better than a network "
                                       "that starts from nothing",
                                       model, weights_folder().string(), model));
    }
  }
  if (o.freeze == "auto") o.freeze = o.unfreeze ? "backbone" : "none";
}

}  // namespace ulmus::detail
