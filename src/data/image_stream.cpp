#include "ulmus/data/image_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

#include "data/images.hpp"
#include "data/pixels.hpp"
#include "ulmus/base/error.hpp"

namespace ulmus {
namespace {

namespace fs = std::filesystem;

/// Goes through paths and the folders among them, depth first.
class Walk {
 public:
  explicit Walk(std::vector<fs::path> paths) {
    std::ranges::reverse(paths);
    levels_.push_back({.waiting = std::move(paths)});
  }

  /// The next file; an empty path at the end.
  fs::path next() {
    while (!levels_.empty()) {
      std::vector<fs::path>& waiting = levels_.back().waiting;
      if (waiting.empty()) {
        levels_.pop_back();
        continue;
      }
      fs::path path = std::move(waiting.back());
      waiting.pop_back();
      std::error_code ignored;
      const bool named = levels_.size() == 1;  // by the user
      if (fs::is_directory(path, ignored))
        open(path);
      else if (named || detail::has_image_extension(path))
        return path;
    }
    return {};
  }

 private:
  struct Level {
    fs::path folder;                ///< canonical
    std::vector<fs::path> waiting;  ///< the next one last
  };

  void open(const fs::path& folder) {
    std::error_code code;
    Level level{.folder = fs::canonical(folder, code)};
    if (std::ranges::find(levels_, level.folder, &Level::folder) != levels_.end()) return;
    for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code))
      if (!it->path().filename().string().starts_with('.')) level.waiting.push_back(it->path());
    if (code)
      throw Error(ErrorKind::data, fmt::format("cannot list the folder '{}': {}", folder.string(), code.message()));
    std::ranges::sort(level.waiting, std::greater{}, &fs::path::native);
    levels_.push_back(std::move(level));
  }

  std::vector<Level> levels_;
};

}  // namespace

struct ImageStream::State {
  State(std::vector<fs::path> paths, ImageStreamOptions given)
      : options(std::move(given)),
        tables(detail::pixel_tables(options.normalisation, options.shape.channels)),
        walk(std::move(paths)) {
    for (int i = 0; i < options.threads; ++i) workers.emplace_back([this] { work(); });
  }
  ~State() {
    {
      const std::lock_guard lock(mutex);
      stopped = true;
    }
    changed.notify_all();
  }

  void work() {
    for (;;) {
      std::vector<fs::path> paths;
      ImageBatch batch;
      std::int64_t number = 0;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return stopped || walked || taken < returned + options.prefetch; });
        if (stopped || walked) return;
        number = taken++;
        while (!walked && static_cast<std::int64_t>(paths.size()) < options.batch_size) try {
            if (fs::path path = walk.next(); path.empty())
              walked = true;
            else
              paths.push_back(std::move(path));
          } catch (const Error& error) {
            batch.failures.emplace_back(error.what());
          }
      }
      std::exception_ptr error;
      try {
        decode(paths, batch);
      } catch (...) {
        error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex);
        ready.emplace(number, std::pair(std::move(batch), error));
      }
      changed.notify_all();
    }
  }

  void decode(const std::vector<fs::path>& paths, ImageBatch& batch) const {
    const auto size = static_cast<std::size_t>(options.shape.pixels());
    std::vector<std::uint8_t> image(size);
    batch.pixels.reserve(paths.size() * size);
    for (const fs::path& path : paths) {
      try {
        detail::read_image_as(path, options.shape, options.image_size, image);
      } catch (const Error& error) {
        batch.failures.emplace_back(error.what());
        continue;
      }
      batch.paths.push_back(path.string());
      batch.pixels.resize(batch.paths.size() * size);
      detail::write_image(image, tables, batch.pixels.data() + (batch.paths.size() - 1) * size);
    }
  }

  bool next(ImageBatch& batch) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ready.contains(returned) || (walked && returned == taken); });
    const auto found = ready.find(returned);
    if (found == ready.end()) return false;
    auto [came, error] = std::move(found->second);
    ready.erase(found);
    ++returned;
    lock.unlock();
    changed.notify_all();
    if (error) std::rethrow_exception(error);
    batch = std::move(came);
    return !batch.paths.empty() || !batch.failures.empty();  // the last batch may hold nothing
  }

  ImageStreamOptions options;
  std::vector<detail::PixelTable> tables;

  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  Walk walk;
  bool walked = false;  ///< no path is left
  bool stopped = false;
  std::int64_t taken = 0, returned = 0;  ///< batches
  std::map<std::int64_t, std::pair<ImageBatch, std::exception_ptr>> ready;

  std::vector<std::jthread> workers;  // joined first
};

ImageStream::ImageStream(std::vector<fs::path> paths, ImageStreamOptions options) {
  const auto need = [](bool holds, const char* what, std::int64_t value, const char* expected) {
    if (!holds) throw Error(ErrorKind::usage, fmt::format("{} is {}, expected {}", what, value, expected));
  };
  need(options.shape.channels == 1 || options.shape.channels == 3, "the number of channels", options.shape.channels,
       "1 or 3: only images of these can be read from files");
  need(options.batch_size >= 1, "batch_size", options.batch_size, "1 or more");
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

}  // namespace ulmus
