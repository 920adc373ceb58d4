#include "ulmus/loss/spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorKind::usage, message); }

template <class Entry>
std::vector<std::string> names(std::span<const Entry> table) {
  std::vector<std::string> names;
  for (const Entry& entry : table) names.emplace_back(entry.name);
  return names;
}

template <class Entry>
const Entry& find(std::span<const Entry> table, std::string_view name, std::string_view what, std::string_view text) {
  for (const Entry& entry : table)
    if (entry.name == name) return entry;
  const std::string place = name == text ? "" : fmt::format(" in loss '{}'", text);
  refuse(fmt::format("unknown {} '{}'{}; {}", what, name, place, suggest(name, names(table))));
}

/// `name` or `name:key=value,...` taken apart.
struct Part {
  std::string name;
  std::vector<std::string> settings;

  explicit Part(std::string_view text) {
    const std::size_t colon = text.find(':');
    name = text.substr(0, colon);
    if (colon != std::string_view::npos) settings = split(text.substr(colon + 1), ',');
  }
};

void read_keys(const Part& part, std::span<const Key> table, KeyValues& values, std::string_view text) {
  std::vector<std::string> seen;
  for (const std::string& setting : part.settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos)
      refuse(fmt::format(
          "'{}' in loss '{}' is not key=value; write for example {}", setting, text,
          table.empty() ? part.name
                        : fmt::format("{}:{}={}", part.name, table[0].name, format_number(table[0].default_value))));
    const std::string name = setting.substr(0, equals);
    if (table.empty())
      refuse(fmt::format("'{}' in loss '{}' has no keys, but '{}' came; leave it out", part.name, text, name));
    const Key& key = find(table, name, fmt::format("key of {}", part.name), text);
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      refuse(fmt::format("key '{}' comes twice in loss '{}'; keep one", name, text));
    seen.push_back(name);
    const double value = parse_number(setting.substr(equals + 1), fmt::format("{} in loss '{}'", name, text));
    if (!key.range.contains(value))
      refuse(fmt::format("{} in loss '{}' is {}, expected {}: {}", name, text, format_number(value), key.range.text(),
                         key.meaning));
    values.set(name, value);
  }
}

}  // namespace

LossSpec::LossSpec(const Member& member, const WeightRule* rule)
    : member_(&member),
      keys_(member.keys),
      rule_(rule),
      rule_keys_(rule ? std::span<const Key>(rule->keys) : std::span<const Key>{}) {}

LossSpec LossSpec::parse(std::string_view text) {
  // An exponent's plus sign (1e+3) follows a digit and an e; every other plus begins a rule.
  std::vector<std::string> parts{""};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool exponent =
        text[i] == '+' && i >= 2 && text[i - 1] == 'e' && std::isdigit(static_cast<unsigned char>(text[i - 2]));
    if (text[i] == '+' && !exponent)
      parts.emplace_back();
    else
      parts.back() += text[i];
  }
  const Part loss(parts[0]);
  if (loss.name.empty()) refuse(fmt::format("loss '{}' has no name; {}", text, suggest("", names(family()))));
  const Member& member = find(family(), loss.name, "loss", text);
  if (parts.size() > 2)
    refuse(fmt::format("loss '{}' has {} weight rules, expected at most one: they would multiply; keep one of {}", text,
                       parts.size() - 1, join(names(weight_rules()), ", ")));
  std::optional<Part> rule_part;
  const WeightRule* rule = nullptr;
  if (parts.size() == 2) {
    rule_part.emplace(parts[1]);
    rule = &find(weight_rules(), rule_part->name, "weight rule", text);
  }
  LossSpec spec(member, rule);
  read_keys(loss, member.keys, spec.keys_, text);
  if (rule) read_keys(*rule_part, rule->keys, spec.rule_keys_, text);
  return spec;
}

std::string LossSpec::compose(bool all) const {
  std::string text(member_->name);
  if (const std::string keys = keys_.text(all); !keys.empty()) text += ":" + keys;
  if (rule_) {
    text += fmt::format("+{}", rule_->name);
    if (const std::string keys = rule_keys_.text(all); !keys.empty()) text += ":" + keys;
  }
  return text;
}

bool LossSpec::deferred() const { return rule_ && rule_->name == "drw"; }

long long LossSpec::reweight_epoch(long long epochs) const {
  if (!deferred()) return 0;
  return std::min(std::llround(rule_keys_["from"] * static_cast<double>(epochs)), epochs - 1);
}

double LossSpec::scale() const { return keys_["scale"]; }

Head LossSpec::choose_head(std::string_view requested) const {
  static const std::vector<std::string> heads = {"linear", "cosine"};
  const bool scaled = scale() > 1;
  if (!requested.empty() && std::find(heads.begin(), heads.end(), requested) == heads.end())
    refuse(fmt::format("unknown head '{}'; {}", requested, suggest(requested, heads)));
  Head head = scaled ? Head::cosine : member_->head;
  if (!requested.empty()) head = requested == "linear" ? Head::linear : Head::cosine;
  if (head == Head::linear && member_->head == Head::cosine)
    refuse(fmt::format("loss '{}' cannot work on a linear head: its margins are in cosine units; use the cosine head",
                       text()));
  if (head == Head::cosine && !scaled)
    refuse(fmt::format(
        "loss '{}' cannot learn on a cosine head with scale {}: cosines of at most 1 cannot make a probability near 1; "
        "use '{}:scale=30'",
        text(), format_number(scale()), member_->name));
  return head;
}

std::vector<LossSpec> parse_losses(std::string_view list) {
  std::vector<std::string> texts;
  for (const std::string& piece : split(list, ',')) {
    const std::size_t mark = piece.find_first_of(":=");
    const bool continues = mark != std::string::npos && piece[mark] == '=' && !texts.empty();
    if (continues)
      texts.back() += "," + piece;
    else
      texts.push_back(piece);
  }
  std::vector<LossSpec> losses;
  for (const std::string& text : texts) {
    if (text.empty())
      refuse(fmt::format("the list of losses '{}' has an empty place; write for example ce,ldam+drw", list));
    losses.push_back(LossSpec::parse(text));
    for (std::size_t i = 0; i + 1 < losses.size(); ++i)
      if (losses[i] == losses.back())
        refuse(fmt::format("loss '{}' comes twice in '{}'; keep one", losses.back().text(), list));
  }
  return losses;
}

}  // namespace ulmus
