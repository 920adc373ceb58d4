#include "html_parts.hpp"

#include <fmt/format.h>

#include <cmath>

#include "html_template.hpp"
#include "model.hpp"
#include "phrases.hpp"

namespace ulmus {
namespace {

/// Cells of a confusion table above this share are so dark that their number is written in the page's background
/// colour.
constexpr double k_deep_share = 0.72;

}  // namespace

std::string table_start(std::string_view kind, std::string_view caption, const std::vector<std::string>& titles) {
  std::string text = fmt::format(
      R"(<div class="scroll" tabindex="0" role="region" aria-label="{0}"><table class="{1}"><caption>{0}</caption>)"
      "<thead><tr>",
      caption, kind);
  for (const std::string& title : titles) text += fmt::format(R"(<th scope="col">{}</th>)", title);
  return text + "</tr></thead><tbody>";
}

std::string confusion_table(std::span<const SparseCounts> confusion, std::span<const std::string> class_names,
                            std::string_view caption) {
  const auto name = [&](std::size_t c) { return html_escape(shorten(class_names[c], 20)); };
  std::string text =
      fmt::format(R"(<div class="scroll" tabindex="0" role="region" aria-label="{0}"><table class="confusion">)"
                  R"(<caption class="unseen">{0}</caption><thead><tr><td></td>)",
                  caption);
  for (std::size_t j = 0; j < confusion.size(); ++j)
    text += fmt::format(R"(<th scope="col"><span>{}</span></th>)", name(j));
  text += "</tr></thead><tbody>";
  for (std::size_t y = 0; y < confusion.size(); ++y) {
    const std::int64_t support = total_count(confusion[y]);
    text += fmt::format(R"(<tr><th scope="row">{}</th>)", name(y));
    for (std::size_t j = 0; j < confusion.size(); ++j) {
      const auto entry = confusion[y].find(static_cast<std::int64_t>(j));
      const double share =
          entry == confusion[y].end() ? 0 : static_cast<double>(entry->second) / static_cast<double>(support);
      const long rounded = std::lround(100 * share);
      text += fmt::format(R"(<td style="--v:{:.2f}"{}>{}</td>)", share, share > k_deep_share ? R"( class="deep")" : "",
                          rounded == 0 ? std::string() : std::to_string(rounded));
    }
    text += "</tr>";
  }
  text += k_table_end;
  return text;
}

std::string card(std::string_view title, std::string_view value, std::string_view note) {
  return fmt::format(R"(<div class="card"><dt>{}</dt><dd><b>{}</b><span>{}</span></dd></div>)", html_escape(title),
                     value, html_escape(note));
}

std::string collapsible(std::string_view title, std::string_view content) {
  return fmt::format("<details><summary>{}</summary>{}</details>", title, content);
}

std::string fact(std::string_view name, std::string_view value) {
  return fmt::format("<dt>{}</dt><dd>{}</dd>", name, value);
}

std::string group_digits(std::int64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > 0; at -= 3)
    text.insert(static_cast<std::size_t>(at), 1, ',');
  return text;
}

}  // namespace ulmus
