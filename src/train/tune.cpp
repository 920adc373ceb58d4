#include "ulmus/train/tune.hpp"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "train/checkpoint.hpp"
#include "train/feature_cache.hpp"
#include "train/head_fit.hpp"
#include "train/inference.hpp"
#include "train/member.hpp"
#include "train/safetensors.hpp"
#include "train/trained.hpp"
#include "ulmus/base/digest.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/folder_lock.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/threads.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/data/table.hpp"
#include "ulmus/train/address_space.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;
using detail::CheckpointInfo;
using detail::FeatureSet;
using detail::HeadFitOptions;
using detail::HeadWeights;
using detail::TrainedMember;

constexpr std::size_t k_most_candidates = 10'000;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

/// A second stage that is no loss of the family.
enum class Stage { crt, tau_norm, lws };
struct StageName {
  const char* name;
  Stage stage;
};
constexpr StageName k_stages[] = {{"crt", Stage::crt}, {"tau-norm", Stage::tau_norm}, {"lws", Stage::lws}};

/// The dial of a loss, and where it is tried when nothing is said.
struct Dial {
  const char* entry;
  const char* key;
  const char* values;
};
constexpr Dial k_dials[] = {{"elm", "lambda", "0:1:0.1"}, {"la", "tau", "0.5:2:0.25"}, {"tau-norm", "tau", "0:1:0.1"}};

struct GridKey {
  std::string name;
  std::vector<std::string> values;
  bool used = false;
};

/// "0.3" or "0:1:0.1" as values.
std::vector<std::string> grid_values(const std::string& text, const std::string& key) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() == 1) return {text};
  const std::string what = fmt::format("the range '{}' of {} in --grid", text, key);
  if (parts.size() != 3) refuse(fmt::format("{} is not FIRST:LAST:STEP; write for example {}=0:1:0.1", what, key));
  const double first = parse_number(parts[0], what), last = parse_number(parts[1], what),
               step = parse_number(parts[2], what);
  const double count = std::floor((last - first) / step * (1 + 1e-9)) + 1;
  if (!(step > 0) || !(last >= first))
    refuse(fmt::format("{} goes nowhere, expected FIRST at most LAST and STEP above 0", what));
  if (count > static_cast<double>(k_most_candidates))
    refuse(
        fmt::format("{} has {:.0f} values, expected at most {}; take a larger step", what, count, k_most_candidates));
  std::vector<std::string> values;
  // Twelve digits, so that 3 * 0.1 is 0.3.
  for (int i = 0; i < static_cast<int>(count); ++i)
    values.push_back(format_number(std::stod(fmt::format("{:.12g}", first + i * step))));
  return values;
}

std::vector<GridKey> parse_grid(const std::string& text) {
  std::vector<GridKey> grid;
  if (text.empty()) return grid;
  for (const std::string& piece : split(text, ',')) {
    const std::size_t equals = piece.find('=');
    if (equals == std::string::npos && grid.empty())
      refuse(fmt::format("--grid '{}' does not begin with KEY=; write for example lambda=0:1:0.1", text));
    if (equals != std::string::npos) {
      GridKey key{.name = piece.substr(0, equals), .values = {}};
      for (const GridKey& other : grid)
        if (other.name == key.name)
          refuse(fmt::format("key '{}' comes twice in --grid '{}'; keep one", key.name, text));
      grid.push_back(std::move(key));
    }
    for (const std::string& value :
         grid_values(piece.substr(equals == std::string::npos ? 0 : equals + 1), grid.back().name)) {
      if (value.empty()) refuse(fmt::format("--grid '{}' has an empty value of {}", text, grid.back().name));
      if (std::ranges::find(grid.back().values, value) == grid.back().values.end()) grid.back().values.push_back(value);
    }
  }
  return grid;
}

/// What a candidate is made of; `stage` is none for a loss.
struct Recipe {
  TuneCandidate shown;
  std::optional<Stage> stage;
  LossSpec loss;  ///< it is fitted with, and that has its scale
  double tau = 0;
};

/// An entry of the list of losses.
class Entry {
 public:
  Entry(const std::string& text, const LossSpec& trained, Head trained_head) : text_(text) {
    const std::string name = text.substr(0, text.find_first_of(":+="));
    for (const StageName& known : k_stages)
      if (name == known.name) stage_ = known.stage;
    if (!stage_) {
      loss_ = parse_loss(text);
      return;
    }
    if (*stage_ != Stage::crt && trained_head == Head::cosine)
      refuse(
          fmt::format("'{}' cannot apply to {}: its cosine head has weights of one length already; leave it out, or "
                      "tune a member with a linear head",
                      name, trained.text()));
    if (*stage_ == Stage::crt) {
      loss_ = LossSpec::parse("ce");
    } else if (*stage_ == Stage::lws) {
      loss_ = LossSpec::parse("ce").with("scale", format_number(trained.scale()));
    } else {
      loss_ = trained;
      set("tau", "0.5");
      const std::string start = name + ":tau=";
      if (text.starts_with(start)) {
        set("tau", text.substr(start.size()));
        return;
      }
    }
    if (text != name)
      refuse(fmt::format("'{}' in --losses has no such key or rule; write {}", text,
                         *stage_ == Stage::tau_norm ? "tau-norm or tau-norm:tau=0.5" : name));
  }

  bool has(const std::string& key) const {
    if (stage_) return *stage_ == Stage::tau_norm && key == "tau";
    return loss_->keys().has(key) || (loss_->rule() && loss_->rule_keys().has(key));
  }

  /// Whether the text of the entry gives the key a value.
  bool gives(const std::string& key) const {
    return text_.find(":" + key + "=") != std::string::npos || text_.find("," + key + "=") != std::string::npos;
  }

  void set(const std::string& key, const std::string& value) {
    if (!stage_) {
      loss_ = loss_->with(key, value);
      return;
    }
    tau_ = parse_number(value, "tau of tau-norm");
    if (!(tau_ >= 0 && tau_ <= 2)) refuse(fmt::format("tau of tau-norm is {}, expected in [0, 2]", value));
    name_ = fmt::format("tau-norm:tau={}", format_number(tau_));
  }

  const std::string& text() const { return text_; }

  Recipe recipe(std::vector<std::string> values, const HeadWeights& trained) const {
    const bool keeps_head = stage_ && *stage_ != Stage::crt;
    const Head head = keeps_head ? trained.kind : loss_->choose_head("");
    return {.shown = {.name = !stage_         ? loss_->text()
                              : name_.empty() ? text_
                                              : name_,
                      .entry = text_,
                      .values = std::move(values),
                      .head = head,
                      .scale = loss_->scale(),
                      .validation = {}},
            .stage = stage_,
            .loss = *loss_,
            .tau = tau_};
  }

 private:
  /// The nearest name may be that of a stage.
  static LossSpec parse_loss(const std::string& text) {
    std::vector<std::string> names;
    for (const LossDefinition& definition : family()) names.emplace_back(definition.name);
    for (const StageName& known : k_stages) names.emplace_back(known.name);
    const std::string name = text.substr(0, text.find_first_of(":+="));
    if (std::ranges::find(names, name) == names.end())
      refuse(fmt::format("unknown loss or second stage '{}' in --losses; {}", name, suggest(name, names)));
    LossSpec loss = LossSpec::parse(text);
    if (const Key* key = loss.automatic())
      refuse(fmt::format("'{}' in --losses chooses {} while it trains; here write {} and --grid {}=0:1:0.1", text,
                         key->name, loss.definition().name, key->name));
    return loss;
  }

  std::string text_, name_;
  std::optional<Stage> stage_;
  std::optional<LossSpec> loss_;
  double tau_ = 0;  ///< of tau-norm
};

/// Every combination of the grid's values that apply to an entry.
void add_recipes(const Entry& entry, std::vector<GridKey>& grid, std::size_t from, std::vector<std::string> values,
                 const HeadWeights& trained, std::vector<Recipe>& recipes) {
  while (from < grid.size() && !entry.has(grid[from].name)) ++from;
  if (from == grid.size()) {
    if (recipes.size() == k_most_candidates)
      refuse(fmt::format("--losses and --grid make more than {} heads; take fewer values", k_most_candidates));
    recipes.push_back(entry.recipe(std::move(values), trained));
    return;
  }
  GridKey& key = grid[from];
  if (entry.gives(key.name))
    refuse(fmt::format("key '{}' has a value in '{}' and others in --grid; keep one", key.name, entry.text()));
  key.used = true;
  for (const std::string& value : key.values) {
    Entry one = entry;
    one.set(key.name, value);
    std::vector<std::string> more = values;
    more.push_back(fmt::format("{}={}", key.name, value));
    add_recipes(one, grid, from + 1, std::move(more), trained, recipes);
  }
}

std::vector<Recipe> make_recipes(const TuneOptions& options, const LossSpec& trained, const HeadWeights& head) {
  const std::string list = !options.losses.empty()     ? options.losses
                           : head.kind == Head::cosine ? "elm+drw,elm,la,crt"
                                                       : "elm+drw,elm,la,crt,tau-norm,lws";
  std::vector<GridKey> grid = parse_grid(options.grid);
  std::vector<Recipe> recipes;
  for (const std::string& text : split_losses(list)) {
    const Entry entry(text, trained, head.kind);
    std::vector<GridKey> own;
    if (options.grid.empty())
      for (const Dial& dial : k_dials)
        if (text.substr(0, text.find_first_of(":+")) == dial.entry && !entry.gives(dial.key))
          own = parse_grid(fmt::format("{}={}", dial.key, dial.values));
    add_recipes(entry, options.grid.empty() ? own : grid, 0, {}, head, recipes);
  }
  for (const GridKey& key : grid)
    if (!key.used)
      refuse(fmt::format("no loss of '{}' has the key '{}' of --grid; leave it out, or add a loss that has it", list,
                         key.name));
  for (std::size_t i = 0; i < recipes.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (recipes[i].shown.name == recipes[k].shown.name)
        refuse(fmt::format("'{}' comes twice in --losses and --grid; keep one", recipes[i].shown.name));
  return recipes;
}

/// The one trained member that the options select; those that tune made are no choice.
TrainedMember find_member(const fs::path& folder, const TuneOptions& options) {
  std::vector<TrainedMember> members = detail::all_members(folder), wanted;
  std::erase_if(members, [](const TrainedMember& member) { return !member.info.tuned.empty(); });
  std::vector<std::string> known;
  for (const TrainedMember& member : members) {
    known.push_back(member.name());
    if ((options.loss.empty() || LossSpec::parse(options.loss) == member.loss) &&
        (options.seed < 0 || static_cast<std::uint64_t>(options.seed) == member.info.seed))
      wanted.push_back(member);
  }
  if (wanted.empty())
    refuse(fmt::format("'{}' has no such member; choose one of {}", folder.string(), join(known, "; ")));
  if (wanted.size() > 1)
    refuse(fmt::format("'{}' has {} members to tune; choose one by --loss and --seed: {}", folder.string(),
                       wanted.size(), join(known, "; ")));
  if (wanted[0].info.epochs_done < wanted[0].info.epochs)
    refuse(fmt::format("{} has trained {} of {} epochs; finish it first by 'ulmus compare --resume {}'",
                       wanted[0].name(), wanted[0].info.epochs_done, wanted[0].info.epochs, folder.string()));
  return wanted[0];
}

/// The features of training and validation part.
struct Features {
  FeatureSet train, validation;
};

torch::Tensor tensor_of(const std::vector<std::int64_t>& values) { return torch::tensor(values, torch::kInt64); }

/// What was kept of an earlier call, if it is of this checkpoint and split. A file that has the right origin and not
/// the tensors of it is damaged.
std::optional<Features> read_features(const fs::path& path, const std::string& origin, const Split& split,
                                      std::int64_t width) {
  if (!fs::exists(path)) return std::nullopt;
  const detail::SafetensorsFile file(path);
  const auto cached = detail::find_cached(
      file, origin, {{"train", std::ssize(split.train)}, {"validation", std::ssize(split.validation)}}, width,
      std::ssize(split.class_names));
  if (!cached) return std::nullopt;
  const auto read = [&](const std::string& part) {
    const detail::CachedPart& of = cached->at(part);
    FeatureSet set{.features = torch::empty({std::ssize(of.labels), width}, torch::kFloat), .labels = of.labels};
    file.read(of.features, set.features.data_ptr());
    if (!torch::isfinite(set.features).all().item<bool>()) detail::refuse_cached(path, part, std::ssize(of.labels));
    return set;
  };
  return Features{.train = read("train"), .validation = read("validation")};
}

Features features_of(const fs::path& path, const std::string& origin, Classifier& model, const Dataset& data,
                     const Split& split, const Normalisation& normalisation, int loader_threads,
                     const detail::Placement& placement) {
  if (auto kept = read_features(path, origin, split, detail::head_of(model).weight.size(1))) return std::move(*kept);
  const auto extract = [&](const std::vector<std::int64_t>& indices) {
    return detail::extract_features(model, data, indices, normalisation, loader_threads, placement);
  };
  detail::place(model, placement);
  Features features{.train = extract(split.train), .validation = extract(split.validation)};
  const std::pair<const FeatureSet*, const std::vector<std::int64_t>*> parts[] = {
      {&features.train, &split.train}, {&features.validation, &split.validation}};
  for (const auto& [set, indices] : parts)
    if (const auto row = detail::first_not_finite(set->features))
      throw Error(ErrorKind::numerical,
                  fmt::format("the features of sample {} of '{}' are infinite or not numbers; correct or remove it",
                              (*indices)[static_cast<std::size_t>(*row)], data.name()));
  model->to(torch::kCPU);  // where heads are fitted
  make_folder(path.parent_path());
  write_file(path,
             detail::encode_safetensors({.tensors = {{"train", features.train.features},
                                                     {"train.labels", tensor_of(features.train.labels)},
                                                     {"validation", features.validation.features},
                                                     {"validation.labels", tensor_of(features.validation.labels)}},
                                         .metadata = {{detail::k_cache_origin, origin}}}));
  return features;
}

/// One head and how it does on the validation part.
struct Fitted {
  HeadWeights head;
  Evaluation validation;
};

Fitted fit(const Recipe& recipe, const HeadWeights& trained, const Features& features, const ClassCounts& counts,
           HeadFitOptions options) {
  HeadWeights head;
  if (recipe.stage) options.sampler = {.kind = Sampler::Kind::balanced};
  if (!recipe.stage || *recipe.stage == Stage::crt)
    head = detail::fit_head(features.train, recipe.loss, counts, recipe.shown.head, options);
  else if (*recipe.stage == Stage::lws)
    head = detail::fit_class_scales(features.train, recipe.loss, counts, trained, options);
  else
    head = detail::tau_normalised(trained, recipe.tau);
  return {.head = head, .validation = detail::judge_head(head, features.validation, counts, recipe.shown.scale)};
}

/// Every recipe, several at a time, each on one thread, so that the bits do not depend on how many.
std::vector<Fitted> fit_all(const std::vector<Recipe>& recipes, const HeadWeights& trained, const Features& features,
                            const ClassCounts& counts, const HeadFitOptions& options, std::size_t jobs,
                            const std::function<bool()>& stop) {
  std::vector<Fitted> fitted(recipes.size());
  std::atomic<std::size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    at::set_num_threads(1);
    for (std::size_t i; (i = next++) < recipes.size();) try {
        if (stop && stop()) throw Error(ErrorKind::interrupted, "interrupted; nothing was chosen");
        fitted[i] = fit(recipes[i], trained, features, counts, options);
      } catch (...) {
        next = recipes.size();
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
  };
  detail::run_on_threads(std::min(jobs, recipes.size()), work);
  if (error) std::rethrow_exception(error);
  return fitted;
}

/// The backbone with another head.
Classifier with_head(const Classifier& model, ModelOptions options, const HeadWeights& head) {
  const torch::NoGradGuard no_gradient;
  options.head = head.kind;
  Classifier changed = make_model(options);
  const auto copy = [](const auto& from, const auto& to) {
    for (const auto& item : to)
      if (!item.key().starts_with("fc.")) item.value().copy_(from[item.key()]);
  };
  copy(model->named_parameters(), changed->named_parameters());
  copy(model->named_buffers(), changed->named_buffers());
  detail::set_head(changed, head);
  return changed;
}

/// Position of the member's loss in the run's list, so that a report shows the new member behind it.
std::int64_t order_of(const LossSpec& loss, const RunOptions& options) {
  const std::vector<LossSpec> losses = parse_losses(options.losses);
  const auto found = std::ranges::find(losses, loss);
  return found == losses.end() ? 0 : found - losses.begin();
}

}  // namespace

Tuning tune(const fs::path& folder, const RunOptions& run_options, const TuneOptions& options,
            const std::function<bool()>& stop) {
  if (options.jobs < 0 || options.jobs > 256)
    refuse(fmt::format("--jobs is {}, expected 1 to 256, or 0 for as many as there are cores", options.jobs));
  const FolderLock lock(folder);
  const Split split = read_split(folder / "split.json");
  if (split.validation.empty())
    refuse(
        fmt::format("'{}' has no validation part to choose on; train it again with --validation N, for example "
                    "--validation 20",
                    folder.string()));
  TrainedMember member = find_member(folder, options);
  detail::require_classes(member, split);
  Classifier model = member.load(run_options.model_file);
  const HeadWeights trained = detail::head_of(model);
  const std::vector<Recipe> recipes = make_recipes(options, member.loss, trained);

  const OpenedData data = detail::open_run_data(run_options, member.info.encoding, split.class_names);
  detail::require_same_data(data, split, folder, "restore them");
  const ClassCounts counts(split.train_counts, split.class_names);
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  at::set_num_threads(static_cast<int>(cores));
  detail::require_address_space(cores, 1);
  const int loader_threads = static_cast<int>(run_options.loader_threads);
  const detail::Placement placement = detail::make_placement(run_options);
  const std::string origin = sha256(read_file(member.checkpoint)) + " " + split.sha256;
  const Features features = features_of(folder / "features" / member.checkpoint.filename(), origin, model, data.train,
                                        split, member.info.normalisation, loader_threads, placement);

  const std::vector<Fitted> fitted =
      fit_all(recipes, trained, features, counts, detail::fit_options(run_options, member.info.seed),
              options.jobs == 0 ? cores : static_cast<std::size_t>(options.jobs), stop);
  Tuning tuning{.loss = member.loss.text(),
                .seed = member.info.seed,
                .data = split.data,
                .validation_per_class = split.options.validation_per_class};
  std::vector<Evaluation> evaluations = {detail::judge_head(trained, features.validation, counts, member.loss.scale())};
  tuning.candidates.push_back({.name = "as trained",
                               .entry = "",
                               .values = {},
                               .head = trained.kind,
                               .scale = member.loss.scale(),
                               .validation = evaluations[0]});
  for (std::size_t i = 0; i < recipes.size(); ++i) {
    evaluations.push_back(fitted[i].validation);
    tuning.candidates.push_back(recipes[i].shown);
    tuning.candidates.back().validation = fitted[i].validation;
  }
  tuning.chosen = detail::best_of(evaluations);
  if (!options.apply || tuning.chosen == 0) return tuning;

  const Recipe& recipe = recipes[tuning.chosen - 1];
  tuning.member = fmt::format("{}/{}", tuning.loss, recipe.shown.name);
  CheckpointInfo info = member.info;
  info.loss = recipe.loss.full_text();
  info.model.head = recipe.shown.head;
  info.tuned = tuning.member;
  info.loss_state.clear();
  info.chosen.clear();
  ModelOptions model_options = member.info.model;
  model_options.script = run_options.model_file;
  Classifier changed = with_head(model, std::move(model_options), fitted[tuning.chosen - 1].head);
  const std::string slug = slug_of(tuning.member, info.seed);
  const fs::path checkpoint = folder / "checkpoints" / (slug + ".safetensors");
  if (fs::exists(checkpoint) && detail::read_checkpoint_info(detail::SafetensorsFile(checkpoint)).tuned.empty())
    refuse(fmt::format("'{}' is a trained member, which is not overwritten; rename it", checkpoint.string()));
  detail::place(changed, placement);
  const auto judge = [&](const Dataset& on, const std::vector<std::int64_t>& indices) {
    return detail::evaluate_model(changed, on, indices, counts, info.normalisation, recipe.shown.scale, loader_threads,
                                  placement);
  };
  const Json result = {
      {"schema_version", k_result_schema_version},
      {"loss", tuning.member},
      {"loss_full", fmt::format("{}/{}", member.loss.full_text(), recipe.stage ? recipe.shown.name : info.loss)},
      {"order", order_of(member.loss, run_options)},
      {"seed", info.seed},
      {"epochs", info.epochs},
      {"model", info.model.name},
      {"head", std::string(name_of(info.model.head))},
      {"scale", recipe.shown.scale},
      {"parameters", parameter_count(*changed)},
      {"seconds", info.seconds},
      {"train", judge(data.train, split.train)},
      {"test", data.test ? judge(*data.test, detail::all_of(*data.test)) : judge(data.train, split.test)},
      {"validation", judge(data.train, split.validation)},
      {"selection", {{"chosen", fmt::format("head {}", recipe.shown.name)}, {"candidates", tuning.candidates.size()}}}};
  detail::save_checkpoint(checkpoint, info, changed, nullptr);
  write_file(folder / "results" / (slug + ".json"), result.dump() + "\n");
  return tuning;
}

}  // namespace ulmus
