#pragma once

#include <map>
#include <string>
#include <string_view>

namespace ulmus {

/// Escapes text for HTML and its attributes.
std::string html_escape(std::string_view text);

/// Replaces each `{{name}}` in the template by its piece, in one pass, so that a piece is never interpreted as a
/// template.
std::string render_template(std::string_view page, const std::map<std::string, std::string, std::less<>>& pieces);

}  // namespace ulmus
