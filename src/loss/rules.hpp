#pragma once

#include <string>
#include <vector>

#include "ulmus/loss/class_counts.hpp"

namespace ulmus::detail {

/// Reads the class weights of +weights=FILE, [C]. Throws Error{data} for a file that does not match the classes.
std::vector<double> read_weights(const std::string& path, const ClassCounts& counts);

}  // namespace ulmus::detail
