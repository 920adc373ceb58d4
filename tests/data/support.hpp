#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/data/dataset.hpp"

namespace ulmus::test {

/// Checks that `action` throws an Error of this kind whose one line contains all the parts.
template <class Parts = std::initializer_list<std::string_view>, class Action>
void expect_error(ErrorKind kind, const Parts& parts, Action action) {
  try {
    action();
    ADD_FAILURE() << "no error was thrown";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.kind(), kind) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    for (const auto& part : parts) EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
  }
}

/// A source of images, or of features, defined by a function.
template <class Base, class Value>
class FunctionSource : public Base {
 public:
  using Read = std::function<void(std::int64_t, std::span<Value>)>;
  explicit FunctionSource(Read read) : read_(std::move(read)) {}
  void read(std::int64_t index, std::span<Value> out) const override { read_(index, out); }

 private:
  Read read_;
};
using FunctionImages = FunctionSource<ImageSource, std::uint8_t>;
using FunctionFeatures = FunctionSource<FeatureSource, float>;

/// `data` with its samples from `read`.
inline Dataset with_images(const Dataset& data, FunctionImages::Read read) {
  return Dataset(data.info(), std::make_shared<const FunctionImages>(std::move(read)));
}
inline Dataset with_features(const Dataset& data, FunctionFeatures::Read read) {
  return Dataset(data.info(), std::make_shared<const FunctionFeatures>(std::move(read)));
}

/// `data` with its metadata changed by `change`.
template <class Change>
Dataset described(const Dataset& data, Change change) {
  DatasetInfo info = data.info();
  change(info);
  return data.with_info(std::move(info));
}

inline std::vector<std::uint8_t> pixels_of(const Dataset& data, std::int64_t index) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(data.shape().pixels()));
  data.read(index, pixels);
  return pixels;
}

/// A data set in memory with `counts[c]` images of class c; classes alternate as in a shuffled file. Pixel p of image i
/// is (7 i + 13 p) mod 251 + 1, never black.
inline Dataset synthetic(const std::vector<std::int64_t>& counts, ImageShape shape = {1, 3, 4}) {
  DatasetInfo info{.name = "synthetic", .shape = shape, .sha256 = "0123"};
  std::vector<std::int64_t> left = counts;
  for (std::size_t c = 0; c < counts.size(); ++c) info.class_names.push_back("class " + std::to_string(c));
  for (bool more = true; more;) {
    more = false;
    for (std::size_t c = 0; c < left.size(); ++c)
      if (left[c]-- > 0) {
        info.labels.push_back(static_cast<std::int64_t>(c));
        more = true;
      }
  }
  return Dataset(std::move(info),
                 std::make_shared<const FunctionImages>([](std::int64_t index, std::span<std::uint8_t> pixels) {
                   for (std::size_t p = 0; p < pixels.size(); ++p)
                     pixels[p] = static_cast<std::uint8_t>((7 * static_cast<std::size_t>(index) + 13 * p) % 251 + 1);
                 }));
}

}  // namespace ulmus::test
