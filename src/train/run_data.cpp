#include "train/run_data.hpp"

#include <fmt/format.h>

#include <memory>

#include "train/derived_options.hpp"
#include "train/forward.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/log.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus::detail {

void require_same_data(const OpenedData& data, const Split& split, const std::filesystem::path& folder,
                       const std::string& cure) {
  const std::string test_sha256 = data.test ? data.test->sha256() : "";
  if (data.train.sha256() != split.data_sha256 || test_sha256 != split.test_sha256)
    throw Error(ErrorKind::data,
                fmt::format("the data of '{}' have changed since it was trained; {}", folder.string(), cure));
}

TestPart test_part(const Dataset& train, const std::optional<Dataset>& test, const Split& split) {
  return test ? TestPart{*test, all_indices(*test)} : TestPart{train, split.test};
}

void report_notes(const OpenedData& data) {
  for (const std::string& note : all_notes(data)) warn_once(note, note);
}

OpenedData open_run_data(const RunOptions& options, const std::optional<std::string>& encoding,
                         const std::vector<std::string>& classes) {
  OpenOptions opening = open_options(options);
  opening.classes = classes;
  if (encoding) opening.encoding = std::make_shared<const TableEncoding>(encoding_from_json(*encoding));
  OpenedData data = open_data(options.data, opening);
  report_notes(data);
  if (data.train_table && opening.encoding) encode_tables(data, *opening.encoding);
  return data;
}

}  // namespace ulmus::detail
