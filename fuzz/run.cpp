#include <algorithm>
#include <array>
#include <filesystem>
#include <string>

#include "fuzz.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/report/report.hpp"

using namespace ulmus;

namespace {

struct TemporaryRun {
  std::filesystem::path path;

  TemporaryRun() {
    std::string name = std::filesystem::temp_directory_path() / "ulmus-fuzz-XXXXXX";
    fuzz::require(::mkdtemp(name.data()) != nullptr, "a folder for the run is made");
    path = name;
    make_folder(path / "results");
  }
  ~TemporaryRun() { std::filesystem::remove_all(path); }
};

}  // namespace

/// The files of a run folder, separated by a 0 byte: split, metrics, result of a model.
ULMUS_FUZZER(data, size) {
  static const TemporaryRun temporary;
  const std::filesystem::path& folder = temporary.path;
  static const std::array<fuzz::MemoryFile, 3> files{fuzz::MemoryFile(folder / "split.json"),
                                                     fuzz::MemoryFile(folder / "metrics.jsonl"),
                                                     fuzz::MemoryFile(folder / "results" / "ce.seed0.json")};
  std::string_view rest = fuzz::text_of(data, size);
  for (const fuzz::MemoryFile& file : files) {
    const std::string_view part = rest.substr(0, rest.find('\0'));
    file.write(part);
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  }
  fuzz::allow_errors([&] {
    const RunFolder run = read_run(folder);
    const Summary summary = summarize(run);
    fuzz::require(!to_json(summary).empty() && !terminal_table(summary).empty(), "a run that was read can be shown");
    fuzz::require(!html(run, summary).empty(), "a run that was read has a page");
  });
  return 0;
}
