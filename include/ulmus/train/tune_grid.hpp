#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ulmus/loss/spec.hpp"

/// The candidates of `tune`: a list of losses and second stages, and values for their keys.
namespace ulmus {

/// Methods that change a trained head and are not losses (Kang et al., ICLR 2020); see tune.hpp.
enum class SecondStage { crt, tau_norm, lws };

/// An entry of the list: a loss, or a second stage.
struct TuneEntry {
  std::string text;  ///< as given
  std::variant<LossSpec, SecondStage> head;
  std::optional<double> tau;  ///< for `tau_norm`, in [0, 2]

  /// Returns whether the loss, its rule or the second stage has the key.
  bool has(std::string_view key) const;
  /// Returns whether the text sets the key.
  bool sets(std::string_view key) const;
  /// The same entry with another value for a key that it has. Throws Error{usage} for a value out of range.
  TuneEntry with(std::string_view key, const std::string& value) const;
  /// "elm:lambda=0.3+drw", "crt", "tau-norm:tau=0.4".
  std::string name() const;
};

/// The values of one key.
struct GridKey {
  std::string name;
  std::vector<std::string> values;
};

/// Parses a list of losses as for `compare`, and of the second stages `crt`, `tau-norm[:tau=T]` and `lws`. Throws
/// Error{usage} for an unknown name or key (with the nearest one), and for a loss with a key `auto`.
std::vector<TuneEntry> parse_tune_entries(std::string_view list);

/// Parses "lambda=0:1:0.1,max_margin=0.3,0.5": single values, or FIRST:LAST:STEP. Throws Error{usage} for a duplicate
/// key, and for a range that is invalid or has more than 10,000 values.
std::vector<GridKey> parse_tune_grid(std::string_view text);

}  // namespace ulmus
