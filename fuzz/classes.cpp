#include "data/labels.hpp"
#include "fuzz.hpp"
#include "ulmus/base/class_values.hpp"
#include "ulmus/base/names.hpp"

using namespace ulmus;

/// Files of class names, and files with one number per class.
ULMUS_FUZZER(data, size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::allow_errors([&] {
    const detail::ClassFile file = detail::parse_class_file(text, "classes.txt");
    fuzz::require(file.numbers.empty() || file.numbers.size() == file.names.size(), "every name has a number or none");
    const NameIndex index(file.names);
    for (const std::string& name : file.names) fuzz::require(index.find(name).has_value(), "a class is found");
  });
  fuzz::allow_errors([&] {
    const ClassValues values = parse_class_values(text, "values.txt");
    std::vector<std::string> names;
    for (const ClassValues::Line& line : values.lines) names.push_back(line.name);
    if (!values.named) names.clear();
    const auto ordered = in_class_order(values, names, std::ssize(values.lines));
    fuzz::require(ordered.size() == values.lines.size(), "every class has a line");
  });
  return 0;
}
