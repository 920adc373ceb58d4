#include "ulmus/train/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "train/backbone_file.hpp"
#include "train/forward.hpp"
#include "train/frozen_features.hpp"
#include "train/pretrained.hpp"
#include "train/run_folder.hpp"
#include "train/torch_threads.hpp"
#include "train/trial_scheduler.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/machine.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/train/address_space.hpp"

namespace ulmus {

namespace fs = std::filesystem;

std::string command_text(const std::string& command, const RunOptions& options) {
  std::vector<std::string> pieces = {"ulmus", command};
  const RunOptions defaults;
  std::vector<std::string> default_texts;
  visit_options(defaults,
                [&](const char*, const auto& value, const char*) { default_texts.push_back(option_text(value)); });
  std::size_t i = 0;
  visit_options(options, [&](const char* name, const auto& value, const char*) {
    const std::string text = option_text(value);
    if (text == default_texts[i++]) return;
    pieces.push_back(fmt::format("--{}", name));
    if constexpr (!std::is_same_v<std::decay_t<decltype(value)>, bool>) pieces.push_back(shell_quoted(text));
  });
  return join(pieces, " ");
}

namespace {

/// The features of every sample that the run trains or evaluates on.
detail::FrozenData compute_features(const Plan& plan, Classifier& model, const fs::path& folder,
                                    const RunHooks& hooks) {
  detail::set_torch_threads(usable_cores());
  detail::FeatureOptions how{.folder = folder / "features",
                             .others = detail::feature_folders_beside(folder),
                             .normalisation = plan.normalisation,
                             .half = plan.options.feature_precision == "f16",
                             .loader_threads = static_cast<int>(std::max<std::int64_t>(1, plan.options.loader_threads)),
                             .placement = detail::make_placement(plan.options),
                             .progress = hooks.features,
                             .stop = hooks.stop};
  detail::place(model, how.placement);
  const Split& split = plan.split;
  std::vector<std::int64_t> indices = split.train;
  indices.insert(indices.end(), split.validation.begin(), split.validation.end());
  if (!plan.data.test) indices.insert(indices.end(), split.test.begin(), split.test.end());
  detail::FrozenData frozen{.train = detail::with_features(model, plan.data.train, indices, how), .test = {}};
  if (plan.data.test)
    frozen.test = detail::with_features(model, *plan.data.test, detail::all_indices(*plan.data.test), how);
  for (std::int64_t view = 0; view < plan.options.views.value_or(0); ++view) {
    how.view = {.augmentation = plan.augmentation, .seed = plan.options.seed, .number = view};
    frozen.views.push_back(detail::with_features(model, plan.data.train, split.train, how));
  }
  return frozen;
}

/// Stores the frozen backbone of a run, if it has one, and computes features where heads are trained on them.
detail::FrozenBackbone prepare_backbone(const Plan& plan, const fs::path& folder, const RunHooks& hooks) {
  if (plan.options.freeze != "backbone") return {};
  Classifier model = detail::make_pretrained(plan.options, plan.data.train, Head::linear, plan.weights.get()).model;
  detail::FrozenBackbone frozen;
  if (!plan.options.unfreeze) frozen.sha256 = detail::store_backbone(folder, model);
  if (trains_on_features(plan)) frozen.features = compute_features(plan, model, folder, hooks);
  return frozen;
}

}  // namespace

void execute(const Plan& plan, const fs::path& folder, const std::string& command, const RunHooks& hooks, bool resume) {
  detail::require_address_space(plan.jobs(), plan.threads());
  const detail::RunFolderLock lock(folder, resume);
  const fs::path split_file = folder / "split.json";
  // Ulmus 0.1 wrote config.toml first, and may have been killed before it wrote the split.
  if (resume && (detail::holds_trained_models(folder) || fs::exists(split_file))) {
    const Split before = read_split(split_file);
    if (before.sha256 != plan.split.sha256)
      throw Error(
          ErrorKind::data,
          fmt::format("the data of '{}' have changed: split {} was made, {} is recorded; restore the data or start a "
                      "new run",
                      folder.string(), plan.split.sha256.substr(0, 12), before.sha256.substr(0, 12)));
  } else {
    write_file(split_file, to_json(plan.split));
    if (!plan.columns.empty()) write_file(folder / "columns.json", to_json(plan.columns) + "\n");
    if (const auto notes = all_notes(plan.data); !notes.empty())
      write_file(folder / "notes.json", Json(notes).dump(2) + "\n");
  }
  // Last, because config.toml makes the folder a run.
  if (!resume)
    write_file(folder / "config.toml",
               fmt::format("# {}\n{}", command_text(command, plan.options), to_toml(plan.options)));

  const detail::FrozenBackbone frozen = prepare_backbone(plan, folder, hooks);
  detail::TrialScheduler(plan, folder, hooks, frozen).run();
}

}  // namespace ulmus
