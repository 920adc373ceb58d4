#include "ulmus/data/loader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "ulmus/base/error.hpp"
#include "ulmus/base/random.hpp"

namespace ulmus {
namespace {

/// What each 8-bit value becomes, one table per channel.
using PixelTable = std::array<float, 256>;

std::vector<PixelTable> pixel_tables(const Normalisation& normalisation, std::int64_t channels) {
  std::vector<PixelTable> tables(static_cast<std::size_t>(channels));
  for (std::size_t c = 0; c < tables.size(); ++c)
    for (std::size_t value = 0; value < 256; ++value) {
      const float scaled = static_cast<float>(value) / 255.0f;
      tables[c][value] =
          normalisation.mean.empty() ? scaled : (scaled - normalisation.mean[c]) / normalisation.stddev[c];
    }
  return tables;
}

/// Where the crop lies and whether it is mirrored.
struct Placement {
  std::int64_t down = 0;   ///< rows by which the crop lies below the image's place, in [-pad, pad]
  std::int64_t right = 0;  ///< columns likewise
  bool flip = false;
};

Placement draw_placement(const Augmentation& augmentation, Stream stream) {
  Placement placement;
  if (augmentation.pad > 0) {
    const auto offsets = static_cast<std::uint64_t>(2 * augmentation.pad + 1);
    placement.down = static_cast<std::int64_t>(stream.below(offsets)) - augmentation.pad;
    placement.right = static_cast<std::int64_t>(stream.below(offsets)) - augmentation.pad;
  }
  placement.flip = augmentation.flip && stream.below(2) == 1;
  return placement;
}

void write_image(std::span<const std::uint8_t> image, const ImageShape& shape, const Placement& placement,
                 std::span<const PixelTable> tables, float* out) {
  const std::int64_t width = shape.width;
  // Columns [begin, end) of the crop come from the image; the rest is padding.
  const std::int64_t begin = std::clamp<std::int64_t>(-placement.right, 0, width);
  const std::int64_t end = std::clamp<std::int64_t>(width - placement.right, begin, width);
  for (std::int64_t c = 0; c < shape.channels; ++c) {
    const PixelTable& table = tables[static_cast<std::size_t>(c)];
    const std::uint8_t* plane = image.data() + c * shape.height * width;
    for (std::int64_t y = 0; y < shape.height; ++y, out += width) {
      const std::int64_t row = y + placement.down;
      if (row < 0 || row >= shape.height) {
        std::fill_n(out, width, table[0]);
        continue;
      }
      const std::uint8_t* from = plane + row * width;
      if (placement.flip) {
        std::fill(out, out + width - end, table[0]);
        for (std::int64_t x = begin; x < end; ++x) out[width - 1 - x] = table[from[x + placement.right]];
        std::fill(out + width - begin, out + width, table[0]);
      } else {
        std::fill(out, out + begin, table[0]);
        for (std::int64_t x = begin; x < end; ++x) out[x] = table[from[x + placement.right]];
        std::fill(out + end, out + width, table[0]);
      }
    }
  }
}

void check_options(const Dataset& data, std::span<const std::int64_t> indices, const LoaderOptions& options) {
  const auto fail = [](const std::string& message) { throw Error(ErrorKind::usage, message); };
  if (options.batch_size < 1) fail(fmt::format("batch_size is {}, expected 1 or more", options.batch_size));
  if (options.threads < 0) fail(fmt::format("loader threads are {}, expected 0 or more", options.threads));
  if (options.prefetch < 1) fail(fmt::format("prefetch is {}, expected 1 batch or more", options.prefetch));
  if (const std::int64_t side = std::min(data.shape.height, data.shape.width);
      options.augmentation.pad < 0 || options.augmentation.pad >= side)
    fail(fmt::format("padding is {} pixels, expected 0 to {} for images of {} x {}", options.augmentation.pad, side - 1,
                     data.shape.width, data.shape.height));
  if (const auto samples = static_cast<std::int64_t>(indices.size());
      options.drop_last && samples > 0 && samples < options.batch_size)
    fail(fmt::format("batch_size {} with drop_last leaves no batch of {} images; choose a batch_size up to {}",
                     options.batch_size, samples, samples));

  const Normalisation& normalisation = options.normalisation;
  const auto channels = static_cast<std::size_t>(data.shape.channels);
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

  for (const std::int64_t index : indices)
    if (index < 0 || index >= data.size())
      throw Error(ErrorKind::data, fmt::format("image {} is asked for, but '{}' has {} images; make the split again "
                                               "from these data",
                                               index, data.name, data.size()));
}

}  // namespace

Normalisation channel_statistics(const Dataset& data, std::span<const std::int64_t> indices) {
  if (indices.empty()) throw Error(ErrorKind::usage, "channel statistics need at least one image");
  const auto channels = static_cast<std::size_t>(data.shape.channels);
  const auto plane = static_cast<std::size_t>(data.shape.height * data.shape.width);
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

/// A ring of `prefetch` slots: batch n lives in slot n % prefetch. A worker claims the next batch number once the batch
/// that had its slot is delivered, so slots are never shared and the lock is held for the counters alone.
struct Loader::State {
  struct Slot {
    Batch batch;
    std::exception_ptr error;
    bool ready = false;
  };

  Dataset data;
  std::vector<std::int64_t> indices;
  LoaderOptions options;
  std::vector<PixelTable> tables;
  std::int64_t epoch = 0;
  std::vector<std::int64_t> order;  ///< of this epoch

  std::mutex mutex;
  std::condition_variable slot_free;
  std::condition_variable batch_ready;
  std::vector<Slot> ring;
  std::int64_t total = 0;      ///< batches of this epoch; 0 before the first one
  std::int64_t claimed = 0;    ///< batches that a worker has begun
  std::int64_t delivered = 0;  ///< batches returned by `next`
  bool stopping = false;
  std::vector<std::jthread> workers;

  ~State() { stop(); }

  std::int64_t batches() const {
    const auto samples = static_cast<std::int64_t>(indices.size());
    return options.drop_last ? samples / options.batch_size : (samples + options.batch_size - 1) / options.batch_size;
  }

  void prepare(std::int64_t number, Batch& batch) const {
    const std::int64_t begin = number * options.batch_size;
    const std::int64_t end = std::min<std::int64_t>(begin + options.batch_size, std::ssize(order));
    const std::int64_t pixels = data.shape.pixels();
    batch.size = end - begin;
    batch.labels.resize(static_cast<std::size_t>(batch.size));
    batch.pixels.resize(static_cast<std::size_t>(batch.size * pixels));
    std::vector<std::uint8_t> image(static_cast<std::size_t>(pixels));
    for (std::int64_t i = 0; i < batch.size; ++i) {
      const std::int64_t index = order[static_cast<std::size_t>(begin + i)];
      data.read(index, image);
      batch.labels[static_cast<std::size_t>(i)] = data.labels[static_cast<std::size_t>(index)];
      write_image(
          image, data.shape,
          draw_placement(options.augmentation, Stream(options.seed, "augment", static_cast<std::uint64_t>(epoch),
                                                      static_cast<std::uint64_t>(index))),
          tables, batch.pixels.data() + i * pixels);
    }
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

  void start(std::int64_t new_epoch) {
    stop();
    stopping = false;
    epoch = new_epoch;
    order = indices;
    if (options.shuffle) Stream(options.seed, "order", static_cast<std::uint64_t>(epoch)).shuffle(std::span(order));
    for (Slot& slot : ring) {
      slot.error = nullptr;
      slot.ready = false;
    }
    claimed = delivered = 0;
    total = batches();
    for (std::int64_t i = 0; i < std::min<std::int64_t>(options.threads, total); ++i)
      workers.emplace_back([this] { work(); });
  }

  bool next(Batch& batch) {
    if (delivered == total) return false;
    if (options.threads == 0) {
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
  state_->tables = pixel_tables(options.normalisation, data.shape.channels);
  state_->data = std::move(data);
  state_->indices = std::move(indices);
  state_->options = std::move(options);
  state_->ring.resize(static_cast<std::size_t>(state_->options.prefetch));
}

Loader::~Loader() = default;

std::int64_t Loader::batches() const { return state_->batches(); }

std::int64_t Loader::samples() const {
  const auto samples = static_cast<std::int64_t>(state_->indices.size());
  return state_->options.drop_last ? state_->batches() * state_->options.batch_size : samples;
}

void Loader::start(std::int64_t epoch) { state_->start(epoch); }

bool Loader::next(Batch& batch) { return state_->next(batch); }

}  // namespace ulmus
