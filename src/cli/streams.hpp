#pragma once

#include <string_view>

namespace ulmus::cli {

/// Opens the standard streams that the caller closed, so that no file of ours gets their numbers: what is written to
/// such an output fails. Writing to a pipe without a reader or beyond a limit of file size fails, too, and no longer
/// ends the program.
void prepare_streams();

/// Writes to standard output. Failures are kept for flush_results().
void print(std::string_view text);

/// Throws Error{environment} when results could not be written: they must not look like success.
void flush_results();

/// Writes to standard error; a message that cannot be written is lost and ends nothing.
void print_stderr(std::string_view text) noexcept;

}  // namespace ulmus::cli
