#include "ulmus/data/npy_writer.hpp"

#include <fmt/format.h>

#include <bit>
#include <stdexcept>
#include <string>

namespace ulmus {
namespace {

static_assert(std::endian::native == std::endian::little, "the bytes of an array are written as they are in memory");

std::string npy_header(std::string_view type, std::span<const std::int64_t> shape) {
  std::string sizes;
  for (const std::int64_t size : shape) sizes += fmt::format("{}, ", size);
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, sizes);
  // The format asks for data that begin at a multiple of 64 bytes, and for a line break before them.
  constexpr std::size_t k_before = 10, k_alignment = 64;
  header.append(k_alignment - 1 - (k_before + header.size()) % k_alignment, ' ');
  header += '\n';
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(header.size() % 256);
  text += static_cast<char>(header.size() / 256);
  return text + header;
}

}  // namespace

NpyWriter::NpyWriter(const std::filesystem::path& path, std::string_view type, std::span<const std::int64_t> shape)
    : file_(path), missing_(type.back() - std::size_t{'0'}) {
  for (const std::int64_t size : shape) missing_ *= static_cast<std::size_t>(size);
  file_.write(npy_header(type, shape));
}

void NpyWriter::write(std::string_view bytes) {
  file_.write(bytes);
  missing_ -= bytes.size();
}

void NpyWriter::commit() {
  if (missing_ != 0) throw std::logic_error("an .npy file was not written whole");
  file_.commit();
}

}  // namespace ulmus
