#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>

#include "data/codecs.hpp"

namespace ulmus::detail {

RawImage decode_webp(std::string_view bytes, std::int64_t max_pixels) {
  const WebPData data{reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> demuxer(WebPDemux(&data), WebPDemuxDelete);
  if (!demuxer) damaged("not a whole WebP file");
  const std::uint32_t width = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
  const std::uint32_t height = WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
  check_size(width, height, max_pixels);

  RawImage image;
  image.animated = WebPDemuxGetI(demuxer.get(), WEBP_FF_FRAME_COUNT) > 1;
  WebPIterator first;
  if (WebPDemuxGetFrame(demuxer.get(), 1, &first) == 0) damaged("it has no frame");
  const std::unique_ptr<WebPIterator, void (*)(WebPIterator*)> release(&first, WebPDemuxReleaseIterator);
  const cv::Rect box(first.x_offset, first.y_offset, first.width, first.height);
  const cv::Rect canvas(0, 0, static_cast<int>(width), static_cast<int>(height));
  if ((box & canvas) != box) damaged("its first frame leaves the canvas");
  const bool alpha = first.has_alpha != 0 || box != canvas;  // pixels outside the frame are transparent
  image.pixels = cv::Mat::zeros(canvas.size(), alpha ? CV_8UC4 : CV_8UC3);
  cv::Mat part = image.pixels(box);
  const auto decode = alpha ? WebPDecodeBGRAInto : WebPDecodeBGRInto;
  const std::size_t row = static_cast<std::size_t>(part.cols) * part.elemSize();
  const std::size_t size = part.step * static_cast<std::size_t>(part.rows - 1) + row;
  if (decode(first.fragment.bytes, first.fragment.size, part.data, size, static_cast<int>(part.step)) == nullptr)
    damaged("its data are not those of an image");

  WebPChunkIterator exif;
  if (WebPDemuxGetChunk(demuxer.get(), "EXIF", 1, &exif) != 0) {
    image.orientation = exif_orientation({reinterpret_cast<const char*>(exif.chunk.bytes), exif.chunk.size});
    WebPDemuxReleaseChunkIterator(&exif);
  }
  return image;
}

}  // namespace ulmus::detail
