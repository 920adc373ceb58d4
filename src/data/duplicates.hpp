#pragma once

#include "ulmus/data/inspection.hpp"

namespace ulmus::detail {

/// Compares the samples of both parts by what they hold and fills `in_train`, `in_test` and `leak`. `threads` as in
/// InspectionOptions. The error thrown is that of the first sample that has one, whatever the number of threads.
void find_duplicates(const OpenedData& data, int threads, Inspection& inspection);

}  // namespace ulmus::detail
