#pragma once

#include <string>
#include <vector>

#include "ulmus/loss/class_counts.hpp"

namespace ulmus::detail {

/// The class weights of +weights=FILE, [C]. Throws Error{data} for a file that does not fit the classes.
std::vector<double> read_weights(const std::string& path, const ClassCounts& counts);

}  // namespace ulmus::detail
