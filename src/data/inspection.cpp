#include "ulmus/data/inspection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "data/duplicates.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/loss/class_counts.hpp"

namespace ulmus {
namespace {

using Counts = std::vector<std::int64_t>;

std::string number_text(std::int64_t number, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", number, number == 1 ? one : many);
}

// ---- counts

double gini(Counts counts) {
  std::ranges::sort(counts);
  const auto classes = static_cast<double>(counts.size());
  double weighted = 0;
  double total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    weighted += (2 * static_cast<double>(i + 1) - classes - 1) * static_cast<double>(counts[i]);
    total += static_cast<double>(counts[i]);
  }
  return weighted / (classes * total);
}

Counts classes_with(const Counts& counts, std::int64_t count) {
  Counts classes;
  for (std::size_t c = 0; c < counts.size(); ++c)
    if (counts[c] == count) classes.push_back(static_cast<std::int64_t>(c));
  return classes;
}

/// A table has columns until its encoding, and with it the number of features, is learnt from a split.
std::string samples_text(const OpenedData& data) {
  if (data.train_table)
    return fmt::format("rows of {} columns",
                       std::ranges::count_if(data.train_table->columns, &std::string::empty, &TableColumn::left_out));
  const ImageShape& shape = data.train.shape;
  if (data.train.is_features()) return fmt::format("rows of {} features", shape.channels);
  return fmt::format("images of {}x{}x{}", shape.channels, shape.height, shape.width);
}

// ---- what to begin with

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
  proposal.reasons.push_back(fmt::format("epochs: {} times {} of {} are {} steps; a rule of thumb is {} for {}",
                                         proposal.epochs, number_text(per_epoch, "batch", "batches"), k_batch,
                                         proposal.epochs * per_epoch, steps,
                                         small ? "features and small grey images" : "images"));
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

/// `counts` are those that a run trains on.
Proposal propose(const OpenedData& data, const ClassCounts& counts, const Inspection& inspection,
                 const OpenOptions& opened, std::string_view imbalance) {
  const ImageShape& shape = data.train.shape;
  const bool small = data.train.is_features() || (shape.channels == 1 && shape.height <= 32 && shape.width <= 32);
  Proposal proposal;
  propose_losses(proposal, counts.imbalance_ratio(), data.train.is_features());
  propose_epochs(proposal, counts.total(), small);
  propose_validation(proposal, std::ranges::min(counts.values()));
  proposal.command = command_of(proposal, inspection, opened, imbalance);
  return proposal;
}

}  // namespace

Inspection inspect(const OpenedData& data, const InspectionOptions& options, const OpenOptions& opened) {
  const SplitCounts of_run = split_counts(data, {.imbalance = options.imbalance});
  const bool made = options.imbalance != "none";
  Inspection inspection;
  inspection.data = data.train.name;
  inspection.sha256 = data.train.sha256;
  inspection.samples = samples_text(data);
  if (!data.train_table) inspection.shape = data.train.shape;
  inspection.class_names = data.train.class_names;
  inspection.train_counts = made ? of_run.train : data.train.counts();
  inspection.held_out = made && !data.test;
  if (data.test)
    inspection.test_counts = data.test->counts();
  else if (made)
    inspection.test_counts = of_run.test;

  const ClassCounts counts(inspection.train_counts);
  inspection.imbalance_ratio = counts.imbalance_ratio();
  inspection.gini = gini(inspection.train_counts);
  for (const std::int64_t n : counts.values()) switch (shot_group(n)) {
      case ShotGroup::many:
        ++inspection.many_shot;
        break;
      case ShotGroup::medium:
        ++inspection.medium_shot;
        break;
      case ShotGroup::few:
        ++inspection.few_shot;
        break;
    }
  inspection.empty = classes_with(inspection.train_counts, 0);
  inspection.single = classes_with(inspection.train_counts, 1);
  if (inspection.test_counts) inspection.missing_in_test = classes_with(*inspection.test_counts, 0);
  if (data.train_table) inspection.columns = summarise(*data.train_table);
  inspection.skipped = data.skipped;
  inspection.skipped_files = data.skipped_files;
  inspection.notes = all_notes(data);
  if (!options.quick) detail::find_duplicates(data, options.threads, inspection);
  if (inspection.empty.empty())
    inspection.proposal = propose(data, ClassCounts(of_run.train), inspection, opened, options.imbalance);
  return inspection;
}

Inspection inspect(std::string_view address, OpenOptions open, const InspectionOptions& options) {
  const detail::Address parsed = detail::parse_address(address);
  const bool cifar = parsed.source == "cifar10" || parsed.source == "cifar100";
  const bool image_files =
      parsed.source == "folder" || parsed.source == "list" || (cifar && detail::cifar_is_folders(parsed.source, open));
  // A list with a size is opened without decoding its images, and has another SHA-256 then: that of a run without
  // --skip-bad. Only an image that cannot be decoded makes a difference.
  if (!image_files || (parsed.source == "list" && open.image_size)) try {
      return inspect(open_data(address, open), options, open);
    } catch (const Error& error) {
      if (!image_files || error.kind() != ErrorKind::data) throw;
    }
  open.skip_bad = true;
  return inspect(open_data(address, open), options, open);
}

}  // namespace ulmus
