#pragma once

namespace ulmus {

/// The template of the report, src/report/page.html, with a `{{name}}` for every piece that html() inserts.
extern const char* const k_page;

/// The template of the tuning page, src/report/tuning_page.html.
extern const char* const k_tuning_page;

/// The template of the page about adjusted scores, src/report/adjustment_page.html.
extern const char* const k_adjustment_page;

}  // namespace ulmus
