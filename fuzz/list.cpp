#include "data/formats.hpp"
#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  fuzz::allow_errors([&] {
    const detail::ListLines list = detail::read_list(fuzz::text_of(data, size), "list.txt", "/root");
    fuzz::require(std::ssize(list.names) == list.labels.size() && list.names.size() == list.lines.size(),
                  "every line has a name and a label");
    for (const std::string& name : list.names)
      fuzz::require(!std::filesystem::path("root/" + name).lexically_normal().lexically_relative("root").empty() &&
                        !std::filesystem::path("root/" + name).lexically_normal().string().starts_with(".."),
                    "no path leaves the root");
    const detail::Classes classes = detail::classes_of(
        list.labels, {.file = "list.txt", .place = [](std::size_t i) { return fmt::format("sample {}", i); }});
    fuzz::require(classes.names.size() <= classes.labels.size(), "every class has a sample");
  });
  return 0;
}
