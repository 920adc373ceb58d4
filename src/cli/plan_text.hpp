#pragma once

#include <filesystem>
#include <string>

#include "ulmus/base/json_fwd.hpp"
#include "ulmus/train/plan.hpp"

namespace ulmus::cli {

/// A plan as readable text: the data, the model, one line per loss, and the number of concurrent trials.
std::string to_text(const Plan& plan);

/// A plan as JSON; `folder` is where it would be trained.
Json to_json(const Plan& plan, const std::filesystem::path& folder);

}  // namespace ulmus::cli
