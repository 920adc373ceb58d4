#pragma once

#include <string_view>

namespace ulmus::cli {

/// Opens the standard streams that the caller closed, so that no other file gets their numbers; writing to such an
/// output fails. Writing to a pipe without a reader or beyond a file size limit also fails, instead of ending the
/// program.
void prepare_streams();

/// Writes to standard output. Failures are recorded for flush_results().
void print(std::string_view text);

/// Throws Error{environment} if results could not be written, because that must not look like success.
void flush_results();

/// Writes to standard error; failures are ignored.
void print_stderr(std::string_view text) noexcept;

}  // namespace ulmus::cli
