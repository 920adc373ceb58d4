#pragma once

#include <filesystem>
#include <string>

#include "ulmus/base/json_fwd.hpp"
#include "ulmus/train/plan.hpp"

namespace ulmus::cli {

/// A plan for people: the data, the model, a line for each loss, and how many trials run at a time.
std::string to_text(const Plan& plan);

/// A plan for programs; `folder` is where it would be trained.
Json to_json(const Plan& plan, const std::filesystem::path& folder);

}  // namespace ulmus::cli
