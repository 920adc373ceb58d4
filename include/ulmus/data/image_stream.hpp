#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ulmus/data/loader.hpp"

namespace ulmus {

struct ImageStreamOptions {
  ImageShape shape;                        ///< shape of the model's images, 1 or 3 channels
  std::optional<std::int64_t> image_size;  ///< as in OpenOptions; unset: the size of a file must match `shape`
  Normalisation normalisation{};
  std::int64_t batch_size = 64;
  int threads = 1;                         ///< decoding threads, at least 1
  int prefetch = 4;                        ///< maximum number of batches decoded ahead
  std::int64_t max_pixels = k_max_pixels;  ///< as in OpenOptions
  int image_bits = 0;                      ///< as in OpenOptions; 0: all 16
};

/// A file or folder that could not be read.
struct ImageFailure {
  std::string reason;   ///< the kind of failure, "damaged", for counting
  std::string message;  ///< one line that names the path
};

/// Consecutive image files. A batch may be smaller than the others if files could not be read.
struct ImageBatch {
  std::vector<std::string> paths;      ///< [size], of the readable images, in order
  std::vector<float> pixels;           ///< [size, channels, height, width], normalised as in the loader
  std::vector<ImageFailure> failures;  ///< in order
};

/// The images at the given paths. A file is taken whatever its name; a folder stands for the image files in it and its
/// sub-folders, recognised by extension or content, sorted by the bytes of their names. Hidden entries are skipped, and
/// files of other kinds are counted in `notes`. Links to folders are followed, but not back into a folder that is being
/// read. A folder that cannot be listed is a failure. Images are decoded as for training.
///
/// Worker threads decode images as needed. Memory: the names in the currently open folders, and `prefetch` + `threads`
/// batches. The order does not depend on threads. Not thread-safe.
class ImageStream {
 public:
  /// Throws Error{data} for a path that does not exist, and Error{usage} for an option out of range.
  ImageStream(std::vector<std::filesystem::path> paths, ImageStreamOptions options);
  ~ImageStream();
  ImageStream(const ImageStream&) = delete;
  ImageStream& operator=(const ImageStream&) = delete;

  /// Gets the next batch, with at least one image or failure; returns false at the end. Rethrows an exception that
  /// ended a decoding thread.
  bool next(ImageBatch& batch);
  /// What was ignored or changed so far, one line each, as OpenedData::notes.
  std::vector<std::string> notes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ulmus
