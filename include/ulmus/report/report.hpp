#pragma once

#include <filesystem>
#include <string>

#include "ulmus/report/run_folder.hpp"
#include "ulmus/report/summary.hpp"

namespace ulmus {

struct TableOptions {
  int width = 80;       ///< columns; class names are shortened, then the last columns left out to fit
  bool colour = false;  ///< best values in bold by ANSI sequences, marked with `*` otherwise
};

/// The test results as an aligned table in percent with a caption, every line ended by a newline. UTF-8; names
/// are printable.
std::string terminal_table(const Summary& summary, const TableOptions& options = {});

/// The test results as a Markdown table in percent with 95 % intervals: balanced accuracy, top-1, many-, medium- and
/// few-shot accuracy; groups without a class are left out.
std::string markdown_table(const Summary& summary);

/// The conclusion of the run in two or three sentences: the best loss by balanced accuracy on the test set against the
/// baseline (`ce` where it took part, else the first loss), whether the seeds support the difference, and what it does
/// to frequent and rare classes. The first sentence ends with a newline when others follow.
std::string conclusion(const RunFolder& run, const Summary& summary);

/// The report as one page of HTML that needs no network: styles, script, data and Chart.js are inside.
///
/// Chart.js is read from `$ULMUS_CHARTJS`, else from where Debian's libjs-chart.js puts it. Throws Error{environment}
/// when it is not there.
std::string html(const RunFolder& run, const Summary& summary);

/// Writes `summary.json` and `report.html` into a run folder, from what the run left there, and returns the summary.
/// Throws what read_run() and html() throw, and Error{environment} when a file cannot be written.
Summary write_report(const std::filesystem::path& folder);

}  // namespace ulmus
