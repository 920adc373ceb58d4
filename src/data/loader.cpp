#include "ulmus/data/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "data/block_shuffle.hpp"
#include "data/pixels.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"

namespace ulmus {
namespace {

std::string_view sample_word(const Dataset& data) { return data.is_features() ? "sample" : "image"; }

void check_options(const Dataset& data, std::span<const std::int64_t> indices, const LoaderOptions& options) {
  const auto fail = [](const std::string& message) { throw Error(ErrorKind::usage, message); };
  if (options.batch_size < 1) fail(fmt::format("batch_size is {}, expected 1 or more", options.batch_size));
  if (options.threads < 0) fail(fmt::format("loader threads are {}, expected 0 or more", options.threads));
  if (options.prefetch < 1) fail(fmt::format("prefetch is {}, expected 1 batch or more", options.prefetch));
  const auto [rank, world] = options.shard;
  if (world < 1 || rank < 0 || rank >= world)
    fail(fmt::format("rank is {} of {} processes, expected 0 to one below their number", rank, world));
  if (!options.shuffle && options.sampler.kind != Sampler::Kind::instance)
    fail(fmt::format("sampler '{}' cannot apply without shuffle; set shuffle", options.sampler.text()));
  if (options.blocks.rows < 0 || options.blocks.blocks < 1)
    fail(fmt::format("blocks of {} rows are asked for, {} at a time; expected 0 (none) or more, and 1 or more",
                     options.blocks.rows, options.blocks.blocks));
  if (options.sampler.needs_epochs() && options.epochs < 1)
    fail(fmt::format("sampler '{}' needs the number of epochs, but epochs is {}", options.sampler.text(),
                     options.epochs));
  require_applicable(options.augmentation, data);
  if (const auto samples = static_cast<std::int64_t>(indices.size());
      options.drop_last && samples > 0 && samples / world < options.batch_size)
    fail(fmt::format("batch_size {} with drop_last leaves no batch of {} {}s{}; choose a batch_size up to {}",
                     options.batch_size, samples, sample_word(data),
                     world > 1 ? fmt::format(" for {} processes", world) : "", samples / world));

  const Normalisation& normalisation = options.normalisation;
  const auto channels = static_cast<std::size_t>(data.shape().channels);
  if (normalisation.mean.size() != normalisation.stddev.size() ||
      (!normalisation.mean.empty() && normalisation.mean.size() != channels))
    fail(fmt::format("normalisation has {} means and {} standard deviations, expected {} of each or none",
                     normalisation.mean.size(), normalisation.stddev.size(), channels));
  for (std::size_t c = 0; c < normalisation.mean.size(); ++c)
    if (!std::isfinite(normalisation.mean[c]) || !std::isfinite(normalisation.stddev[c]) ||
        normalisation.stddev[c] <= 0)
      fail(
          fmt::format("normalisation of channel {} is ({}, {}), expected a finite mean and a standard deviation above "
                      "0",
                      c, normalisation.mean[c], normalisation.stddev[c]));

  const std::string_view sample = sample_word(data);
  for (const std::int64_t index : indices)
    if (index < 0 || index >= data.size())
      throw Error(ErrorKind::data,
                  fmt::format("{} {} is asked for, but '{}' has {} {}s; make the split again from these data", sample,
                              index, data.name(), data.size(), sample));
}

/// Statistics of features, in two passes over the samples.
Normalisation feature_statistics(const Dataset& data, std::vector<std::int64_t> indices) {
  std::ranges::sort(indices);
  const auto features = static_cast<std::size_t>(data.shape().channels);
  std::vector<float> values(features);
  const auto average = [&](auto term) {
    std::vector<double> sums(features, 0);
    for (const std::int64_t index : indices) {
      data.read_features(index, values);
      for (std::size_t d = 0; d < features; ++d) {
        if (!std::isfinite(values[d]))
          throw Error(ErrorKind::data, fmt::format("feature {} of sample {} of '{}' is {}, expected a finite number", d,
                                                   index, data.name(), values[d]));
        sums[d] += term(d, static_cast<double>(values[d]));
      }
    }
    for (double& sum : sums) sum /= static_cast<double>(indices.size());
    return sums;
  };
  const std::vector<double> means = average([](std::size_t, double value) { return value; });
  const std::vector<double> variances =
      average([&](std::size_t d, double value) { return (value - means[d]) * (value - means[d]); });

  Normalisation statistics;
  for (std::size_t d = 0; d < features; ++d) {
    statistics.mean.push_back(static_cast<float>(means[d]));
    const auto stddev = static_cast<float>(std::sqrt(variances[d]));
    statistics.stddev.push_back(stddev > 0 ? stddev : 1.0f);
  }
  return statistics;
}

}  // namespace

Normalisation channel_statistics(const Dataset& data, std::span<const std::int64_t> indices) {
  if (indices.empty())
    throw Error(ErrorKind::usage, fmt::format("channel statistics need at least one {}", sample_word(data)));
  if (data.is_features()) return feature_statistics(data, {indices.begin(), indices.end()});
  const auto channels = static_cast<std::size_t>(data.shape().channels);
  const auto plane = static_cast<std::size_t>(data.shape().height * data.shape().width);
  std::vector<std::uint64_t> sums(channels, 0);
  std::vector<std::uint64_t> squares(channels, 0);
  std::vector<std::uint8_t> image(channels * plane);
  for (const std::int64_t index : indices) {
    data.read(index, image);
    for (std::size_t c = 0; c < channels; ++c)
      for (const std::uint64_t value : std::span(image).subspan(c * plane, plane)) {
        sums[c] += value;
        squares[c] += value * value;
      }
  }

  __extension__ using Wide = unsigned __int128;
  Normalisation statistics;
  const std::uint64_t count = indices.size() * plane;
  for (std::size_t c = 0; c < channels; ++c) {
    const auto spread = static_cast<double>(Wide{count} * squares[c] - Wide{sums[c]} * sums[c]);
    const double scale = 255.0 * static_cast<double>(count);
    statistics.mean.push_back(static_cast<float>(static_cast<double>(sums[c]) / scale));
    statistics.stddev.push_back(spread > 0 ? static_cast<float>(std::sqrt(spread) / scale) : 1.0f);
  }
  return statistics;
}

/// A ring of `prefetch` slots: batch n uses slot n % prefetch. A worker claims the next batch number once the previous
/// batch in that slot has been delivered, so slots are never shared and the lock only protects the counters.
struct Loader::State {
  struct Slot {
    Batch batch;
    std::exception_ptr error;
    bool ready = false;
  };

  Dataset data;
  std::vector<std::int64_t> indices;
  LoaderOptions options;
  std::vector<detail::PixelTable> tables;
  std::int64_t epoch = 0;
  bool with_replacement = false;             ///< whether the order of this epoch was drawn with replacement
  std::vector<std::int64_t> order;           ///< for this epoch and shard
  std::vector<detail::BlockWindow> windows;  ///< of an epoch that is shuffled by blocks; otherwise empty

  std::mutex mutex;
  std::condition_variable slot_free;
  std::condition_variable batch_ready;
  std::vector<Slot> ring;
  std::int64_t total = 0;      ///< batches in this epoch; 0 before the first epoch
  std::int64_t claimed = 0;    ///< batches that a worker has started
  std::int64_t delivered = 0;  ///< batches returned by `next`
  std::size_t announced = 0;   ///< windows that the data set knows to be read
  bool stopping = false;
  std::vector<std::jthread> workers;

  ~State() { stop(); }

  std::int64_t batches() const {
    const auto samples = static_cast<std::int64_t>(indices.size());
    const std::int64_t global_batch = options.batch_size * options.shard.world;
    return options.drop_last ? samples / global_batch : (samples + global_batch - 1) / global_batch;
  }

  std::int64_t samples() const {
    if (options.drop_last) return batches() * options.batch_size;
    const auto [rank, world] = options.shard;
    return std::max<std::int64_t>(0, std::ssize(indices) - rank + world - 1) / world;
  }

  void read_image(std::int64_t index, std::int64_t place, std::span<std::uint8_t> image, float* out) const {
    const std::int64_t position = options.shard.rank + place * options.shard.world;
    Stream stream = with_replacement ? Stream(options.seed, "augment-draw", static_cast<std::uint64_t>(epoch),
                                              static_cast<std::uint64_t>(position))
                                     : Stream(options.seed, "augment", static_cast<std::uint64_t>(epoch),
                                              static_cast<std::uint64_t>(index));
    Augmentation rest = options.augmentation;
    const CropChooser choose = [&](std::int64_t height, std::int64_t width) {
      return random_crop(height, width, rest.smallest_share, stream);
    };
    if (rest.smallest_share > 0 && data.read_crop(index, choose, image))
      rest.smallest_share = 0;
    else
      data.read(index, image);
    augment(rest, image, data.shape(), stream);
    detail::write_image(image, tables, out);
  }

  void read_sample(std::int64_t index, std::span<float> values) const {
    data.read_features(index, values);
    const auto& [mean, stddev] = options.normalisation;
    for (std::size_t d = 0; d < mean.size(); ++d) values[d] = (values[d] - mean[d]) / stddev[d];
  }

  /// Announces the window in which a place of the order lies, and the one after it, unless that was done.
  void announce(std::int64_t place) {
    const std::int64_t position = options.shard.rank + place * options.shard.world;
    std::vector<const detail::BlockWindow*> soon;
    {
      const std::lock_guard lock(mutex);
      for (; announced < windows.size() && (announced == 0 || windows[announced - 1].first <= position); ++announced)
        if (announced + 1 == windows.size() || windows[announced + 1].first > position)  // not one that is over
          soon.push_back(&windows[announced]);
    }
    const std::int64_t rows = options.blocks.rows;
    for (const detail::BlockWindow* window : soon)
      for (const std::int64_t block : window->blocks)
        data.will_read(block * rows, std::min(rows, data.size() - block * rows));
  }

  void prepare(std::int64_t number, Batch& batch) {
    const std::int64_t begin = std::min<std::int64_t>(number * options.batch_size, std::ssize(order));
    const std::int64_t end = std::min<std::int64_t>(begin + options.batch_size, std::ssize(order));
    if (!windows.empty() && end > begin) announce(end - 1);
    const auto values = static_cast<std::size_t>(data.shape().pixels());
    batch.size = end - begin;
    batch.labels.resize(static_cast<std::size_t>(batch.size));
    batch.inputs.resize(batch.labels.size() * values);
    std::vector<std::uint8_t> image(data.is_features() ? 0 : values);
    for (std::size_t i = 0; i < batch.labels.size(); ++i) {
      const std::int64_t place = begin + static_cast<std::int64_t>(i);
      const std::int64_t index = order[static_cast<std::size_t>(place)];
      batch.labels[i] = data.labels()[static_cast<std::size_t>(index)];
      const auto out = std::span(batch.inputs).subspan(i * values, values);
      if (data.is_features())
        read_sample(index, out);
      else
        read_image(index, place, image, out.data());
    }

    batch.lambda = 1;
    batch.second_labels.clear();
    if (options.augmentation.mixup == 0 && options.augmentation.cutmix == 0) return;
    const Mixing mixing =
        mix(options.augmentation, batch.inputs, batch.size, data.shape(),
            Stream(options.seed, "mix", static_cast<std::uint64_t>(epoch), static_cast<std::uint64_t>(number)));
    batch.lambda = mixing.lambda;
    for (const std::int64_t partner : mixing.partner)
      batch.second_labels.push_back(batch.labels[static_cast<std::size_t>(partner)]);
  }

  void work() {
    for (;;) {
      std::int64_t number = 0;
      {
        std::unique_lock lock(mutex);
        slot_free.wait(lock, [&] { return stopping || claimed == total || claimed < delivered + std::ssize(ring); });
        if (stopping || claimed == total) return;
        number = claimed++;
      }
      Slot& slot = ring[static_cast<std::size_t>(number % std::ssize(ring))];
      try {
        prepare(number, slot.batch);
      } catch (...) {
        slot.error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex);
        slot.ready = true;
      }
      batch_ready.notify_one();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    slot_free.notify_all();
    workers.clear();
  }

  /// What this process has of an order of all.
  std::vector<std::int64_t> of_shard(std::vector<std::int64_t> all) const {
    const auto [rank, world] = options.shard;
    if (world == 1) return all;
    std::vector<std::int64_t> mine;
    for (std::int64_t p = rank; p < std::ssize(all); p += world) mine.push_back(all[static_cast<std::size_t>(p)]);
    return mine;
  }

  /// The order of an epoch, with its windows.
  detail::BlockOrder epoch_order(std::int64_t an_epoch) const {
    if (!options.shuffle) return {.order = of_shard(indices), .windows = {}};
    if (options.blocks.rows == 0 || options.sampler.draws(an_epoch, options.epochs))
      return {.order = sample_epoch(
                  options.sampler, indices, data.labels(),
                  {.seed = options.seed, .epoch = an_epoch, .epochs = options.epochs, .shard = options.shard}),
              .windows = {}};
    detail::BlockOrder all = detail::block_order(options.blocks, indices, options.seed, an_epoch);
    all.order = of_shard(std::move(all.order));
    return all;
  }

  void start(std::int64_t new_epoch, std::int64_t first_batch) {
    if (first_batch < 0 || first_batch > batches())
      throw Error(ErrorKind::usage,
                  fmt::format("an epoch cannot begin at batch {}, expected 0 to {}", first_batch, batches()));
    detail::BlockOrder new_order = epoch_order(new_epoch);
    stop();
    stopping = false;
    epoch = new_epoch;
    with_replacement = options.shuffle && options.sampler.draws(epoch, options.epochs);
    order = std::move(new_order.order);
    windows = std::move(new_order.windows);
    announced = 0;
    for (Slot& slot : ring) {
      slot.error = nullptr;
      slot.ready = false;
    }
    claimed = delivered = first_batch;
    total = batches();
    try {
      for (std::int64_t i = 0; i < std::min<std::int64_t>(options.threads, total - first_batch); ++i)
        workers.emplace_back([this] { work(); });
    } catch (const std::exception&) {  // no more threads: fewer do the same; without any, next() does the work
    }
  }

  bool next(Batch& batch) {
    if (delivered == total) return false;
    if (workers.empty()) {
      prepare(delivered++, batch);
      return true;
    }
    Slot& slot = ring[static_cast<std::size_t>(delivered % std::ssize(ring))];
    std::exception_ptr error;
    {
      std::unique_lock lock(mutex);
      batch_ready.wait(lock, [&] { return slot.ready; });
      slot.ready = false;
      std::swap(batch, slot.batch);
      std::swap(error, slot.error);
      ++delivered;
    }
    slot_free.notify_one();
    if (error) std::rethrow_exception(error);
    return true;
  }
};

Loader::Loader(Dataset data, std::vector<std::int64_t> indices, LoaderOptions options)
    : state_(std::make_unique<State>()) {
  check_options(data, indices, options);
  if (!data.is_features()) state_->tables = detail::pixel_tables(options.normalisation, data.shape().channels);
  state_->data = std::move(data);
  state_->indices = std::move(indices);
  state_->options = std::move(options);
  state_->ring.resize(static_cast<std::size_t>(state_->options.prefetch));
}

Loader::~Loader() = default;

std::int64_t Loader::batches() const { return state_->batches(); }

std::int64_t Loader::samples() const { return state_->samples(); }

void Loader::start(std::int64_t epoch, std::int64_t first_batch) { state_->start(epoch, first_batch); }

bool Loader::next(Batch& batch) { return state_->next(batch); }

}  // namespace ulmus
