#include "ulmus/data/dataset.hpp"

#include <fmt/format.h>

#include "data/gzip.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {

namespace detail {

void refuse_image_options(const OpenOptions& options, std::string_view source) {
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

/// Numbers the labels of a set whose class names are fixed as the classes of a run.
void adopt_classes(Dataset& data, const std::vector<std::string>& known) {
  if (known.empty() || data.class_names == known) return;
  LabelTexts texts;
  for (const std::int64_t label : data.labels) texts.add(data.class_names[static_cast<std::size_t>(label)]);
  const LabelRules rules{.place = [&](std::size_t i) { return fmt::format("'{}' image {} (from 0)", data.name, i); }};
  data.labels = labels_among(texts, known, rules, "the run");
  data.class_names = known;
}

}  // namespace

}  // namespace detail

std::vector<std::string> all_notes(const OpenedData& data) {
  std::vector<std::string> notes;
  if (const std::int64_t skipped = data.skipped.total(); skipped > 0) {
    std::vector<std::string> files;
    for (const std::string& file : data.skipped_files) files.push_back("'" + file + "'");
    notes.push_back(fmt::format("{} that cannot be used {} passed over ({}): {}{}",
                                skipped == 1 ? "1 image" : fmt::format("{} images", skipped),
                                skipped == 1 ? "is" : "are", data.skipped.text(), join(files, ", "),
                                skipped > std::ssize(files) ? ", ..." : ""));
  }
  notes.insert(notes.end(), data.notes.begin(), data.notes.end());
  notes.insert(notes.end(), data.train.notes.begin(), data.train.notes.end());
  if (data.test) notes.insert(notes.end(), data.test->notes.begin(), data.test->notes.end());
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

  data.train.name = address;
  if (data.test) data.test->name = address;
  if (data.train_table) return data;  // classes are matched when it is encoded
  detail::adopt_classes(data.train, options.classes);
  if (data.test) detail::adopt_classes(*data.test, options.classes);
  return data;
}

Dataset open_unlabelled(const std::filesystem::path& file, std::string_view address, const TableEncoding* encoding) {
  Dataset data = encoding ? detail::open_unlabelled_csv(file, detail::parse_address(address), *encoding)
                          : detail::open_unlabelled_npy(file);
  data.name = file.string();
  return data;
}

}  // namespace ulmus
