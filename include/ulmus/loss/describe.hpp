#pragma once

#include <string>
#include <string_view>

/// Text about the losses for the program, the documentation and the bindings, generated from the loss definitions.
namespace ulmus {

/// One line per loss and rule.
std::string list_losses();

/// Describes a loss or rule completely: equation, keys with defaults and ranges, advice, pitfalls, paper. Throws
/// Error{usage} with the nearest name if `name` is unknown.
std::string explain_loss(std::string_view name);

/// All losses and rules as JSON: {"losses": [...], "rules": [...]}.
std::string family_json();

/// All losses and rules as Markdown, the first part of docs/losses.md.
std::string family_markdown();

}  // namespace ulmus
