#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/data/dataset.hpp"

namespace ulmus::test {

/// `action` throws an Error of this kind whose one line has all the parts.
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

inline std::vector<std::uint8_t> pixels_of(const Dataset& data, std::int64_t index) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(data.shape.pixels()));
  data.read(index, pixels);
  return pixels;
}

/// A data set in memory with `counts[c]` images of class c, the classes in turn as in a shuffled file. Pixel p of image
/// i is (7 i + 13 p) mod 251 + 1, never black.
inline Dataset synthetic(const std::vector<std::int64_t>& counts, ImageShape shape = {1, 3, 4}) {
  Dataset data;
  data.name = "synthetic";
  data.shape = shape;
  data.sha256 = "0123";
  std::vector<std::int64_t> left = counts;
  for (std::size_t c = 0; c < counts.size(); ++c) data.class_names.push_back("class " + std::to_string(c));
  for (bool more = true; more;) {
    more = false;
    for (std::size_t c = 0; c < left.size(); ++c)
      if (left[c]-- > 0) {
        data.labels.push_back(static_cast<std::int64_t>(c));
        more = true;
      }
  }
  data.read = [](std::int64_t index, std::span<std::uint8_t> pixels) {
    for (std::size_t p = 0; p < pixels.size(); ++p)
      pixels[p] = static_cast<std::uint8_t>((7 * static_cast<std::size_t>(index) + 13 * p) % 251 + 1);
  };
  return data;
}

}  // namespace ulmus::test
