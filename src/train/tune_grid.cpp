#include "ulmus/train/tune_grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "train/head_candidates.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

struct StageName {
  std::string_view name;
  SecondStage stage;
};
constexpr std::array k_stages = {StageName{"crt", SecondStage::crt}, StageName{"tau-norm", SecondStage::tau_norm},
                                 StageName{"lws", SecondStage::lws}};
constexpr double k_default_tau = 0.5;

double parse_tau(const std::string& text) {
  const double tau = parse_number(text, "tau of tau-norm");
  if (!(tau >= 0 && tau <= 2)) throw_usage(fmt::format("tau of tau-norm is {}, expected in [0, 2]", text));
  return tau;
}

TuneEntry parse_stage(const std::string& text, const StageName& known) {
  TuneEntry entry{.text = text, .head = known.stage};
  const bool has_tau = known.stage == SecondStage::tau_norm;
  if (has_tau) entry.tau = k_default_tau;
  const std::string start = fmt::format("{}:tau=", known.name);
  if (has_tau && text.starts_with(start))
    entry.tau = parse_tau(text.substr(start.size()));
  else if (text != known.name)
    throw_usage(fmt::format("'{}' has no such key or rule; write {}", text,
                            has_tau ? "tau-norm or tau-norm:tau=0.5" : known.name));
  return entry;
}

TuneEntry parse_entry(const std::string& text) {
  const std::string name = text.substr(0, text.find_first_of(":+="));
  const auto known = std::ranges::find(k_stages, name, &StageName::name);
  if (known != k_stages.end()) return parse_stage(text, *known);
  std::vector<std::string> names;
  for (const LossDefinition& definition : family()) names.emplace_back(definition.name);
  for (const StageName& stage : k_stages) names.emplace_back(stage.name);
  if (std::ranges::find(names, name) == names.end())
    throw_usage(fmt::format("unknown loss or second stage '{}'; {}", name, suggest(name, names)));
  LossSpec loss = LossSpec::parse(text);
  if (const Key* key = loss.automatic())
    throw_usage(fmt::format("'{}' chooses {} while it trains; here write {} and {}", text, key->name,
                            loss.definition().name, option_name("grid", fmt::format("{}=0:1:0.1", key->name))));
  return {.text = text, .head = std::move(loss)};
}

/// Expands "0.3" or "0:1:0.1" into values.
std::vector<std::string> grid_values(const std::string& text, const std::string& key) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() == 1) return {text};
  const std::string range = fmt::format("the range '{}' of {}", text, key);
  if (parts.size() != 3)
    throw_usage(fmt::format("{} is not FIRST:LAST:STEP; write for example {}=0:1:0.1", range, key));
  const double first = parse_number(parts[0], range), last = parse_number(parts[1], range),
               step = parse_number(parts[2], range);
  const double count = std::floor((last - first) / step * (1 + 1e-9)) + 1;
  if (!(step > 0) || !(last >= first))
    throw_usage(fmt::format("{} goes nowhere, expected FIRST at most LAST and STEP above 0", range));
  if (count > static_cast<double>(detail::k_most_candidates))
    throw_usage(fmt::format("{} has {:.0f} values, expected at most {}; take a larger step", range, count,
                            detail::k_most_candidates));
  std::vector<std::string> values;
  // Twelve digits, so that 3 * 0.1 is 0.3.
  for (int i = 0; i < static_cast<int>(count); ++i)
    values.push_back(format_number(std::stod(fmt::format("{:.12g}", first + i * step))));
  return values;
}

}  // namespace

bool TuneEntry::has(std::string_view key) const {
  if (tau) return key == "tau";
  const auto* loss = std::get_if<LossSpec>(&head);
  return loss && (loss->keys().has(key) || (loss->rule() && loss->rule_keys().has(key)));
}

bool TuneEntry::sets(std::string_view key) const {
  return text.find(fmt::format(":{}=", key)) != std::string::npos ||
         text.find(fmt::format(",{}=", key)) != std::string::npos;
}

TuneEntry TuneEntry::with(std::string_view key, const std::string& value) const {
  TuneEntry entry = *this;
  if (auto* loss = std::get_if<LossSpec>(&entry.head))
    *loss = loss->with(key, value);
  else
    entry.tau = parse_tau(value);
  return entry;
}

std::string TuneEntry::name() const {
  if (const auto* loss = std::get_if<LossSpec>(&head)) return loss->text();
  return tau ? fmt::format("tau-norm:tau={}", format_number(*tau)) : text;
}

std::vector<TuneEntry> parse_tune_entries(std::string_view list) {
  std::vector<TuneEntry> entries;
  for (const std::string& text : split_losses(list)) entries.push_back(parse_entry(text));
  return entries;
}

std::vector<GridKey> parse_tune_grid(std::string_view text) {
  std::vector<GridKey> grid;
  for (const std::string& piece : split(text, ',')) {
    const std::size_t equals = piece.find('=');
    if (equals == std::string::npos && grid.empty())
      throw_usage(fmt::format("'{}' does not begin with KEY=; write for example lambda=0:1:0.1", text));
    if (equals != std::string::npos) {
      const std::string name = piece.substr(0, equals);
      if (std::ranges::find(grid, name, &GridKey::name) != grid.end())
        throw_usage(fmt::format("key '{}' comes twice in '{}'; keep one", name, text));
      grid.push_back({.name = name, .values = {}});
    }
    GridKey& key = grid.back();
    for (const std::string& value : grid_values(piece.substr(equals == std::string::npos ? 0 : equals + 1), key.name)) {
      if (value.empty()) throw_usage(fmt::format("'{}' has an empty value of {}", text, key.name));
      if (std::ranges::find(key.values, value) == key.values.end()) key.values.push_back(value);
    }
  }
  return grid;
}

}  // namespace ulmus
