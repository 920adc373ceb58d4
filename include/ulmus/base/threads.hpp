#pragma once

#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace ulmus::detail {

/// Calls `work` on `count` threads at the same time, waits for all and rethrows the first exception. If the system
/// cannot start more threads, fewer run, possibly only the caller: `work` must take its tasks from a common list.
template <class Work>
void run_on_threads(std::size_t count, const Work& work) {
  std::mutex mutex;
  std::exception_ptr error;
  const auto guarded = [&] {
    try {
      work();
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(count);
  try {
    while (threads.size() < count) threads.emplace_back(guarded);
  } catch (const std::exception&) {  // no thread, or no memory for one
    if (threads.empty()) guarded();
  }
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace ulmus::detail
