#pragma once

#include "ulmus/data/inspection.hpp"

namespace ulmus::detail {

/// Compares the samples of both parts by content and fills `in_train`, `in_test` and `leak`. `threads` as in
/// InspectionOptions. Throws the error of the first failing sample, independent of the number of threads.
void find_duplicates(const OpenedData& data, int threads, Inspection& inspection);

}  // namespace ulmus::detail
