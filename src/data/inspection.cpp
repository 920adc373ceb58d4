#include "ulmus/data/inspection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>
#include <unordered_map>

#include "base/threads.hpp"
#include "data/cells.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/json.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/data/table.hpp"
#include "ulmus/loss/class_counts.hpp"

namespace ulmus {
namespace {

using Counts = std::vector<std::int64_t>;

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

std::string number_text(std::int64_t number, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", number, number == 1 ? one : many);
}

// ---- samples that come twice

/// One part of the data; `table` of `csv:` alone.
struct Part {
  const Dataset& data;
  const Table* table;
  std::string_view sample;  ///< what a sample of it is called
};

/// What a row of a table holds, its columns in the order of `columns`. -0 is 0, and all ways of writing that a cell is
/// missing are the same.
std::string row_bytes(const Table& table, std::int64_t row, std::span<const std::size_t> columns) {
  std::string bytes;
  for (const std::size_t column : columns) {
    const std::string_view cell = table.cell(row, column);
    if (detail::is_missing(cell))
      bytes += '?';
    else if (const TableColumn& of = table.columns[column]; of.kind == ColumnKind::numeric)
      fmt::format_to(std::back_inserter(bytes), "={:016x}",
                     std::bit_cast<std::uint64_t>(detail::number_in(cell, of.number).value() + 0.0));
    else if (of.kind == ColumnKind::date)
      fmt::format_to(std::back_inserter(bytes), "@{:016x}",
                     std::bit_cast<std::uint64_t>(detail::moment_in(cell, of.order).value().days + 0.0));
    else
      fmt::format_to(std::back_inserter(bytes), "\"{}:{}", cell.size(), cell);
  }
  return bytes;
}

std::string feature_bytes(const Dataset& data, std::int64_t index) {
  std::vector<float> values(at(data.shape.pixels()));
  data.read_features(index, values);
  for (float& value : values) value += 0.0F;  // -0 is 0
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

std::string pixel_bytes(const Dataset& data, std::int64_t index) {
  std::string pixels(at(data.shape.pixels()), '\0');
  data.read(index, {reinterpret_cast<std::uint8_t*>(pixels.data()), pixels.size()});
  return pixels;
}

/// Where the columns of `order` that are not left out are in `table`.
std::vector<std::size_t> columns_in_order(const Table& table, const Table& order) {
  std::vector<std::size_t> columns;
  for (const TableColumn& wanted : order.columns)
    if (wanted.left_out.empty())
      columns.push_back(
          at(std::distance(table.columns.begin(), std::ranges::find(table.columns, wanted.name, &TableColumn::name))));
  return columns;
}

/// SHA-256 of what each sample holds, [N]. The error thrown is that of the first sample that has one, whatever the
/// number of threads.
std::vector<std::string> digests_of(const Part& part, const Table* order, int threads) {
  const std::vector<std::size_t> columns =
      part.table ? columns_in_order(*part.table, *order) : std::vector<std::size_t>{};
  std::vector<std::string> digests(at(part.data.size()));
  std::atomic<std::int64_t> next{0};
  std::atomic<std::int64_t> end{part.data.size()};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::int64_t i = next++; i < end; i = next++) try {
        digests[at(i)] = sha256(part.table                ? row_bytes(*part.table, i, columns)
                                : part.data.is_features() ? feature_bytes(part.data, i)
                                                          : pixel_bytes(part.data, i));
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < end) {
          end = i;
          failure = std::current_exception();
        }
      }
  };
  const std::int64_t wanted = threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  detail::run_on_threads(at(std::min(wanted, part.data.size())), work);
  if (failure) std::rethrow_exception(failure);
  return digests;
}

std::string name_of(const Part& part, std::int64_t index) {
  if (part.table) return fmt::format("'{}' line {}", part.table->file.string(), part.table->lines[at(index)]);
  if (part.data.file) return fmt::format("'{}'", part.data.file(index));
  return fmt::format("{} {}", part.sample, index);
}

using FirstSeen = std::unordered_map<std::string_view, std::int64_t>;

/// Adds sample `copy`, which holds what `original` does.
void add_copy(Duplicates& found, const Part& part, std::int64_t copy, const Part& of, std::int64_t original) {
  if (found.copies++ == 0) found.pair = {name_of(part, copy), name_of(of, original)};
  if (part.data.labels[at(copy)] != of.data.labels[at(original)]) ++found.contradicting;
}

/// The copies inside a part. `first` gets the first sample of every kind.
Duplicates duplicates_in(const Part& part, const std::vector<std::string>& digests, FirstSeen& first) {
  Duplicates found;
  for (std::int64_t i = 0; i < part.data.size(); ++i)
    if (const auto [seen, is_new] = first.emplace(digests[at(i)], i); !is_new)
      add_copy(found, part, i, part, seen->second);
  return found;
}

void find_duplicates(const OpenedData& data, int threads, Inspection& inspection) {
  const Part train{data.train, data.train_table.get(), "training sample"};
  const std::vector<std::string> train_digests = digests_of(train, train.table, threads);
  FirstSeen in_train;
  inspection.in_train = duplicates_in(train, train_digests, in_train);
  if (!data.test) return;

  const Part test{*data.test, data.test_table.get(), "test sample"};
  const std::vector<std::string> test_digests = digests_of(test, train.table, threads);
  FirstSeen in_test;
  inspection.in_test = duplicates_in(test, test_digests, in_test);
  inspection.leak.emplace();
  for (std::int64_t i = 0; i < test.data.size(); ++i)
    if (const auto twin = in_train.find(test_digests[at(i)]); twin != in_train.end())
      add_copy(*inspection.leak, test, i, train, twin->second);
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

/// Positions of the counts, the largest first; equal ones in label order.
std::vector<std::size_t> by_size(const Counts& counts) {
  std::vector<std::size_t> order(counts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater{}, [&](std::size_t c) { return counts[c]; });
  return order;
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
  if (inspection.skipped > 0) command += " --skip-bad";
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

// ---- text

/// The names of the first few of some classes.
std::string names_text(const Inspection& inspection, const Counts& classes) {
  constexpr std::size_t k_named = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(classes.size(), k_named); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ", printable(inspection.class_names[at(classes[i])]));
  return classes.size() <= k_named ? text : fmt::format("{} and {} more", text, classes.size() - k_named);
}

void append_classes(std::string& text, const Inspection& inspection, bool all) {
  constexpr std::size_t k_shown_without_all = 20;
  const Counts& counts = inspection.train_counts;
  std::vector<std::size_t> shown(counts.size());
  std::iota(shown.begin(), shown.end(), std::size_t{0});
  const std::size_t left_out = all || counts.size() <= k_shown_without_all ? 0 : counts.size() - k_shown_without_all;
  if (left_out > 0) {
    shown = by_size(counts);
    shown.erase(shown.begin() + k_shown_without_all / 2, shown.end() - k_shown_without_all / 2);
  }
  std::size_t width = 0;
  const auto name = [&](std::size_t c) { return printable(inspection.class_names[c]); };
  for (const std::size_t c : shown) width = std::max(width, name(c).size());
  const std::int64_t largest = std::ranges::max(counts);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (left_out > 0 && i == k_shown_without_all / 2)
      text += fmt::format("  ... {} between them left out; --all shows them in label order\n",
                          number_text(static_cast<std::int64_t>(left_out), "class", "classes"));
    const std::size_t c = shown[i];
    text += fmt::format("  {:<{}}  {:>7}  {}\n", name(c), width, counts[c],
                        std::string(at((40 * counts[c] + largest - 1) / largest), '#'));
  }
}

void append_duplicates(std::string& text, const Inspection& inspection) {
  const auto pair_of = [](const Duplicates& found) {
    const std::string labels =
        found.contradicting == 0 ? "" : fmt::format(", {} with another label", found.contradicting);
    return fmt::format("{}; first {} and {}\n", labels, found.pair[0], found.pair[1]);
  };
  if (!inspection.in_train) return;
  bool any = false;
  for (const auto& [found, part] :
       {std::pair(&inspection.in_train, "training"), std::pair(&inspection.in_test, "test")}) {
    if (!*found || (*found)->copies == 0) continue;
    any = true;
    text += fmt::format("duplicates: {} of an earlier one{}",
                        number_text((*found)->copies, fmt::format("{} sample is a copy", part),
                                    fmt::format("{} samples are copies", part)),
                        pair_of(**found));
  }
  if (inspection.leak && inspection.leak->copies > 0) {
    any = true;
    text += fmt::format("leak: {} in the training part, too{}",
                        number_text(inspection.leak->copies, "test sample is", "test samples are"),
                        pair_of(*inspection.leak));
  }
  if (!inspection.in_test && inspection.in_train->copies > 0)
    text += "  the data have no test part: a split may put one copy into training and another into test\n";
  if (!any) text += "no sample comes twice\n";
}

// ---- picture

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) safe += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return safe;
}

/// Where a count lies on the axis, from 0 to 1. A logarithmic axis begins at one half, so that 1 has a bar.
class Axis {
 public:
  Axis(std::int64_t largest, bool logarithmic) : largest_(static_cast<double>(largest)), logarithmic_(logarithmic) {}

  double operator()(std::int64_t count) const {
    if (count == 0) return 0;
    const auto value = static_cast<double>(count);
    return logarithmic_ ? std::log(2 * value) / std::log(2 * largest_) : value / largest_;
  }

  Counts ticks() const {
    Counts ticks;
    if (logarithmic_) {
      for (double tick = 1; tick <= largest_; tick *= 10) ticks.push_back(static_cast<std::int64_t>(tick));
      return ticks;
    }
    // 1, 2 or 5 times a power of ten: three to seven ticks.
    const double power = std::pow(10, std::floor(std::log10(largest_)));
    const double step = largest_ / power >= 5 ? power : largest_ / power >= 2 ? power / 2 : power / 5;
    for (double tick = std::max(1.0, step); tick <= largest_; tick += std::max(1.0, step))
      ticks.push_back(static_cast<std::int64_t>(std::lround(tick)));
    return ticks;
  }

 private:
  double largest_;
  bool logarithmic_;
};

constexpr std::size_t k_most_bars = 100;
constexpr int k_plot_width = 560;
constexpr int k_plot_top = 56;

/// A horizontal bar with its name and count for every class.
std::string bars(const Inspection& inspection, const std::vector<std::size_t>& order, const Axis& axis) {
  constexpr int k_left = 220;
  constexpr int k_row = 18;
  const int height = k_plot_top + k_row * static_cast<int>(order.size());
  std::string body;
  for (const std::int64_t tick : axis.ticks()) {
    const double x = k_left + k_plot_width * axis(tick);
    body +=
        fmt::format("<path class=\"grid\" d=\"M{:.1f} {}V{}\"/><text class=\"axis\" x=\"{:.1f}\" y=\"{}\">{}</text>\n",
                    x, k_plot_top - 4, height, x, k_plot_top - 8, tick);
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::int64_t count = inspection.train_counts[order[i]];
    const int y = k_plot_top + k_row * static_cast<int>(i);
    const double width = k_plot_width * axis(count);
    body += fmt::format(
        "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text><rect x=\"{}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\"/><text "
        "x=\"{:.1f}\" y=\"{}\">{}</text>\n",
        k_left - 8, y + 13, escaped(printable(inspection.class_names[order[i]])), k_left, y + 2, width, k_row - 4,
        k_left + width + 6, y + 13, count);
  }
  return fmt::format("width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n{2}", k_left + k_plot_width + 70,
                     height + 12, body);
}

/// The outline of bars that stand side by side, at most one a pixel, with some of the names below.
std::string outline(const Inspection& inspection, const std::vector<std::size_t>& order, const Axis& axis) {
  constexpr int k_left = 70;
  constexpr int k_height = 320;
  constexpr int k_names = 5;
  const int bottom = k_plot_top + k_height;
  const auto classes = order.size();
  const std::size_t columns = std::min<std::size_t>(classes, k_plot_width);
  std::string body;
  for (const std::int64_t tick : axis.ticks()) {
    const double y = bottom - k_height * axis(tick);
    body +=
        fmt::format("<path class=\"grid\" d=\"M{} {:.1f}H{}\"/><text class=\"name\" x=\"{}\" y=\"{:.1f}\">{}</text>\n",
                    k_left, y, k_left + k_plot_width, k_left - 6, y + 4, tick);
  }
  body += fmt::format("<path class=\"area\" d=\"M{} {}", k_left, bottom);
  for (std::size_t i = 0; i < columns; ++i)
    body +=
        fmt::format("V{:.1f}H{:.1f}", bottom - k_height * axis(inspection.train_counts[order[i * classes / columns]]),
                    k_left + static_cast<double>(k_plot_width * (i + 1)) / static_cast<double>(columns));
  body += fmt::format("V{}Z\"/>\n", bottom);
  for (int n = 0; n < k_names; ++n) {
    const std::size_t rank = (classes - 1) * static_cast<std::size_t>(n) / (k_names - 1);
    const double x = k_left + k_plot_width * (static_cast<double>(rank) + 0.5) / static_cast<double>(classes);
    body += fmt::format(
        "<path class=\"grid\" d=\"M{0:.1f} {1}v{2}\"/><text class=\"axis\" x=\"{0:.1f}\" y=\"{3}\">{4}: "
        "{5}</text>\n",
        x, bottom, 8 + 16 * (n % 2), bottom + 20 + 16 * (n % 2),
        escaped(printable(inspection.class_names[order[rank]])), inspection.train_counts[order[rank]]);
  }
  return fmt::format("width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\">\n{2}", k_left + k_plot_width + 70,
                     bottom + 50, body);
}

Json duplicates_json(const std::optional<Duplicates>& found) {
  if (!found) return nullptr;
  return {{"copies", found->copies}, {"contradicting", found->contradicting}, {"first_pair", found->pair}};
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
  if (!options.quick) find_duplicates(data, options.threads, inspection);
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

std::string to_text(const Inspection& inspection, bool all) {
  const auto sum = [](const Counts& counts) { return std::accumulate(counts.begin(), counts.end(), std::int64_t{0}); };
  const std::string test = !inspection.test_counts ? "a part of these to test"
                                                   : fmt::format("{} to test{}", sum(*inspection.test_counts),
                                                                 inspection.held_out ? " held out of them" : "");
  std::string text = fmt::format("{}: {} {} in {} classes to train, {}\n", inspection.data,
                                 sum(inspection.train_counts), inspection.samples, inspection.class_names.size(), test);
  text += fmt::format(
      "imbalance ratio {:.4g}, Gini coefficient {:.3f}; {} many-shot (over 100), {} medium-shot, {} few-shot (under "
      "20) classes\n",
      inspection.imbalance_ratio, inspection.gini, inspection.many_shot, inspection.medium_shot, inspection.few_shot);
  append_classes(text, inspection, all);
  if (!inspection.columns.empty()) text += "columns:\n" + to_text(inspection.columns, "  ", all);
  for (const std::string& note : inspection.notes) text += fmt::format("note: {}\n", note);

  if (inspection.skipped > 0) {
    text += fmt::format("unreadable: {} and {} in no count: ",
                        number_text(inspection.skipped, "image cannot be decoded", "images cannot be decoded"),
                        inspection.skipped == 1 ? "is" : "are");
    for (std::size_t i = 0; i < inspection.skipped_files.size(); ++i)
      text += fmt::format("{}'{}'", i == 0 ? "" : ", ", printable(inspection.skipped_files[i], k_long_text));
    text += inspection.skipped > std::ssize(inspection.skipped_files) ? ", ...\n" : "\n";
  }
  append_duplicates(text, inspection);
  const auto append = [&](const Counts& classes, std::string_view one, std::string_view many) {
    if (!classes.empty())
      text += fmt::format("{}: {}\n", number_text(std::ssize(classes), one, many), names_text(inspection, classes));
  };
  append(inspection.single, "class has one training sample", "classes have one training sample");
  append(inspection.missing_in_test, "class has no test sample", "classes have no test sample");
  append(inspection.empty, "class is left without a training sample: no run can be made of it, lower the ratio",
         "classes are left without a training sample: no run can be made of it, lower the ratio");
  if (!inspection.proposal) return text;

  text += "\nto begin with:\n";
  for (const std::string& reason : inspection.proposal->reasons) text += fmt::format("  {}\n", reason);
  return text + fmt::format("\n  {}\n", inspection.proposal->command);
}

std::string to_json(const Inspection& inspection) {
  const auto names = [&](const Counts& classes) {
    Json list = Json::array();
    for (const std::int64_t c : classes) list.push_back(inspection.class_names[at(c)]);
    return list;
  };
  Json proposal;
  if (inspection.proposal)
    proposal = {{"losses", inspection.proposal->losses},   {"schedule", inspection.proposal->schedule},
                {"epochs", inspection.proposal->epochs},   {"validation", inspection.proposal->validation},
                {"reasons", inspection.proposal->reasons}, {"command", inspection.proposal->command}};
  Json shape;
  if (inspection.shape) shape = {inspection.shape->channels, inspection.shape->height, inspection.shape->width};
  const Json all = {{"schema_version", 1},
                    {"data", inspection.data},
                    {"sha256", inspection.sha256},
                    {"class_names", inspection.class_names},
                    {"train_counts", inspection.train_counts},
                    {"test_counts", inspection.test_counts ? Json(*inspection.test_counts) : Json()},
                    {"held_out", inspection.held_out},
                    {"imbalance_ratio", inspection.imbalance_ratio},
                    {"gini", inspection.gini},
                    {"many_shot_classes", inspection.many_shot},
                    {"medium_shot_classes", inspection.medium_shot},
                    {"few_shot_classes", inspection.few_shot},
                    {"shape", shape},
                    {"columns", Json::parse(to_json(inspection.columns))},
                    {"skipped", inspection.skipped},
                    {"skipped_files", inspection.skipped_files},
                    {"notes", inspection.notes},
                    {"empty_classes", names(inspection.empty)},
                    {"one_sample_classes", names(inspection.single)},
                    {"classes_missing_in_test", names(inspection.missing_in_test)},
                    {"duplicates_in_train", duplicates_json(inspection.in_train)},
                    {"duplicates_in_test", duplicates_json(inspection.in_test)},
                    {"leak", duplicates_json(inspection.leak)},
                    {"proposal", proposal}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_svg(const Inspection& inspection) {
  constexpr double k_logarithmic_above = 20;
  const bool logarithmic = inspection.imbalance_ratio > k_logarithmic_above;
  const std::vector<std::size_t> order = by_size(inspection.train_counts);
  const Axis axis(inspection.train_counts[order[0]], logarithmic);
  const std::string title =
      escaped(fmt::format("{}: training samples of {} classes, ratio {:.4g}{}", printable(inspection.data),
                          order.size(), inspection.imbalance_ratio, logarithmic ? ", logarithmic" : ""));
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\" font-size=\"12\" {}"
      "<text x=\"12\" y=\"22\" font-size=\"14\">{}</text>\n"
      "<style>svg{{background:#fff}}rect,.area{{fill:#2f6f8f}}.grid{{stroke:#ccc}}.name{{text-anchor:end}}.axis{{text-"
      "anchor:middle}}</style>\n</svg>\n",
      order.size() <= k_most_bars ? bars(inspection, order, axis) : outline(inspection, order, axis), title);
}

}  // namespace ulmus
