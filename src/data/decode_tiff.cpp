#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "data/codecs.hpp"
#include "ulmus/base/text.hpp"
// Must follow OpenCV, which uses names that libtiff declares deprecated.
#include <tiffio.h>

namespace ulmus::detail {
namespace {

/// A file in memory, and libtiff's messages about it.
struct TiffSource {
  std::string_view bytes;
  std::uint64_t at = 0;
  std::string message;  ///< the first error
};

TiffSource& source(thandle_t handle) { return *static_cast<TiffSource*>(handle); }

tmsize_t read_source(thandle_t handle, void* to, tmsize_t size) {
  TiffSource& from = source(handle);
  if (from.at >= from.bytes.size()) return 0;
  const auto count = std::min<std::uint64_t>(static_cast<std::uint64_t>(size), from.bytes.size() - from.at);
  std::memcpy(to, from.bytes.data() + from.at, count);
  from.at += count;
  return static_cast<tmsize_t>(count);
}

toff_t seek_source(thandle_t handle, toff_t offset, int whence) {
  TiffSource& from = source(handle);
  const std::uint64_t base = whence == SEEK_CUR ? from.at : whence == SEEK_END ? from.bytes.size() : 0;
  return from.at = base + offset;
}

int keep_error(TIFF*, void* handle, const char*, const char* format, va_list values) {
  TiffSource& from = source(handle);
  if (from.message.empty()) {
    std::vector<char> text(256);
    std::vsnprintf(text.data(), text.size(), format, values);
    from.message = text.data();
  }
  return 1;  // suppresses output on standard error
}

int drop_warning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

using TiffFile = std::unique_ptr<TIFF, void (*)(TIFF*)>;

TiffFile open_tiff(TiffSource& from, tmsize_t largest_allocation) {
  const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                             TIFFOpenOptionsFree);
  if (!options) throw std::bad_alloc();
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), keep_error, &from);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), drop_warning, &from);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), largest_allocation);
  return {TIFFClientOpenExt(
              "", "rm", &from, read_source, [](thandle_t, void*, tmsize_t) -> tmsize_t { return -1; }, seek_source,
              [](thandle_t) { return 0; }, [](thandle_t handle) -> toff_t { return source(handle).bytes.size(); },
              nullptr, nullptr, options.get()),
          TIFFClose};
}

/// The sample layout declared by a page.
struct Layout {
  std::uint32_t width = 0, height = 0;
  std::uint16_t bits = 1, samples = 1, photometric = 0, planar = PLANARCONFIG_CONTIG, orientation = 1;
  std::uint16_t format = SAMPLEFORMAT_UINT, extra = EXTRASAMPLE_UNSPECIFIED;
  bool has_photometric = false;

  explicit Layout(TIFF* tiff) {
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &orientation);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
    has_photometric = TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric) == 1;
    std::uint16_t count = 0;
    const std::uint16_t* kinds = nullptr;
    if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds) == 1 && count > 0) extra = kinds[0];
  }

  bool grey() const { return photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE; }
  int colours() const { return grey() ? 1 : photometric == PHOTOMETRIC_SEPARATED ? 4 : 3; }
  bool alpha() const { return extra == EXTRASAMPLE_ASSOCALPHA || extra == EXTRASAMPLE_UNASSALPHA; }
};

void check_samples(const Layout& page) {
  if (page.format == SAMPLEFORMAT_IEEEFP || page.photometric == PHOTOMETRIC_LOGL ||
      page.photometric == PHOTOMETRIC_LOGLUV)
    throw DecodeError(
        ImageFault::unsupported,
        "its samples are floating-point numbers, of which none is white by definition; convert it to whole numbers of "
        "8 or 16 bits");
  if (page.format != SAMPLEFORMAT_UINT && page.format != SAMPLEFORMAT_VOID)
    throw DecodeError(ImageFault::unsupported,
                      "its samples are signed or complex numbers; convert it to whole numbers of 8 or 16 bits from 0");
  if (page.bits > 16 || (page.bits > 8 && page.bits < 16) || page.bits == 0)
    throw DecodeError(ImageFault::unsupported,
                      fmt::format("it has {} bits a sample, expected up to 8, or 16; convert it", page.bits));
  if (!page.has_photometric) damaged("it does not say what its samples are");
  const int colours = page.photometric == PHOTOMETRIC_PALETTE ? 1 : page.colours();
  if (page.samples < colours || page.samples > colours + 1)
    throw DecodeError(
        ImageFault::unsupported,
        fmt::format("it has {} samples a pixel, expected grey or colours, with transparency at most", page.samples));
}

/// Copies the samples of `columns` pixels at (x, y). A separate plane has one sample per pixel.
template <class Sample>
void copy_row(const void* from, int samples, int first, int colours, cv::Mat& image, int y, int x, int columns) {
  const auto* sample = static_cast<const Sample*>(from);
  const int channels = image.channels();
  Sample* to = image.ptr<Sample>(y) + static_cast<std::ptrdiff_t>(x) * channels;
  for (int i = 0; i < columns; ++i, to += channels, sample += samples)
    for (int s = 0; s < samples; ++s) {
      const int channel = first + s;
      if (channel < channels) to[channel < 3 && colours == 3 ? 2 - channel : channel] = sample[s];
    }
}

/// Reads grey or RGB of 8 or 16 bits at full precision.
void read_samples(TIFF* tiff, const Layout& page, tmsize_t largest_allocation, RawImage& image) {
  const int colours = page.colours();
  const bool alpha = page.samples > colours && page.alpha();
  const int depth = page.bits == 16 ? CV_16U : CV_8U;
  image.pixels.create(static_cast<int>(page.height), static_cast<int>(page.width),
                      CV_MAKETYPE(depth, colours + (alpha ? 1 : 0)));
  if (alpha && page.photometric == PHOTOMETRIC_MINISWHITE)
    throw DecodeError(ImageFault::unsupported, "it is transparent and its 0 is white; save it with 0 as black");
  image.premultiplied = page.extra == EXTRASAMPLE_ASSOCALPHA;
  image.inverted = page.photometric == PHOTOMETRIC_MINISWHITE;

  const bool tiled = TIFFIsTiled(tiff) != 0, separate = page.planar == PLANARCONFIG_SEPARATE;
  const tmsize_t size = tiled ? TIFFTileSize(tiff) : TIFFScanlineSize(tiff);
  std::uint32_t block_width = page.width, block_height = 1;
  if (tiled) {
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &block_width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &block_height);
  }
  const int samples = separate ? 1 : page.samples;
  const std::uint64_t row_bytes = std::uint64_t{block_width} * static_cast<unsigned>(samples) * (page.bits / 8);
  if (size <= 0 || size > largest_allocation || block_width == 0 || block_height == 0 ||
      row_bytes * block_height > static_cast<std::uint64_t>(size))
    damaged("its tiles or rows have an impossible size");
  std::vector<char> block(static_cast<std::size_t>(size));
  for (int plane = 0; plane < (separate ? page.samples : 1); ++plane)
    for (std::uint32_t y = 0; y < page.height; y += block_height)
      for (std::uint32_t x = 0; x < page.width; x += block_width) {
        const auto at_plane = static_cast<std::uint16_t>(plane);
        if ((tiled ? TIFFReadTile(tiff, block.data(), x, y, 0, at_plane)
                   : TIFFReadScanline(tiff, block.data(), y, at_plane)) < 0)
          damaged(source(TIFFClientdata(tiff)).message);
        const auto columns = static_cast<int>(std::min(block_width, page.width - x));
        for (std::uint32_t r = 0; r < std::min(block_height, page.height - y); ++r) {
          const auto copy = depth == CV_16U ? copy_row<std::uint16_t> : copy_row<std::uint8_t>;
          copy(block.data() + r * row_bytes, samples, plane, colours, image.pixels, static_cast<int>(y + r),
               static_cast<int>(x), columns);
        }
      }
}

/// Reads everything else with libtiff's conversion: palettes, fewer than 8 bits, YCbCr, CMYK, Lab.
void read_converted(TIFF* tiff, const Layout& page, RawImage& image) {
  char why[1024] = "";
  if (TIFFRGBAImageOK(tiff, why) == 0)
    throw DecodeError(ImageFault::unsupported, fmt::format("libtiff cannot convert it: {}", printable(why)));
  const auto width = static_cast<int>(page.width), height = static_cast<int>(page.height);
  cv::Mat raster(height, width, CV_8UC4);
  // Requests the image's own orientation, so that libtiff does not rotate it.
  if (TIFFReadRGBAImageOriented(tiff, page.width, page.height, raster.ptr<std::uint32_t>(), page.orientation, 1) == 0)
    damaged(source(TIFFClientdata(tiff)).message);
  image.pixels.create(height, width, page.grey() ? CV_8UC1 : CV_8UC3);
  for (int y = 0; y < height; ++y) {
    const auto* from = raster.ptr<std::uint32_t>(y);
    std::uint8_t* to = image.pixels.ptr(y);
    for (int x = 0; x < width; ++x) {
      if (!page.grey()) {
        *to++ = static_cast<std::uint8_t>(TIFFGetB(from[x]));
        *to++ = static_cast<std::uint8_t>(TIFFGetG(from[x]));
      }
      *to++ = static_cast<std::uint8_t>(TIFFGetR(from[x]));
    }
  }
}

/// Returns whether another page follows that is not a smaller copy of the first.
bool has_more_pages(TIFF* tiff) {
  constexpr int k_most_copies = 64;
  for (int i = 0; i < k_most_copies && TIFFReadDirectory(tiff) == 1; ++i) {
    std::uint32_t type = 0;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SUBFILETYPE, &type);
    if ((type & (FILETYPE_REDUCEDIMAGE | FILETYPE_MASK)) == 0) return true;
  }
  return false;
}

}  // namespace

RawImage decode_tiff(std::string_view bytes, std::int64_t max_pixels) {
  constexpr std::int64_t k_most_bytes_per_pixel = 8;
  const auto largest_allocation = static_cast<tmsize_t>(
      std::max<std::int64_t>(static_cast<std::int64_t>(bytes.size()) + (1 << 16), max_pixels * k_most_bytes_per_pixel));
  TiffSource from{.bytes = bytes, .message = {}};
  const TiffFile tiff = open_tiff(from, largest_allocation);
  if (!tiff) damaged(from.message);
  const Layout page(tiff.get());
  check_size(page.width, page.height, max_pixels);
  check_samples(page);
  RawImage image;
  const bool plain = page.bits >= 8 && (page.grey() || page.photometric == PHOTOMETRIC_RGB);
  if (plain)
    read_samples(tiff.get(), page, largest_allocation, image);
  else
    read_converted(tiff.get(), page, image);
  if (page.orientation >= 1 && page.orientation <= 8) image.orientation = page.orientation;
  image.paged = has_more_pages(tiff.get());
  return image;
}

}  // namespace ulmus::detail
