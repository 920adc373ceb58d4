#pragma once

#include <string>
#include <string_view>

/// The family table in words: what the program, the documentation and the bindings say about it.
namespace ulmus {

/// One line a loss and a rule.
std::string list_losses();

/// A loss or a rule with everything the table knows: equation, keys with defaults and ranges, advice, pitfalls, paper.
/// Throws Error{usage} with the nearest name.
std::string explain_loss(std::string_view name);

/// The whole table as JSON: {"losses": [...], "rules": [...]}.
std::string family_json();

/// The whole table as the Markdown page docs/losses.md begins with.
std::string family_markdown();

}  // namespace ulmus
