#include "ulmus/data/image_stream.hpp"

#include <fmt/format.h>

#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>

#include "data/image_walker.hpp"
#include "data/images.hpp"
#include "data/pixels.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

detail::ReadOptions read_options(const ImageStreamOptions& options) {
  return {.shape = options.shape,
          .side = options.image_size,
          .decode = {.max_pixels = options.max_pixels, .bits = options.image_bits}};
}

}  // namespace

struct ImageStream::State {
  State(std::vector<fs::path> paths, ImageStreamOptions given)
      : options(std::move(given)),
        tables(detail::pixel_tables(options.normalisation, options.shape.channels)),
        reading(read_options(options)),
        walk(std::move(paths)) {
    try {
      for (int i = 0; i < options.threads; ++i) workers.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {  // fewer threads give the same result, if there is at least one
      if (workers.empty())
        throw Error(ErrorKind::environment, fmt::format("cannot start a thread that decodes images: {}; give the "
                                                        "program more processes or memory",
                                                        error.code().message()));
    }
  }
  ~State() {
    {
      const std::lock_guard lock(mutex);
      stopped = true;
    }
    changed.notify_all();
  }

  /// Thread function; must not throw.
  void work() {
    try {
      while (read_batch()) {
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
    }
    changed.notify_all();
  }

  /// Returns false if no batch is left.
  bool read_batch() {
    std::vector<fs::path> paths;
    ImageBatch batch;
    std::int64_t number = 0;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return stopped || failure || walked || taken < returned + options.prefetch; });
      if (stopped || failure || walked) return false;
      number = taken++;
      while (!walked && static_cast<std::int64_t>(paths.size()) < options.batch_size) try {
          if (fs::path path = walk.next(); path.empty())
            walked = true;
          else
            paths.push_back(std::move(path));
        } catch (const Error& error) {
          batch.failures.push_back({"a folder that cannot be listed", error.what()});
        }
    }
    detail::ImageNotes seen;
    decode(paths, batch, seen);
    {
      const std::lock_guard lock(mutex);
      notes.add(seen);
      ready.emplace(number, std::move(batch));
    }
    changed.notify_all();
    return true;
  }

  void decode(const std::vector<fs::path>& paths, ImageBatch& batch, detail::ImageNotes& seen) const {
    const auto size = static_cast<std::size_t>(options.shape.pixels());
    std::vector<std::uint8_t> image(size);
    batch.pixels.reserve(paths.size() * size);
    for (const fs::path& path : paths) {
      try {
        seen.add(detail::read_image_as(path, reading, image), path);
      } catch (const detail::UnusableImage& error) {
        batch.failures.push_back({error.reason(), error.what()});
        continue;
      } catch (const Error& error) {
        batch.failures.push_back({"cannot be read", error.what()});
        continue;
      }
      batch.paths.push_back(path.string());
      batch.pixels.resize(batch.paths.size() * size);
      detail::write_image(image, tables, batch.pixels.data() + (batch.paths.size() - 1) * size);
    }
  }

  bool next(ImageBatch& batch) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return failure || ready.contains(returned) || (walked && returned == taken); });
      if (failure) std::rethrow_exception(failure);
      const auto found = ready.find(returned);
      if (found == ready.end()) return false;
      batch = std::move(found->second);
      ready.erase(found);
      ++returned;
    }
    changed.notify_all();
    return !batch.paths.empty() || !batch.failures.empty();  // the last batch may be empty
  }

  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex);
    std::vector<std::string> lines = notes.lines(options.image_bits > 0 ? options.image_bits : 16);
    if (!walk.not_images().empty()) lines.push_back(detail::not_images_line(walk.not_images()));
    return lines;
  }

  ImageStreamOptions options;
  std::vector<detail::PixelTable> tables;
  detail::ReadOptions reading;

  std::mutex mutex;  // guards the members below
  std::condition_variable changed;
  detail::ImageWalker walk;
  bool walked = false;  ///< no paths are left
  bool stopped = false;
  std::int64_t taken = 0, returned = 0;  ///< numbers of batches
  std::map<std::int64_t, ImageBatch> ready;
  detail::ImageNotes notes;
  std::exception_ptr failure;  ///< from a thread; ends the stream

  std::vector<std::jthread> workers;  // joined first
};

ImageStream::ImageStream(std::vector<fs::path> paths, ImageStreamOptions options) {
  const auto need = [](bool holds, const std::string& what, std::int64_t value, const char* expected) {
    if (!holds) throw Error(ErrorKind::usage, fmt::format("{} is {}, expected {}", what, value, expected));
  };
  need(options.shape.channels == 1 || options.shape.channels == 3, "the number of channels", options.shape.channels,
       "1 or 3: only images of these can be read from files");
  need(options.batch_size >= 1, option_name("batch_size"), options.batch_size, "1 or more");
  need(options.max_pixels >= 1 && options.max_pixels <= k_largest_max_pixels, option_name("max_pixels"),
       options.max_pixels, "1 to 2147483647");
  need(options.threads >= 1, "the number of decoding threads", options.threads, "1 or more");
  need(options.prefetch >= 1, "prefetch", options.prefetch, "1 batch or more");
  for (const fs::path& path : paths) {
    std::error_code ignored;
    if (!fs::exists(path, ignored))
      throw Error(ErrorKind::data, fmt::format("'{}' does not exist; give image files or folders", path.string()));
  }
  state_ = std::make_unique<State>(std::move(paths), std::move(options));
}

ImageStream::~ImageStream() = default;

bool ImageStream::next(ImageBatch& batch) { return state_->next(batch); }

std::vector<std::string> ImageStream::notes() const { return state_->lines(); }

}  // namespace ulmus
