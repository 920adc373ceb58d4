#include "ulmus/loss/reduction.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {

std::string_view name_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::mean:
      return "mean";
    case Reduction::weighted_mean:
      return "weighted-mean";
    case Reduction::none:
      return "none";
  }
  throw std::logic_error("a reduction without a name");
}

Reduction parse_reduction(std::string_view name) {
  std::vector<std::string> names;
  for (const Reduction reduction : {Reduction::mean, Reduction::weighted_mean, Reduction::none}) {
    if (name == name_of(reduction)) return reduction;
    names.emplace_back(name_of(reduction));
  }
  throw Error(ErrorKind::usage, fmt::format("unknown reduction '{}'; {}", name, suggest(name, names)));
}

}  // namespace ulmus
