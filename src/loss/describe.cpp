#include "ulmus/loss/describe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "loss/smoothing.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/family.hpp"

namespace ulmus {
namespace {

using nlohmann::ordered_json;

/// The inputs that a loss needs in addition to logits, labels and counts.
std::string needs_text(const LossDefinition& definition) {
  std::vector<std::string> needs;
  if (definition.needs.features) needs.emplace_back("features");
  if (definition.needs.head) needs.emplace_back("weights of the head");
  const KeyValues keys(definition.keys);
  if (keys.has("from")) needs.emplace_back("epoch");
  if (definition.hooks(keys, ClassCounts({1, 1})).collect_update) needs.emplace_back("state");
  return join(needs, ", ");
}

ordered_json keys_json(std::span<const Key> keys) {
  ordered_json list = ordered_json::array();
  for (const Key& key : keys) {
    ordered_json one = {{"name", key.name}};
    if (key.default_value.is_word())
      one["default"] = key.default_value.word();
    else
      one["default"] = key.default_value.number();
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
    text += fmt::format("  {} = {}   {}{} ({}; {})\n", key.name, key.default_value.text(), key.meaning,
                        key.only_with.empty() ? "" : fmt::format(", only with {}", key.only_with), key.range_text(),
                        key.source);
  return text.empty() ? "  none\n" : text;
}

std::string keys_markdown(std::span<const Key> keys) {
  if (keys.empty()) return "No keys.\n";
  std::string text = "| key | default | values | meaning | default from |\n| --- | --- | --- | --- | --- |\n";
  for (const Key& key : keys)
    text += fmt::format("| `{}` | {} | {} | {}{} | {} |\n", key.name, key.default_value.text(), key.range_text(),
                        key.meaning, key.only_with.empty() ? "" : fmt::format(" (only with `{}`)", key.only_with),
                        key.source);
  return text;
}

/// True for a loss whose definition smooths labels.
bool smooths_labels(const LossDefinition& definition) {
  return detail::is_smoothed(definition.make_params(KeyValues(definition.keys), ClassCounts({1, 1})));
}

/// False if the loss, with default keys, computes something outside the kernel.
bool in_kernel(const LossDefinition& definition) {
  const KeyValues keys(definition.keys);
  const LossHooks hooks = definition.hooks(keys, ClassCounts({1, 1}));
  return !(smooths_labels(definition) || hooks.row_offset || hooks.row_loss || hooks.shape || hooks.batch_term ||
           hooks.batch_offset);
}

std::string_view computed_in(const LossDefinition& definition) {
  return in_kernel(definition) ? "the kernel" : "double precision beside the kernel";
}

std::string reduction_of(const LossDefinition& definition) {
  return std::string(name_of(definition.make_params(KeyValues(definition.keys), ClassCounts({1, 1})).reduction));
}

}  // namespace

std::string list_losses() {
  std::string text = "losses\n";
  for (const LossDefinition& definition : family())
    text += fmt::format("  {:<10} {} ({} head)\n", definition.name, definition.title, name_of(definition.head));
  text += "rules, written behind a loss\n";
  for (const Rule& rule : rules()) text += fmt::format("  +{:<9} {}\n", rule.name, rule.title);
  return text + "\nwrite for example  ce   ldam+drw   elm:lambda=0.5+drw:from=0.8\n'ulmus losses NAME' explains one\n";
}

std::string explain_loss(std::string_view name) {
  std::vector<std::string> names;
  for (const LossDefinition& definition : family()) {
    names.emplace_back(definition.name);
    if (name != definition.name) continue;
    std::string text = fmt::format("{}: {}\n\n  {}\n\nkeys\n{}\nhead      {}\n", definition.name, definition.title,
                                   definition.equation, keys_text(definition.keys), name_of(definition.head));
    if (const std::string needs = needs_text(definition); !needs.empty()) text += fmt::format("needs     {}\n", needs);
    text += fmt::format("reduction {}\n", reduction_of(definition));
    text += fmt::format("computed  in {}\n", computed_in(definition));
    text += fmt::format("use       {}\npitfalls  {}\n", definition.advice, definition.pitfalls);
    if (!definition.paper.empty()) text += fmt::format("paper     {}\n", definition.paper);
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
  ordered_json losses = ordered_json::array(), all_rules = ordered_json::array();
  for (const LossDefinition& definition : family())
    losses.push_back({{"name", definition.name},
                      {"title", definition.title},
                      {"equation", definition.equation},
                      {"paper", definition.paper},
                      {"advice", definition.advice},
                      {"pitfalls", definition.pitfalls},
                      {"head", name_of(definition.head)},
                      {"needs", needs_text(definition)},
                      {"reduction", reduction_of(definition)},
                      {"in_kernel", in_kernel(definition)},
                      {"class_name", definition.class_name},
                      {"is_sum", definition.is_sum},
                      {"has_constant_part", definition.has_constant_part},
                      {"ignores_offset", definition.ignores_offset},
                      {"smooths_labels", smooths_labels(definition)},
                      {"takes_masks", definition.takes_masks},
                      {"chunkable", definition.chunkable},
                      {"shardable", definition.shardable},
                      {"takes_soft_targets", definition.takes_soft_targets},
                      {"keys", keys_json(definition.keys)}});
  for (const Rule& rule : rules())
    all_rules.push_back({{"name", rule.name},
                         {"title", rule.title},
                         {"equation", rule.equation},
                         {"paper", rule.paper},
                         {"takes_file", rule.takes_file},
                         {"resamples", rule.acts == Rule::Acts::sampling},
                         {"deferred", rule.deferred},
                         {"keys", keys_json(rule.keys)}});
  return ordered_json{{"losses", losses}, {"rules", all_rules}}.dump(2) + "\n";
}

std::string family_markdown() {
  std::string text =
      "<!-- Made by `script/docs` from the definitions in src/loss/losses/; edit those. -->\n# Losses\n\n"
      "A loss is written `name[:key=value,...][+rule[:key=value,...]]`, the same on the command line, in "
      "configuration\n"
      "files, in Python and in C: `ce`, `ldam+drw`, `elm:lambda=0.5,scale=20+drw:from=0.8`. In the equations z are "
      "the\n"
      "logits, y the label, n the training samples of a class, pi its share of all, s the key `scale`, and ce the "
      "cross\n"
      "entropy. Predictions always use s z: what a loss adds in training is not added at test time.\n\n"
      "| loss | | head | looks also at | mean | computed |\n| --- | --- | --- | --- | --- | --- |\n";
  for (const LossDefinition& definition : family())
    text += fmt::format("| [`{0}`](#{0}) | {1} | {2} | {3} | {4} | {5} |\n", definition.name, definition.title,
                        name_of(definition.head), needs_text(definition), reduction_of(definition),
                        computed_in(definition));
  text += "\n| rule | |\n| --- | --- |\n";
  for (const Rule& rule : rules()) text += fmt::format("| [`+{0}`](#rule-{0}) | {1} |\n", rule.name, rule.title);
  text +=
      "\n`looks also at`: what a training loop must hand in beside logits and labels. `state` is what a loss carries "
      "from\n"
      "batch to batch; it is saved with a checkpoint, and what the batches of several processes add is summed before "
      "it moves.\n"
      "Left out: the dynamic weighted loss with anti-decoupling of Lin et al. (Expert Systems with Applications 257,\n"
      "2024), because neither its formula nor code is to be had.\n";
  for (const LossDefinition& definition : family()) {
    text += fmt::format("\n## {}\n\n**{}.** `{}`\n\n{}\n", definition.name, definition.title, definition.equation,
                        definition.advice);
    text += fmt::format("\n{}\n{}\n", keys_markdown(definition.keys), definition.pitfalls);
    if (!definition.paper.empty()) text += fmt::format("\n*{}*\n", definition.paper);
  }
  for (const Rule& rule : rules()) {
    text += fmt::format("\n## rule {}\n\n**{}.** `{}`\n\n{}", rule.name, rule.title, rule.equation,
                        keys_markdown(rule.keys));
    if (!rule.paper.empty()) text += fmt::format("\n*{}*\n", rule.paper);
  }
  return text;
}

}  // namespace ulmus
