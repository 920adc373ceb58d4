#include "train/head_candidates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <string>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

/// Default values to try for a key without a grid.
struct DefaultGrid {
  std::string_view entry, key, grid;
};
constexpr std::array k_default_grids = {DefaultGrid{"elm", "lambda", "lambda=0:1:0.1"},
                                        DefaultGrid{"la", "tau", "tau=0.5:2:0.25"},
                                        DefaultGrid{"tau-norm", "tau", "tau=0:1:0.1"}};

std::vector<GridKey> default_grid(const TuneEntry& entry) {
  const std::string name = entry.text.substr(0, entry.text.find_first_of(":+"));
  for (const DefaultGrid& known : k_default_grids)
    if (name == known.entry && !entry.sets(known.key)) return parse_tune_grid(known.grid);
  return {};
}

/// Collects the candidates for one trained model.
class Candidates {
 public:
  Candidates(const LossSpec& loss, Head head) : loss_(loss), head_(head) {}

  /// Adds every combination of the grid's values for the keys that the entry has.
  void add(const TuneEntry& entry, std::span<const GridKey> grid, std::vector<std::string> values = {}) {
    while (!grid.empty() && !entry.has(grid[0].name)) grid = grid.subspan(1);
    if (grid.empty()) return add_candidate(entry, std::move(values));
    const GridKey& key = grid[0];
    if (entry.sets(key.name))
      throw_usage(fmt::format("key '{}' has a value in '{}' and others in the grid; keep one", key.name, entry.text));
    used_.insert(key.name);
    for (const std::string& value : key.values) {
      std::vector<std::string> more = values;
      more.push_back(fmt::format("{}={}", key.name, value));
      add(entry.with(key.name, value), grid.subspan(1), std::move(more));
    }
  }

  bool used(const std::string& key) const { return used_.contains(key); }
  std::vector<HeadCandidate> take() { return std::move(candidates_); }

 private:
  void add_candidate(const TuneEntry& entry, std::vector<std::string> values) {
    if (candidates_.size() == k_most_candidates)
      throw_usage(fmt::format("losses and grid make more than {} heads; take fewer values", k_most_candidates));
    const auto* stage = std::get_if<SecondStage>(&entry.head);
    if (stage && *stage != SecondStage::crt && head_ == Head::cosine)
      throw_usage(
          fmt::format("'{}' cannot apply to {}: its cosine head has weights of one length already; leave it out, or "
                      "tune a model with a linear head",
                      entry.text.substr(0, entry.text.find(':')), loss_.text()));
    const LossSpec loss = loss_of(entry);
    const std::string name = entry.name();
    if (!names_.insert(name).second) throw_usage(fmt::format("'{}' comes twice in losses and grid; keep one", name));
    candidates_.push_back({.result = {.name = name,
                                      .entry = entry.text,
                                      .values = std::move(values),
                                      .head = stage && *stage != SecondStage::crt ? head_ : loss.choose_head(""),
                                      .scale = loss.scale(),
                                      .validation = {}},
                           .stage = stage ? std::optional(*stage) : std::nullopt,
                           .loss = loss,
                           .tau = entry.tau.value_or(0)});
  }

  LossSpec loss_of(const TuneEntry& entry) const {
    if (const auto* loss = std::get_if<LossSpec>(&entry.head)) return *loss;
    const LossSpec ce = LossSpec::parse("ce");
    switch (std::get<SecondStage>(entry.head)) {
      case SecondStage::crt:
        return ce;
      case SecondStage::lws:
        return ce.with("scale", format_number(loss_.scale()));
      case SecondStage::tau_norm:
        break;
    }
    return loss_;
  }

  const LossSpec& loss_;
  Head head_;
  std::set<std::string> used_, names_;
  std::vector<HeadCandidate> candidates_;
};

}  // namespace

std::vector<HeadCandidate> make_candidates(const TuneOptions& options, const LossSpec& loss, Head head) {
  const std::vector<TuneEntry> entries =
      options.losses
          ? *options.losses
          : parse_tune_entries(head == Head::cosine ? "elm+drw,elm,la,crt" : "elm+drw,elm,la,crt,tau-norm,lws");
  Candidates candidates(loss, head);
  for (const TuneEntry& entry : entries) candidates.add(entry, options.grid ? *options.grid : default_grid(entry));
  for (const GridKey& key : options.grid.value_or(std::vector<GridKey>()))
    if (!candidates.used(key.name)) {
      std::vector<std::string> texts;
      for (const TuneEntry& entry : entries) texts.push_back(entry.text);
      throw_usage(fmt::format("no loss of '{}' has the key '{}' of the grid; leave it out, or add a loss that has it",
                              join(texts, ","), key.name));
    }
  return candidates.take();
}

}  // namespace ulmus::detail
