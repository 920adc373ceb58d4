#include "train/trained.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "train/member.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/table.hpp"
#include "ulmus/eval/prior.hpp"
#include "ulmus/eval/temperature.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

std::string names_of(const std::vector<TrainedMember>& members) {
  std::vector<std::string> names;
  for (const TrainedMember& member : members) names.push_back(member.name());
  return join(names, "; ");
}

/// Balanced accuracy on the validation part, from the member's result; absent without one.
std::optional<double> validation_accuracy(const fs::path& folder, const TrainedMember& member) {
  const fs::path result = folder / "results" / member.checkpoint.stem().concat(".json");
  if (!fs::exists(result))
    refuse(
        fmt::format("'{}' has not finished, so the members of '{}' cannot be compared; choose one with --loss and "
                    "--seed, or finish it with 'ulmus compare --resume'",
                    member.name(), folder.string()));
  try {
    const Json json = parse_json(read_file(result));
    const Json& validation = json.at("validation");
    if (validation.is_null()) return std::nullopt;
    return validation.at("balanced_accuracy").get<double>();
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::data, fmt::format("'{}' is not the result of a member: {}; train again", result.string(),
                                             printable(error.what(), k_long_text)));
  }
}

}  // namespace

std::string TrainedMember::label() const { return member_name(info, loss); }

std::string TrainedMember::name() const { return fmt::format("{} seed {}", label(), info.seed); }

LossSpec TrainedMember::resolved() const {
  return info.chosen.empty() ? loss : loss.with(loss.automatic()->name, info.chosen);
}

Classifier TrainedMember::load(const std::string& model_file) {
  const SafetensorsFile file(checkpoint);
  info = read_checkpoint_info(file);
  loss = loss_of(info, checkpoint);
  return load_from(file, model_file);
}

Classifier TrainedMember::load_from(const SafetensorsFile& file, const std::string& model_file) const {
  const bool script = info.model.name.starts_with("torchscript:");
  if (!model_file.empty() && !script)
    refuse(fmt::format("--trust-model cannot apply: {} has the model '{}', which is no TorchScript file; leave it out",
                       name(), printable(info.model.name)));
  ModelOptions options = info.model;
  options.script = model_file;
  Classifier model = nullptr;
  try {
    model = make_model(options);
  } catch (const Error& error) {
    // The person asks for nothing but this file; a script that is missing is the person's to name.
    if (error.kind() != ErrorKind::usage || script) throw;
    throw Error(ErrorKind::data, fmt::format("checkpoint '{}' does not fit: {}", file.path().string(), error.what()));
  }
  load_checkpoint(file, model, nullptr);
  require_finite(file.path(), model);
  model->eval();
  return model;
}

std::vector<TrainedMember> all_members(const fs::path& folder) {
  std::vector<fs::path> paths;
  if (fs::is_directory(folder / "checkpoints"))
    for (const auto& entry : fs::directory_iterator(folder / "checkpoints"))
      if (entry.path().extension() == ".safetensors") paths.push_back(entry.path());
  std::ranges::sort(paths);
  std::vector<TrainedMember> members;
  for (const fs::path& path : paths) {
    CheckpointInfo info = read_checkpoint_info(SafetensorsFile(path));
    LossSpec loss = loss_of(info, path);
    members.push_back({path, std::move(info), std::move(loss)});
  }
  if (members.empty()) refuse(fmt::format("'{}' holds no checkpoint; train it first", folder.string()));
  return members;
}

std::vector<TrainedMember> find_members(const fs::path& folder, const std::string& loss, std::int64_t seed) {
  const std::vector<TrainedMember> all = all_members(folder);
  const bool tuned = std::ranges::any_of(all, [&](const TrainedMember& m) { return m.info.tuned == loss; });
  const std::string wanted = loss.empty() || tuned ? loss : LossSpec::parse(loss).text();
  std::vector<TrainedMember> chosen;
  for (const TrainedMember& member : all)
    if ((wanted.empty() || wanted == member.label()) &&
        (seed < 0 || static_cast<std::uint64_t>(seed) == member.info.seed))
      chosen.push_back(member);
  if (chosen.empty()) refuse(fmt::format("'{}' has no such member; choose one of {}", folder.string(), names_of(all)));
  return chosen;
}

TrainedMember choose_member(const fs::path& folder, const std::string& loss, std::int64_t seed) {
  std::vector<TrainedMember> members = find_members(folder, loss, seed);
  if (members.size() == 1) return members[0];
  struct Candidate {
    double sum = 0;
    std::vector<const TrainedMember*> seeds;
    double mean() const { return sum / static_cast<double>(seeds.size()); }
  };
  std::map<std::string, Candidate> losses;
  for (const TrainedMember& member : members) {
    const auto accuracy = validation_accuracy(folder, member);
    if (!accuracy)
      refuse(
          fmt::format("'{}' has several members and no validation part to choose one on; choose with --loss and "
                      "--seed one of {}",
                      folder.string(), names_of(members)));
    Candidate& candidate = losses[member.label()];
    candidate.sum += *accuracy;
    candidate.seeds.push_back(&member);
  }
  const auto best = std::ranges::max_element(losses, {}, [](const auto& entry) { return entry.second.mean(); });
  return **std::ranges::min_element(best->second.seeds, {}, [](const TrainedMember* m) { return m->info.seed; });
}

void require_same_data(const OpenedData& data, const Split& split, const fs::path& folder, std::string_view cure) {
  const std::string test_sha256 = data.test ? data.test->sha256() : "";
  if (data.train.sha256() != split.data_sha256 || test_sha256 != split.test_sha256)
    throw Error(ErrorKind::data,
                fmt::format("the data of '{}' have changed since it was trained; {}", folder.string(), cure));
}

void announce_notes(const OpenedData& data) {
  for (const std::string& note : all_notes(data)) warn_once(note, note);
}

OpenedData open_run_data(const RunOptions& options, const std::string& encoding,
                         const std::vector<std::string>& classes) {
  OpenOptions opening = open_options(options);
  opening.classes = classes;
  if (!encoding.empty()) opening.encoding = std::make_shared<const TableEncoding>(encoding_from_json(encoding));
  OpenedData data = open_data(options.data, opening);
  announce_notes(data);
  if (data.train_table && opening.encoding) encode_tables(data, *opening.encoding);
  return data;
}

void for_each_output(Classifier& model, const TrainedMember& member, const Dataset& data,
                     const std::vector<std::int64_t>& indices, int loader_threads, const Placement& placement,
                     const BatchVisitor& visit) {
  const ModelOptions& shape = member.info.model;
  if (shape.channels != data.shape().channels || shape.height != data.shape().height ||
      shape.width != data.shape().width || shape.classes != data.classes())
    throw Error(
        ErrorKind::data,
        fmt::format("'{}' has {} classes of images of {}x{}x{}, '{}' was trained on {} of {}x{}x{} (channels x height "
                    "x width); convert the images, or restore the checkpoint",
                    data.name(), data.classes(), data.shape().channels, data.shape().height, data.shape().width,
                    member.checkpoint.string(), shape.classes, shape.channels, shape.height, shape.width));
  std::span<const std::int64_t> ahead = indices;
  for_each_logits(model, data, indices, member.info.normalisation, loader_threads, placement,
                  [&](const torch::Tensor& logits, std::span<const std::int64_t> labels) {
                    if (const auto row = first_not_finite(logits))
                      throw Error(ErrorKind::numerical,
                                  fmt::format("what {} gives for sample {} of '{}' is infinite or not a number; its "
                                              "values are far from those that were trained on, correct or remove it",
                                              member.name(), ahead[static_cast<std::size_t>(*row)], data.name()));
                    visit(logits, labels);
                    ahead = ahead.subspan(labels.size());
                  });
}

std::optional<std::int64_t> first_not_finite(const torch::Tensor& rows) {
  const torch::Tensor finite = torch::isfinite(rows).flatten(1).all(1);
  if (finite.all().item<bool>()) return std::nullopt;
  return finite.logical_not().to(torch::kInt64).argmax().item<std::int64_t>();
}

void require_classes(const TrainedMember& member, const Split& split) {
  if (member.info.class_names == split.class_names && split.train_counts.size() == split.class_names.size()) return;
  throw Error(ErrorKind::data, fmt::format("checkpoint '{}' has other classes than split.json beside it; restore the "
                                           "one that does not belong to the run",
                                           member.checkpoint.string()));
}

Adjuster::Adjuster(const fs::path& folder, const RunOptions& options, const Adjustment& adjustment, Split split,
                   const std::string& encoding)
    : split_(std::move(split)),
      counts_(split_.train_counts, split_.class_names),
      posthoc_(PostHoc::parse(adjustment.posthoc)),
      loader_threads_(static_cast<int>(options.loader_threads)),
      placement_(make_placement(options)) {
  if (!adjustment.prior.empty()) {
    prior_ = parse_prior(adjustment.prior, counts_);
    assumed_prior(counts_.prior(), posthoc_, counts_);  // refuses what cannot be combined, before anything is read
  }
  if (adjustment.temperature == "auto") {
    fit_ = true;
    if (split_.validation.empty())
      refuse(
          fmt::format("--temperature auto is fitted on a validation part, and '{}' has none; train with --validation "
                      "N, or set a number",
                      folder.string()));
    data_ = open_run_data(options, encoding, split_.class_names);
    require_same_data(data_, split_, folder);
  } else if (!adjustment.temperature.empty()) {
    temperature_ = parse_number(adjustment.temperature, "--temperature, a number or 'auto',");
    if (temperature_ <= 0)
      refuse(fmt::format("--temperature is {}, expected a number above 0 or auto", adjustment.temperature));
  }
}

Adjuster::Reading Adjuster::read(const TrainedMember& member, Classifier& model) const {
  require_classes(member, split_);
  Reading reading{.scores = {.scale = member.loss.scale()}};
  if (posthoc_.kind == PostHoc::Kind::tau_norm) {
    if (member.info.model.head == Head::cosine)
      refuse(
          fmt::format("--posthoc {} cannot apply to {}: its cosine head is normalised already; leave it out, or "
                      "choose a member with a linear head by --loss",
                      posthoc_.text(), member.name()));
    const torch::NoGradGuard no_gradient;
    const HeadInputs head = model->head_inputs({});
    torch::Tensor weight = head.weight.detach().to(torch::kCPU, /*non_blocking=*/false, /*copy=*/true).contiguous();
    posthoc_.normalise({weight.data_ptr<float>(), weight.size(0), weight.size(1)});
    torch::Tensor(head.weight).copy_(weight);
    if (head.bias.defined()) torch::Tensor(head.bias).zero_();
  }
  posthoc_.apply(reading.scores, counts_);
  if (!prior_.empty()) {
    reading.assumed_prior = assumed_prior(assumed_prior(member.resolved(), counts_), posthoc_, counts_);
    correct_prior(reading.scores, reading.assumed_prior, prior_);
  }
  if (temperature_ != 0) reading.scores.temperature = temperature_;
  if (fit_) {
    // All at once, as the fit looks at them again and again.
    torch::Tensor logits = torch::empty({std::ssize(split_.validation), counts_.classes()}, torch::kFloat);
    std::vector<std::int64_t> labels;
    for_each_output(model, member, data_.train, split_.validation, loader_threads_, placement_,
                    [&](const torch::Tensor& of_batch, std::span<const std::int64_t> of_labels) {
                      logits.narrow(0, std::ssize(labels), of_batch.size(0)).copy_(of_batch);
                      labels.insert(labels.end(), of_labels.begin(), of_labels.end());
                    });
    reading.scores.temperature = fit_temperature(view_of(logits), labels, reading.scores, prior_);
    if (const double t = reading.scores.temperature; t == k_lowest_temperature || t == k_highest_temperature)
      warn_once("temperature-bound " + member.name(),
                fmt::format("the temperature of {} ends at its bound {}: the {} images of the validation part do "
                            "not determine it",
                            member.name(), format_number(t), split_.validation.size()));
  }
  return reading;
}

}  // namespace ulmus::detail
