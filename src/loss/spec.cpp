#include "ulmus/loss/spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

[[noreturn]] void reject(const std::string& message) { throw Error(ErrorKind::usage, message); }

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
  reject(fmt::format("unknown {} '{}'{}; {}", what, name, place, suggest(name, names(table))));
}

/// The parts of `name`, `name:key=value,...` or `name=file`.
struct Part {
  std::string name;
  std::vector<std::string> settings;
  std::string file;

  explicit Part(std::string_view text) {
    const std::size_t mark = text.find_first_of(":=");
    name = text.substr(0, mark);
    if (mark == std::string_view::npos) return;
    if (text[mark] == ':')
      settings = split(text.substr(mark + 1), ',');
    else
      file = text.substr(mark + 1);
  }
};

/// Parses the value of a key.
KeyValue read_value(const Key& key, const std::string& value, std::string_view text) {
  const std::string what = fmt::format("{} in loss '{}'", key.name, text);
  if (!key.choices.empty()) {
    const auto word = std::find(key.choices.begin(), key.choices.end(), value);
    if (word == key.choices.end())
      reject(fmt::format("{} is '{}'; {}", what, value,
                         suggest(value, std::vector<std::string>(key.choices.begin(), key.choices.end()))));
    return *word;
  }
  if (value == "auto" && !key.automatic.empty()) return Automatic();
  const double number = parse_number(value, what);
  // Far within the range of float, so that products of several keys are finite, too.
  constexpr double k_largest = 1e30;
  if (number != 0 && !(std::fabs(number) <= k_largest && std::fabs(number) >= 1 / k_largest))
    reject(fmt::format("{} is {}, expected 0 or a number of a size from 1e-30 to 1e30", what, format_number(number)));
  if (!key.range.contains(number))
    reject(fmt::format("{} is {}, expected {}: {}", what, format_number(number), key.range.text(), key.meaning));
  return number;
}

void read_keys(const Part& part, std::span<const Key> table, KeyValues& values, std::string_view text) {
  std::vector<std::string> seen;
  for (const std::string& setting : part.settings) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos)
      reject(fmt::format("'{}' in loss '{}' is not key=value; write for example {}", setting, text,
                         table.empty()
                             ? part.name
                             : fmt::format("{}:{}={}", part.name, table[0].name, table[0].default_value.text())));
    const std::string name = setting.substr(0, equals);
    if (table.empty())
      reject(fmt::format("'{}' in loss '{}' has no keys, but '{}' came; leave it out", part.name, text, name));
    const Key& key = find(table, name, fmt::format("key of {}", part.name), text);
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      reject(fmt::format("key '{}' comes twice in loss '{}'; keep one", name, text));
    seen.push_back(name);
    values.set(name, read_value(key, setting.substr(equals + 1), text));
  }
  for (const Key& key : table)
    if (std::find(seen.begin(), seen.end(), key.name) != seen.end() && !values.applies(key))
      reject(fmt::format("key '{}' in loss '{}' applies only with {}; leave it out, or add that", key.name, text,
                         key.only_with));
}

}  // namespace

LossSpec::LossSpec(const LossDefinition& definition, const Rule* rule)
    : definition_(&definition),
      keys_(definition.keys),
      rule_(rule),
      rule_keys_(rule ? std::span<const Key>(rule->keys) : std::span<const Key>{}) {}

LossSpec LossSpec::parse(std::string_view text) {
  // The plus sign of an exponent (1e+3) follows a digit and an e; every other plus starts a rule.
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
  if (loss.name.empty()) reject(fmt::format("loss '{}' has no name; {}", text, suggest("", names(family()))));
  const LossDefinition& definition = find(family(), loss.name, "loss", text);
  if (!loss.file.empty())
    reject(fmt::format("loss '{}' has '=' behind its name; keys follow a colon, for example {}:{}", text, loss.name,
                       definition.keys.empty()
                           ? "key=value"
                           : fmt::format("{}={}", definition.keys[0].name, definition.keys[0].default_value.text())));
  if (parts.size() > 2)
    reject(fmt::format("loss '{}' has {} rules, expected at most one: they would multiply; keep one of {}", text,
                       parts.size() - 1, join(names(rules()), ", ")));
  std::optional<Part> rule_part;
  const Rule* rule = nullptr;
  if (parts.size() == 2) {
    rule_part.emplace(parts[1]);
    rule = &find(rules(), rule_part->name, "rule", text);
    if (rule->takes_file != !rule_part->file.empty())
      reject(rule->takes_file
                 ? fmt::format("rule '{}' in loss '{}' needs a file: write {}+{}=FILE", rule->name, text, parts[0],
                               rule->name)
                 : fmt::format("rule '{}' in loss '{}' takes no file; keys follow a colon", rule->name, text));
  }
  LossSpec spec(definition, rule);
  read_keys(loss, definition.keys, spec.keys_, text);
  if (rule) {
    read_keys(*rule_part, rule->keys, spec.rule_keys_, text);
    spec.rule_file_ = rule_part->file;
    if (rule->acts == Rule::Acts::weights && spec.has_own_weights())
      reject(fmt::format("loss '{}' has class weights of its own, which +{} would multiply; {}", text, rule->name,
                         spec.keys_.has("weights")
                             ? fmt::format("write {}:weights=none+{}", definition.name, rule->name)
                             : fmt::format("leave out +{}", rule->name)));
  }
  return spec;
}

std::string LossSpec::compose(bool all) const {
  std::string text(definition_->name);
  if (const std::string keys = keys_.text(all); !keys.empty()) text += ":" + keys;
  if (rule_) {
    text += fmt::format("+{}", rule_->name);
    if (rule_->takes_file) text += "=" + rule_file_;
    if (const std::string keys = rule_keys_.text(all); !keys.empty()) text += ":" + keys;
  }
  return text;
}

LossSpec LossSpec::with(std::string_view key, const std::string& value) const {
  LossSpec changed = *this;
  std::vector<Key> keys(definition_->keys.begin(), definition_->keys.end());
  if (rule_) keys.insert(keys.end(), rule_->keys.begin(), rule_->keys.end());
  const Key& entry = find(std::span<const Key>(keys), key, fmt::format("key of {}", text()), key);
  KeyValues& values = keys_.has(key) ? changed.keys_ : changed.rule_keys_;
  values.set(key, read_value(entry, value, text()));
  if (!values.applies(entry))
    reject(fmt::format("key '{}' of loss '{}' applies only with {}; add that", key, text(), entry.only_with));
  return parse(changed.full_text());
}

const Key* LossSpec::automatic() const {
  const auto found =
      std::ranges::find_if(definition_->keys, [this](const Key& key) { return keys_.value(key.name).is_automatic(); });
  return found == definition_->keys.end() ? nullptr : &*found;
}

namespace {

/// For loss properties that do not depend on the counts.
ClassCounts any_counts() { return ClassCounts({1, 1}); }

long long epoch_at(double fraction, long long epochs) {
  return std::min(std::llround(fraction * static_cast<double>(epochs)), epochs - 1);
}

}  // namespace

bool LossSpec::deferred() const { return rule_ && rule_->deferred; }

bool LossSpec::resamples() const { return rule_ && rule_->acts == Rule::Acts::sampling; }

bool LossSpec::has_own_weights() const {
  return !definition_->make_params(keys_.with_candidates(), any_counts()).class_weight.empty();
}

long long LossSpec::rule_epoch(long long epochs) const { return deferred() ? epoch_at(rule_keys_["from"], epochs) : 0; }

long long LossSpec::start_epoch(long long epochs) const {
  return keys_.has("from") ? epoch_at(keys_["from"], epochs) : 0;
}

std::vector<long long> LossSpec::choice_epochs(long long epochs) const {
  constexpr double k_early = 0.2;         // most of the training uses the value, and features are informative by then
  constexpr double k_without_rule = 0.8;  // where drw starts by default
  const long long early = std::max(1LL, epoch_at(k_early, epochs));
  const long long late = std::max(1LL, deferred() ? rule_epoch(epochs) : epoch_at(k_without_rule, epochs));
  if (early >= late) return {late};
  return {early, late};
}

double LossSpec::scale() const { return definition_->make_params(keys_.with_candidates(), any_counts()).scale; }

Head LossSpec::choose_head(std::string_view requested) const {
  static const std::vector<std::string> heads = {"linear", "cosine"};
  const bool has_scale = keys_.has("scale"), scaled = has_scale && keys_["scale"] > 1;
  if (!requested.empty() && std::find(heads.begin(), heads.end(), requested) == heads.end())
    reject(fmt::format("unknown head '{}'; {}", requested, suggest(requested, heads)));
  Head head = scaled ? Head::cosine : definition_->head;
  if (!requested.empty()) head = requested == "linear" ? Head::linear : Head::cosine;
  if (head == Head::linear && definition_->head == Head::cosine)
    reject(fmt::format("loss '{}' cannot work on a linear head: its margins are in cosine units; use the cosine head",
                       text()));
  if (head == Head::cosine && !has_scale)
    reject(fmt::format("loss '{}' cannot learn on a cosine head: it has no scale for cosines; use the linear head",
                       text()));
  if (head == Head::cosine && !scaled)
    reject(fmt::format(
        "loss '{}' cannot learn on a cosine head with scale {}: cosines of at most 1 cannot make a probability near 1; "
        "use '{}:scale=30'",
        text(), format_number(scale()), definition_->name));
  return head;
}

std::vector<std::string> split_losses(std::string_view list) {
  std::vector<std::string> texts;
  for (const std::string& piece : split(list, ',')) {
    // `key=value` continues the preceding loss; in `loss:key=value` and `loss+weights=FILE` another mark comes first.
    const std::size_t mark = piece.find_first_of(":=+");
    const bool continues = mark != std::string::npos && piece[mark] == '=' && !texts.empty();
    if (continues) {
      texts.back() += "," + piece;
    } else if (piece == "all") {
      for (const LossDefinition& definition : family()) texts.emplace_back(definition.name);
    } else {
      texts.push_back(piece);
    }
  }
  if (std::ranges::find(texts, "") != texts.end())
    reject(fmt::format("the list of losses '{}' has an empty place; write for example ce,ldam+drw", list));
  return texts;
}

std::vector<LossSpec> parse_losses(std::string_view list) {
  std::vector<LossSpec> losses;
  for (const std::string& text : split_losses(list)) {
    losses.push_back(LossSpec::parse(text));
    for (std::size_t i = 0; i + 1 < losses.size(); ++i)
      if (losses[i] == losses.back())
        reject(fmt::format("loss '{}' comes twice in '{}'; keep one", losses.back().text(), list));
  }
  return losses;
}

}  // namespace ulmus
