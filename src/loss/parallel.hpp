#pragma once

#include <cstdint>
#include <functional>

/// The threads of the loss module. Everything that runs on several threads calls on_threads().
namespace ulmus::detail {

/// Maximum size of a team, whatever is requested: four threads per processor that this process may use. More threads
/// would only wait for each other.
int most_threads();

/// Number of threads for a batch with `logits` logits, divided into `pieces`: at most `wanted`, or OpenMP's default if
/// `wanted` is 0, at most most_threads(); 1 if a team would cost more than it saves.
int team_size(std::int64_t logits, std::int64_t pieces, int wanted);

/// Calls work(me, of) once for each me in [0, of), on a team of at most `threads` threads including the calling one.
/// Rethrows one exception of the work after all calls have ended. If the system provides fewer threads than requested,
/// `of` is smaller.
void on_threads(int threads, const std::function<void(std::int64_t me, std::int64_t of)>& work);

}  // namespace ulmus::detail
