#include "loss/parallel.hpp"

#include <omp.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace ulmus::detail {
namespace {

/// A batch with fewer logits runs on the calling thread: starting threads would cost more than they save.
constexpr std::int64_t k_parallel_logits = 1 << 15;

constexpr int k_threads_of_a_processor = 4;

/// Stores the first exception of a team. An exception must not leave a thread's function or a parallel region: the
/// process would terminate.
class FirstException {
 public:
  template <class Work>
  void run(const Work& work) noexcept {
    try {
      work();
    } catch (...) {
      if (!taken_.exchange(true)) exception_ = std::current_exception();
    }
  }
  void rethrow() const {
    if (exception_) std::rethrow_exception(exception_);
  }

 private:
  std::atomic<bool> taken_ = false;
  std::exception_ptr exception_;
};

#ifdef __SANITIZE_THREAD__  // ThreadSanitizer does not see that libgomp's threads wait for each other

template <class Share>
void run_team(int threads, const Share& share) {
  std::vector<std::thread> team;
  team.reserve(static_cast<std::size_t>(threads));
  int me = 1;
  try {
    for (; me < threads; ++me) team.emplace_back([&share, me, threads] { share(me, threads); });
  } catch (const std::system_error&) {  // no thread for these shares: run them here
    for (; me < threads; ++me) share(me, threads);
  }
  share(0, threads);
  for (std::thread& thread : team) thread.join();
}

#else

/// Returns how many threads, at most `wanted`, the system lets this process start besides the calling one. Starts and
/// joins them, which takes some tens of microseconds.
int startable(int wanted) {
  struct Gate {
    std::mutex mutex;
    std::condition_variable opened;
    bool open = false;
  } gate;
  const auto wait = [](void* of) -> void* {
    auto& at = *static_cast<Gate*>(of);
    std::unique_lock lock(at.mutex);
    at.opened.wait(lock, [&at] { return at.open; });
    return nullptr;
  };
  std::vector<pthread_t> threads(static_cast<std::size_t>(wanted));
  int started = 0;
  while (started < wanted && pthread_create(&threads[static_cast<std::size_t>(started)], nullptr, wait, &gate) == 0)
    ++started;
  {
    const std::lock_guard lock(gate.mutex);
    gate.open = true;
  }
  gate.opened.notify_all();
  for (int i = 0; i < started; ++i) pthread_join(threads[static_cast<std::size_t>(i)], nullptr);
  return started;
}

template <class Share>
void run_team(int threads, const Share& share) {
  // libgomp terminates the process if it cannot start a thread. Its threads stay with the thread that started the team,
  // so each such thread probes the system once, for its largest team.
  thread_local int proven = 1;
  if (threads > proven) {
    threads = 1 + startable(threads - 1);
    proven = std::max(proven, threads);
  }
#pragma omp parallel num_threads(threads)
  share(omp_get_thread_num(), omp_get_num_threads());  // OpenMP may provide fewer threads than requested
}

#endif

}  // namespace

int most_threads() { return k_threads_of_a_processor * omp_get_num_procs(); }

int team_size(std::int64_t logits, std::int64_t pieces, int wanted) {
  if (logits < k_parallel_logits) return 1;
  const int threads = std::min(wanted == 0 ? omp_get_max_threads() : wanted, most_threads());
  return static_cast<int>(std::clamp<std::int64_t>(pieces, 1, threads));
}

void on_threads(int threads, const std::function<void(std::int64_t me, std::int64_t of)>& work) {
  if (threads <= 1) return work(0, 1);
  FirstException first;
  run_team(threads, [&](int me, int of) { first.run([&] { work(me, of); }); });
  first.rethrow();
}

}  // namespace ulmus::detail
