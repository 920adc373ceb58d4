#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "ulmus/report/run_folder.hpp"
#include "ulmus/report/summary.hpp"

namespace ulmus {

struct TableOptions {
  int width = 80;       ///< columns; class names are shortened, then the last columns omitted to fit
  bool colour = false;  ///< highlight best values in bold by ANSI sequences, otherwise with `*`
};

/// The test results as an aligned table in percent with a caption; every line ends with a newline. UTF-8; names are
/// printable.
std::string terminal_table(const Summary& summary, const TableOptions& options = {});

/// The test results as a Markdown table in percent with 95 % intervals: balanced accuracy, top-1, many-, medium- and
/// few-shot accuracy; groups without a class are omitted.
std::string markdown_table(const Summary& summary);

/// The conclusion of the run in two or three sentences: compares the best loss by balanced accuracy on the test set
/// with the baseline (`ce` if it took part, else the first loss), and states whether the seeds support the difference
/// and how it affects frequent and rare classes. The first sentence ends with a newline if others follow.
std::string conclusion(const RunFolder& run, const Summary& summary);

/// Where Chart.js is: `$ULMUS_CHARTJS`, or the place of Debian's libjs-chart.js; nothing if it is missing.
std::optional<std::filesystem::path> find_chartjs();

/// The report as one self-contained HTML page: it includes styles, script, data and Chart.js, and needs no network.
///
/// Chart.js is read from `$ULMUS_CHARTJS`, or else from the path of Debian's libjs-chart.js. Throws Error{environment}
/// if it does not exist.
std::string html(const RunFolder& run, const Summary& summary);

/// Writes `summary.json` and `report.html` into a run folder and returns the summary. Throws as read_run() and html()
/// do, and Error{environment} if a file cannot be written.
Summary write_report(const std::filesystem::path& folder);

}  // namespace ulmus
