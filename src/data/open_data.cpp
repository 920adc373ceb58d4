#include <fmt/format.h>

#include "data/decode.hpp"
#include "data/gzip.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/dataset.hpp"

namespace ulmus {
namespace detail {

void reject_image_options(const OpenOptions& options, std::string_view source) {
  if (options.image_size)
    throw Error(ErrorKind::usage, fmt::format("{} resizes image files, not what {} holds; leave it out",
                                              option_name("image_size"), source));
  if (options.skip_bad)
    throw Error(ErrorKind::usage,
                fmt::format("{} passes over image files, {} has none; leave it out", option_name("skip_bad"), source));
}

std::vector<std::string> literal_names(const Address& address) {
  std::vector<std::string> names = address.list("literal");
  for (std::string& name : names) name = class_name(name);
  return names;
}

std::optional<ClassFile> class_file(const Address& address) {
  const auto path = address.find("classes");
  if (!path) return std::nullopt;
  return parse_class_file(read_text_file(*path), *path);
}

namespace {

/// Returns `data` with its address as name and, if it has the classes of a run, with their numbers as labels.
Dataset named(const Dataset& data, std::string_view address, const std::vector<std::string>& known) {
  DatasetInfo info = data.info();
  info.name = address;
  if (!known.empty() && info.class_names != known) {
    LabelTexts texts;
    for (const std::int64_t label : info.labels) texts.add(info.class_names[static_cast<std::size_t>(label)]);
    const LabelRules rules{.place = [&](std::size_t i) { return fmt::format("'{}' image {} (from 0)", address, i); }};
    info.labels = labels_among(texts, known, rules, "the run");
    info.class_names = known;
  }
  return data.with_info(std::move(info));
}

}  // namespace

}  // namespace detail

std::vector<std::string> all_notes(const OpenedData& data) {
  std::vector<std::string> notes;
  if (const std::int64_t skipped = data.skipped.total(); skipped > 0) {
    std::vector<std::string> files;
    for (const std::string& file : data.skipped_files) files.push_back("'" + file + "'");
    notes.push_back(fmt::format("{} that cannot be used {} skipped ({}): {}{}",
                                skipped == 1 ? "1 image" : fmt::format("{} images", skipped),
                                skipped == 1 ? "is" : "are", data.skipped.text(), join(files, ", "),
                                skipped > std::ssize(files) ? ", ..." : ""));
  }
  notes.insert(notes.end(), data.notes.begin(), data.notes.end());
  notes.insert(notes.end(), data.train.notes().begin(), data.train.notes().end());
  if (data.test) notes.insert(notes.end(), data.test->notes().begin(), data.test->notes().end());
  for (std::string& note : notes) note = printable(note, std::string::npos);
  return notes;
}

OpenedData open_data(std::string_view address, const OpenOptions& options) {
  if (options.threads < 0)
    throw Error(ErrorKind::usage,
                fmt::format("decoding threads are {}, expected 0 (all cores) or more", options.threads));
  if (options.image_size && (*options.image_size < 1 || *options.image_size > detail::k_max_image_side))
    throw Error(ErrorKind::usage, fmt::format("{} is {}, expected 1 to {}", option_name("image_size"),
                                              *options.image_size, detail::k_max_image_side));

  if (options.max_pixels < 1 || options.max_pixels > k_largest_max_pixels)
    throw Error(ErrorKind::usage, fmt::format("{} is {}, expected 1 to {}", option_name("max_pixels"),
                                              options.max_pixels, k_largest_max_pixels));
  if (options.image_bits != 0 && (options.image_bits < 8 || options.image_bits > 16))
    throw Error(ErrorKind::usage, fmt::format("{} is {}, expected 8 to 16, or 0 for as many as the data use",
                                              option_name("image_bits"), options.image_bits));

  const detail::Address parsed = detail::parse_address(address);
  OpenedData data;
  if (parsed.source == "folder")
    data = detail::open_folder(parsed.rest, options);
  else if (parsed.source == "list")
    data = detail::open_list(parsed, options);
  else if (parsed.source == "csv")
    data = detail::open_csv(parsed, options);
  else if (parsed.source == "npy")
    data = detail::open_npy(parsed, options);
  else if (parsed.source == "cifar10" || parsed.source == "cifar100")
    data = detail::open_cifar(parsed.source, options);
  else
    data = detail::open_idx(parsed.source, options);

  // The classes of a table are matched when it is encoded.
  const std::vector<std::string> known = data.train_table ? std::vector<std::string>{} : options.classes;
  data.train = detail::named(data.train, address, known);
  if (data.test) data.test = detail::named(*data.test, address, known);
  return data;
}

std::optional<ImageShape> first_image_shape(std::string_view address, const OpenOptions& options) {
  constexpr std::size_t k_tried = 5;
  const detail::Address parsed = detail::parse_address(address);
  std::vector<std::filesystem::path> files;
  if (parsed.source == "folder") files = detail::first_of_folder(parsed.rest, options, k_tried);
  if (parsed.source == "list") files = detail::first_of_list(parsed, k_tried);
  for (const std::filesystem::path& file : files) try {
      const cv::Mat pixels =
          detail::decode_image(read_file(file), {.max_pixels = options.max_pixels, .bits = options.image_bits}).pixels;
      return ImageShape{.channels = pixels.channels(), .height = pixels.rows, .width = pixels.cols};
    } catch (const detail::DecodeError&) {  // opening the data reports the error
    } catch (const Error&) {
    }
  return std::nullopt;
}

Dataset open_unlabelled(const std::filesystem::path& file, std::string_view address, const TableEncoding* encoding,
                        std::vector<std::string> class_names) {
  if (encoding) return detail::open_unlabelled_csv(file, detail::parse_address(address), *encoding);
  return detail::open_unlabelled_npy(file, std::move(class_names));
}

}  // namespace ulmus
