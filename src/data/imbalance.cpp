#include "ulmus/data/imbalance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <numeric>

#include "ulmus/base/class_values.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

/// q(c) / q(0) of the header, as factors that neither cancel for a large alpha nor overflow for a small one.
double pareto_fraction(double alpha, std::int64_t c, std::int64_t classes) {
  const double rank = std::log(static_cast<double>(c + 1) / static_cast<double>(classes + 1)) / alpha;
  const double first = std::log(1 / static_cast<double>(classes + 1)) / alpha;
  return std::exp(first - rank) * std::expm1(rank) / std::expm1(first);
}

/// n[c] / n_max for class c of C, before truncation.
double fraction(const ImbalanceProfile& profile, std::int64_t c, std::int64_t classes) {
  switch (profile.kind) {
    case ImbalanceProfile::Kind::exponential:
      return c == 0 ? 1 : std::pow(profile.factor, static_cast<double>(c) / static_cast<double>(classes - 1));
    case ImbalanceProfile::Kind::step:
      return c < classes / 2 || classes == 1 ? 1 : profile.factor;
    case ImbalanceProfile::Kind::pareto:
      return c == 0 ? 1 : pareto_fraction(profile.alpha, c, classes);
    case ImbalanceProfile::Kind::none:
    case ImbalanceProfile::Kind::counts:
      break;
  }
  return 1;
}

/// Parses the whole of `text` as a count of at least 1; 0 if it is not one.
std::int64_t count_in(std::string_view text) {
  std::int64_t count = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, status] = std::from_chars(text.data(), end, count);
  return status == std::errc{} && stopped == end && count >= 1 ? count : 0;
}

ClassValues read_counts(const std::string& file) {
  ClassValues given = read_class_values(file);
  for (const auto& [name, value, line] : given.lines)
    if (count_in(value) == 0)
      throw Error(ErrorKind::data, fmt::format("line {} of '{}' is '{}', expected the number of images of a class, 1 "
                                               "or more",
                                               line, file, printable(value)));
  if (given.lines.empty())
    throw Error(ErrorKind::data, fmt::format("'{}' has no counts; write a number a line, one for each class", file));
  return given;
}

std::vector<std::int64_t> given_counts(const ClassValues& given, std::span<const std::int64_t> available,
                                       std::span<const std::string> class_names) {
  std::vector<std::int64_t> counts;
  for (const auto& [name, value, line] : in_class_order(given, class_names, std::ssize(available))) {
    const std::size_t c = counts.size();
    counts.push_back(count_in(value));
    if (counts[c] > available[c])
      throw Error(ErrorKind::data,
                  fmt::format("line {} of '{}' asks for {} images of class {}, but there are {}; lower it", line,
                              given.file.string(), counts[c],
                              class_names.empty() ? fmt::format("{} (counted from 0)", c)
                                                  : fmt::format("'{}'", printable(class_names[c])),
                              available[c]));
  }
  return counts;
}

}  // namespace

ImbalanceProfile ImbalanceProfile::parse(std::string_view text) {
  static const std::array<std::string, 5> k_kinds{"none", "exp", "step", "pareto", "counts"};
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const std::string_view value = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (std::ranges::find(k_kinds, kind) == k_kinds.end())
    throw Error(ErrorKind::usage, fmt::format("unknown imbalance '{}'; {}", text, suggest(kind, k_kinds)));
  if (kind == "none") {
    if (colon != std::string_view::npos)
      throw Error(ErrorKind::usage, fmt::format("imbalance '{}' takes no ratio; write 'none'", text));
    return {};
  }
  if (kind == "counts") {
    if (value.empty())
      throw Error(ErrorKind::usage, fmt::format("imbalance '{}' names no file; write 'counts:FILE'", text));
    return {.kind = ImbalanceProfile::Kind::counts, .given = read_counts(std::string(value))};
  }
  if (kind == "pareto") {
    if (value.empty())
      throw Error(ErrorKind::usage,
                  fmt::format("imbalance '{}' needs the power of the distribution; write 'pareto:6'", text));
    const double alpha = parse_number(value, fmt::format("the power of imbalance '{}'", text));
    if (alpha < 0.01 || alpha > 1000)
      throw Error(
          ErrorKind::usage,
          fmt::format("the power of imbalance '{}' is not from 0.01 to 1000; ImageNet-LT has 'pareto:6'", text));
    return {.kind = ImbalanceProfile::Kind::pareto, .alpha = alpha};
  }
  if (value.empty())
    throw Error(
        ErrorKind::usage,
        fmt::format("imbalance '{}' needs the ratio of the largest class to the smallest; write '{}:100'", text, kind));
  const double ratio = parse_number(value, fmt::format("the ratio of imbalance '{}'", text));
  if (ratio < 1)
    throw Error(ErrorKind::usage,
                fmt::format("the ratio of imbalance '{}' is below 1; it is largest class to smallest, write '{}:100'",
                            text, kind));
  return {.kind = kind == "exp" ? ImbalanceProfile::Kind::exponential : ImbalanceProfile::Kind::step,
          .factor = 1 / ratio};
}

std::vector<std::int64_t> imbalance_counts(const ImbalanceProfile& profile, std::span<const std::int64_t> available,
                                           std::span<const std::string> class_names) {
  if (profile.kind == ImbalanceProfile::Kind::none) return {available.begin(), available.end()};
  if (profile.kind == ImbalanceProfile::Kind::counts) return given_counts(profile.given, available, class_names);

  const auto classes = static_cast<std::int64_t>(available.size());
  std::vector<double> fractions(available.size());
  for (std::int64_t c = 0; c < classes; ++c) fractions[static_cast<std::size_t>(c)] = fraction(profile, c, classes);

  const bool is_pareto = profile.kind == ImbalanceProfile::Kind::pareto;
  const auto kept = [&](double n_max) {
    std::vector<std::int64_t> counts(available.size());
    for (std::size_t c = 0; c < counts.size(); ++c) {
      counts[c] = static_cast<std::int64_t>(n_max * fractions[c]);
      if (is_pareto) counts[c] = std::max(counts[c], std::min<std::int64_t>(available[c], 1));
    }
    return counts;
  };
  const auto enough = [&](std::span<const std::int64_t> counts) {
    return std::ranges::equal(counts, available, std::less_equal{});
  };

  const auto total = std::accumulate(available.begin(), available.end(), std::int64_t{0});
  const double wanted = is_pareto && classes > 0 ? static_cast<double>(available[0])
                                                 : static_cast<double>(total) / static_cast<double>(classes);
  std::vector<std::int64_t> counts = kept(wanted);
  if (enough(counts)) return counts;

  // n[c] = trunc(n_max * fraction) <= available[c] is an upper bound of n_max, except for rounding, which the loop
  // corrects.
  double n_max = static_cast<double>(total);
  for (std::size_t c = 0; c < counts.size(); ++c)
    n_max = std::min(n_max, std::ceil(static_cast<double>(available[c] + 1) / fractions[c]));
  do {
    counts = kept(n_max);
    --n_max;
  } while (!enough(counts));
  return counts;
}

}  // namespace ulmus
