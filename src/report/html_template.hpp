#pragma once

#include <map>
#include <string>
#include <string_view>

namespace ulmus {

/// Text that may stand in HTML and in its attributes.
std::string html_escape(std::string_view text);

/// Puts the pieces into the template, where it has `{{name}}`, in one pass, so what a piece holds is never read as a
/// slot.
std::string render_template(std::string_view page, const std::map<std::string, std::string, std::less<>>& pieces);

}  // namespace ulmus
