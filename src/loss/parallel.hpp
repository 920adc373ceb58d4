#pragma once

#include <cstdint>
#include <functional>

/// The threads of the loss room. Everything here that runs on several threads goes through on_threads().
namespace ulmus::detail {

/// The most threads that a team has, whatever is asked for: four for each processor that this process may use. More
/// would only wait for each other.
int most_threads();

/// How many threads a batch of so many logits gets, cut into `pieces`: at most `wanted`, or where that is 0 as many as
/// OpenMP gives, at most most_threads(); 1 where a team would cost more than it saves.
int team_size(std::int64_t logits, std::int64_t pieces, int wanted);

/// Calls work(me, of) once for each me in [0, of), on a team of at most `threads` threads, the calling one among them.
/// What the work throws is thrown here, once all are done; of several exceptions, one. Where the system gives fewer
/// threads than asked for, `of` is smaller.
void on_threads(int threads, const std::function<void(std::int64_t me, std::int64_t of)>& work);

}  // namespace ulmus::detail
