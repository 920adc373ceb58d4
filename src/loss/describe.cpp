#include "ulmus/loss/describe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/family.hpp"

namespace ulmus {
namespace {

using nlohmann::ordered_json;

/// What a member looks at beside logits, labels and counts.
std::string needs_text(const Member& member) {
  std::vector<std::string> needs;
  if (member.needs.features) needs.emplace_back("features");
  if (member.needs.head) needs.emplace_back("weights of the head");
  const KeyValues keys(member.keys);
  if (keys.has("from")) needs.emplace_back("epoch");
  if (member.fill(keys, ClassCounts({1, 1})).parts.measure) needs.emplace_back("state");
  return join(needs, ", ");
}

ordered_json keys_json(std::span<const Key> keys) {
  ordered_json list = ordered_json::array();
  for (const Key& key : keys) {
    ordered_json one = {{"name", key.name}};
    if (key.choices.empty())
      one["default"] = key.default_value;
    else
      one["default"] = key.text(key.default_value);
    one["range"] = key.range_text();
    one["choices"] = std::vector<std::string>(key.choices.begin(), key.choices.end());
    one["automatic"] = std::vector<double>(key.automatic.begin(), key.automatic.end());
    one["only_with"] = key.only_with;
    one["meaning"] = key.meaning;
    one["source"] = key.source;
    list.push_back(one);
  }
  return list;
}

std::string keys_text(std::span<const Key> keys) {
  std::string text;
  for (const Key& key : keys)
    text += fmt::format("  {} = {}   {}{} ({}; {})\n", key.name, key.text(key.default_value), key.meaning,
                        key.only_with.empty() ? "" : fmt::format(", only with {}", key.only_with), key.range_text(),
                        key.source);
  return text.empty() ? "  none\n" : text;
}

std::string keys_markdown(std::span<const Key> keys) {
  if (keys.empty()) return "No keys.\n";
  std::string text = "| key | default | values | meaning | default from |\n| --- | --- | --- | --- | --- |\n";
  for (const Key& key : keys)
    text += fmt::format("| `{}` | {} | {} | {}{} | {} |\n", key.name, key.text(key.default_value), key.range_text(),
                        key.meaning, key.only_with.empty() ? "" : fmt::format(" (only with `{}`)", key.only_with),
                        key.source);
  return text;
}

std::string reduction_of(const Member& member) {
  return std::string(name_of(member.fill(KeyValues(member.keys), ClassCounts({1, 1})).reduction));
}

}  // namespace

std::string list_losses() {
  std::string text = "losses\n";
  for (const Member& member : family())
    text += fmt::format("  {:<10} {} ({} head)\n", member.name, member.title, name_of(member.head));
  text += "rules, written behind a loss\n";
  for (const Rule& rule : rules()) text += fmt::format("  +{:<9} {}\n", rule.name, rule.title);
  return text + "\nwrite for example  ce   ldam+drw   elm:lambda=0.5+drw:from=0.8\n'ulmus losses NAME' explains one\n";
}

std::string explain_loss(std::string_view name) {
  std::vector<std::string> names;
  for (const Member& member : family()) {
    names.emplace_back(member.name);
    if (name != member.name) continue;
    std::string text = fmt::format("{}: {}\n\n  {}\n\nkeys\n{}\nhead      {}\n", member.name, member.title,
                                   member.equation, keys_text(member.keys), name_of(member.head));
    if (const std::string needs = needs_text(member); !needs.empty()) text += fmt::format("needs     {}\n", needs);
    text += fmt::format("reduction {}\n", reduction_of(member));
    text += fmt::format("computed  {}\n", member.where.empty() ? "in the kernel" : fmt::format("by {}", member.where));
    text += fmt::format("use       {}\npitfalls  {}\n", member.advice, member.pitfalls);
    if (!member.paper.empty()) text += fmt::format("paper     {}\n", member.paper);
    return text;
  }
  const std::string_view rule_name = name.starts_with('+') ? name.substr(1) : name;
  for (const Rule& rule : rules()) {
    names.emplace_back(rule.name);
    if (rule_name != rule.name) continue;
    std::string text =
        fmt::format("+{}: {}\n\n  {}\n\nkeys\n{}", rule.name, rule.title, rule.equation, keys_text(rule.keys));
    if (!rule.paper.empty()) text += fmt::format("\npaper     {}\n", rule.paper);
    return text;
  }
  throw Error(ErrorKind::usage, fmt::format("unknown loss or rule '{}'; {}", name, suggest(name, names)));
}

std::string family_json() {
  ordered_json members = ordered_json::array(), all_rules = ordered_json::array();
  for (const Member& member : family())
    members.push_back({{"name", member.name},
                       {"title", member.title},
                       {"equation", member.equation},
                       {"paper", member.paper},
                       {"advice", member.advice},
                       {"pitfalls", member.pitfalls},
                       {"head", name_of(member.head)},
                       {"needs", needs_text(member)},
                       {"reduction", reduction_of(member)},
                       {"in_kernel", member.where.empty()},
                       {"keys", keys_json(member.keys)}});
  for (const Rule& rule : rules())
    all_rules.push_back({{"name", rule.name},
                         {"title", rule.title},
                         {"equation", rule.equation},
                         {"paper", rule.paper},
                         {"takes_file", rule.takes_file},
                         {"resamples", rule.acts == Rule::Acts::sampling},
                         {"deferred", rule.deferred},
                         {"keys", keys_json(rule.keys)}});
  return ordered_json{{"losses", members}, {"rules", all_rules}}.dump(2) + "\n";
}

std::string family_markdown() {
  std::string text =
      "<!-- Made by `script/docs` from the family table in src/loss/family.cpp; edit that. -->\n# Losses\n\n"
      "A loss is written `name[:key=value,...][+rule[:key=value,...]]`, the same on the command line, in "
      "configuration\n"
      "files, in Python and in C: `ce`, `ldam+drw`, `elm:lambda=0.5,scale=20+drw:from=0.8`. In the equations z are "
      "the\n"
      "logits, y the label, n the training samples of a class, pi its share of all, s the key `scale`, and ce the "
      "cross\n"
      "entropy. Predictions always use s z: what a loss adds in training is not added at test time.\n\n"
      "| loss | | head | looks also at | mean | computed |\n| --- | --- | --- | --- | --- | --- |\n";
  for (const Member& member : family())
    text += fmt::format("| [`{0}`](#{0}) | {1} | {2} | {3} | {4} | {5} |\n", member.name, member.title,
                        name_of(member.head), needs_text(member), reduction_of(member),
                        member.where.empty() ? "kernel" : member.where);
  text += "\n| rule | |\n| --- | --- |\n";
  for (const Rule& rule : rules()) text += fmt::format("| [`+{0}`](#rule-{0}) | {1} |\n", rule.name, rule.title);
  text +=
      "\n`looks also at`: what a training loop must hand in beside logits and labels. `state` is what a loss carries "
      "from\n"
      "batch to batch; it is saved with a checkpoint, and what several processes measured is summed before it moves.\n"
      "Left out: the dynamic weighted loss with anti-decoupling of Lin et al. (Expert Systems with Applications 257,\n"
      "2024), because neither its formula nor code is to be had.\n";
  for (const Member& member : family()) {
    text += fmt::format("\n## {}\n\n**{}.** `{}`\n\n{}\n", member.name, member.title, member.equation, member.advice);
    text += fmt::format("\n{}\n{}\n", keys_markdown(member.keys), member.pitfalls);
    if (!member.paper.empty()) text += fmt::format("\n*{}*\n", member.paper);
  }
  for (const Rule& rule : rules()) {
    text += fmt::format("\n## rule {}\n\n**{}.** `{}`\n\n{}", rule.name, rule.title, rule.equation,
                        keys_markdown(rule.keys));
    if (!rule.paper.empty()) text += fmt::format("\n*{}*\n", rule.paper);
  }
  return text;
}

}  // namespace ulmus
