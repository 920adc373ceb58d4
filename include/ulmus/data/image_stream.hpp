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
  ImageShape shape;                        ///< of the model's images, 1 or 3 channels
  std::optional<std::int64_t> image_size;  ///< as in OpenOptions; unset: a file must have the size of `shape`
  Normalisation normalisation{};
  std::int64_t batch_size = 64;
  int threads = 1;                         ///< that decode, at least 1
  int prefetch = 4;                        ///< batches decoded ahead at most
  std::int64_t max_pixels = k_max_pixels;  ///< as in OpenOptions
  int image_bits = 0;                      ///< as in OpenOptions; 0: all 16
};

/// A file or folder that could not be read.
struct ImageFailure {
  std::string reason;   ///< its kind, "damaged", as failures are counted
  std::string message;  ///< a line that names the path
};

/// Image files one after the other, a batch at a time. A batch may be smaller than the others where files could not be
/// read.
struct ImageBatch {
  std::vector<std::string> paths;      ///< [size], of the images that could be read, in order
  std::vector<float> pixels;           ///< [size, channels, height, width], normalised as the loader does
  std::vector<ImageFailure> failures;  ///< in order
};

/// The images behind paths: a file stands for itself, whatever its name; a folder for the image files in it and in its
/// folders, by ending or content, entries in the byte order of their names. Hidden entries are passed over, and files
/// of other kinds counted in `notes`; a link to a folder is followed, but not back into one that is being read. A
/// folder that cannot be listed is a failure. Images are decoded as those of a training set are.
///
/// Decoded by worker threads as they are needed. Memory: the names in the folders that are open at a time, and
/// `prefetch` + `threads` batches. The order does not depend on threads. Used from one thread.
class ImageStream {
 public:
  /// Throws Error{data} for a path that does not exist, Error{usage} for an option out of range.
  ImageStream(std::vector<std::filesystem::path> paths, ImageStreamOptions options);
  ~ImageStream();
  ImageStream(const ImageStream&) = delete;
  ImageStream& operator=(const ImageStream&) = delete;

  /// The next batch, with at least one image or failure; false at the end. Throws what ended a decoding thread.
  bool next(ImageBatch& batch);
  /// What was ignored or changed so far, a line each, as OpenedData::notes.
  std::vector<std::string> notes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ulmus
