#pragma once

namespace ulmus {

/// The template of the report, src/report/page.html, with a `{{name}}` for every piece that html() fills in.
extern const char* const k_page;

}  // namespace ulmus
