#include "ulmus/train/proposal.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/class_counts.hpp"

namespace ulmus {
namespace {

constexpr double k_balanced_ratio = 3;
constexpr std::int64_t k_batch = 128;
constexpr std::int64_t k_most_validation = 20;
constexpr std::int64_t k_most_epochs = 200;

void propose_losses(Proposal& proposal, double ratio, bool features) {
  if (ratio < k_balanced_ratio) {
    proposal.losses = "ce";
    proposal.reasons.push_back(
        fmt::format("loss: the ratio {:.4g} is below 3, so plain cross entropy has little to correct", ratio));
  } else if (features) {
    proposal.losses = "ce,bs";
    proposal.reasons.push_back(
        fmt::format("loss: ratio {:.4g}; bs corrects for the class counts and keeps the linear head that features "
                    "usually get; ce shows what that gains",
                    ratio));
  } else {
    proposal.losses = "ce,ldam+drw,elm:lambda=0.5+drw";
    proposal.reasons.push_back(
        fmt::format("loss: ratio {:.4g}; margins that grow for rare classes (ldam, elm) with weights in the last fifth "
                    "of the epochs (drw); ce shows what they gain",
                    ratio));
  }
}

void propose_epochs(Proposal& proposal, std::int64_t samples, bool small) {
  const std::int64_t steps = small ? 2'000 : 20'000;
  const std::int64_t per_epoch = (samples + k_batch - 1) / k_batch;
  const std::int64_t tens = (steps + 10 * per_epoch - 1) / (10 * per_epoch);
  proposal.epochs = std::clamp<std::int64_t>(10 * tens, small ? 10 : 90, k_most_epochs);
  proposal.schedule = "cosine";
  proposal.reasons.push_back("schedule: cosine needs no milestones; step is the reference protocol's");
  proposal.reasons.push_back(
      fmt::format("epochs: {} times {} of {} are {} steps; a rule of thumb is {} for {}", proposal.epochs,
                  per_epoch == 1 ? "1 batch" : fmt::format("{} batches", per_epoch), k_batch,
                  proposal.epochs * per_epoch, steps, small ? "features and small grey images" : "images"));
}

void propose_validation(Proposal& proposal, std::int64_t rarest) {
  proposal.validation = std::min(rarest / 2, k_most_validation);
  proposal.reasons.push_back(
      proposal.validation == 0
          ? "validation: the rarest class has one training sample; the weights of the last epoch count"
          : fmt::format("validation: {} of every class leaves the rarest class {} of its {} training samples",
                        proposal.validation, rarest - proposal.validation, rarest));
}

std::string command_of(const Proposal& proposal, const Inspection& inspection, const OpenOptions& opened,
                       std::string_view imbalance) {
  std::string command = "ulmus compare";
  const auto add = [&](std::string_view option, const std::string& value) {
    command += fmt::format(" --{} {}", option, shell_quoted(value));
  };
  add("data", inspection.data);
  if (!opened.data_root.empty()) add("data-root", opened.data_root.string());
  if (opened.image_size) add("image-size", fmt::format("{}", *opened.image_size));
  if (opened.image_bits != 0) add("image-bits", fmt::format("{}", opened.image_bits));
  if (opened.max_pixels != k_max_pixels) add("max-pixels", fmt::format("{}", opened.max_pixels));
  if (!inspection.skipped.empty()) command += " --skip-bad";
  if (imbalance != "none") add("imbalance", std::string(imbalance));
  add("losses", proposal.losses);
  add("schedule", proposal.schedule);
  add("epochs", fmt::format("{}", proposal.epochs));
  if (proposal.validation > 0) add("validation", fmt::format("{}", proposal.validation));
  return command + " --seeds 3";
}

}  // namespace

std::optional<Proposal> propose_run(const Inspection& inspection, const OpenOptions& opened,
                                    std::string_view imbalance) {
  if (!inspection.empty.empty()) return std::nullopt;
  const ClassCounts counts(inspection.run_counts);
  const bool small =
      inspection.of_features || !inspection.shape ||
      (inspection.shape->channels == 1 && inspection.shape->height <= 32 && inspection.shape->width <= 32);
  Proposal proposal;
  propose_losses(proposal, counts.imbalance_ratio(), inspection.of_features);
  propose_epochs(proposal, counts.total(), small);
  propose_validation(proposal, std::ranges::min(counts.values()));
  proposal.command = command_of(proposal, inspection, opened, imbalance);
  return proposal;
}

std::string to_text(const Proposal& proposal) {
  std::string text = "to begin with:\n";
  for (const std::string& reason : proposal.reasons) text += fmt::format("  {}\n", reason);
  return text + fmt::format("\n  {}\n", proposal.command);
}

std::string to_json(const Inspection& inspection, const std::optional<Proposal>& proposal) {
  Json all = Json::parse(to_json(inspection));
  Json& json = all["proposal"];
  if (proposal)
    json = {{"losses", proposal->losses},         {"schedule", proposal->schedule}, {"epochs", proposal->epochs},
            {"validation", proposal->validation}, {"reasons", proposal->reasons},   {"command", proposal->command}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ulmus
