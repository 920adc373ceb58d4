#include "ulmus/data/inspection.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "data/duplicates.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/loss/class_counts.hpp"

namespace ulmus {
namespace {

using Counts = std::vector<std::int64_t>;

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

/// A table has columns until its encoding, which determines the number of features, is learnt from a split.
std::string samples_text(const OpenedData& data) {
  if (data.train_table)
    return fmt::format("rows of {} columns",
                       std::ranges::count_if(data.train_table->columns, &std::string::empty, &TableColumn::left_out));
  const ImageShape& shape = data.train.shape();
  if (data.train.is_features()) return fmt::format("rows of {} features", shape.channels);
  return fmt::format("images of {}x{}x{}", shape.channels, shape.height, shape.width);
}

}  // namespace

Inspection inspect(const OpenedData& data, const InspectionOptions& options) {
  const SplitCounts of_run = split_counts(data, {.imbalance = options.imbalance});
  const bool made = options.imbalance != "none";
  Inspection inspection;
  inspection.data = data.train.name();
  inspection.sha256 = data.train.sha256();
  inspection.samples = samples_text(data);
  if (!data.train_table) inspection.shape = data.train.shape();
  inspection.of_features = data.train.is_features();
  inspection.class_names = data.train.class_names();
  inspection.train_counts = made ? of_run.train : data.train.counts();
  inspection.held_out = made && !data.test;
  if (data.test)
    inspection.test_counts = data.test->counts();
  else if (made)
    inspection.test_counts = of_run.test;

  inspection.run_counts = of_run.train;

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
  return inspection;
}

Inspection inspect(std::string_view address, OpenOptions open, const InspectionOptions& options) {
  const detail::Address parsed = detail::parse_address(address);
  const bool cifar = parsed.source == "cifar10" || parsed.source == "cifar100";
  const bool image_files =
      parsed.source == "folder" || parsed.source == "list" || (cifar && detail::cifar_is_folders(parsed.source, open));
  // A list with a size is opened without decoding its images; its SHA-256 then equals that of a run without --skip-bad.
  // Only an undecodable image makes a difference.
  if (!image_files || (parsed.source == "list" && open.image_size)) try {
      return inspect(open_data(address, open), options);
    } catch (const Error& error) {
      if (!image_files || error.kind() != ErrorKind::data) throw;
    }
  open.skip_bad = true;
  return inspect(open_data(address, open), options);
}

}  // namespace ulmus
