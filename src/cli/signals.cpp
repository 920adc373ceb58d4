#include "cli/signals.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "cli/streams.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"

namespace ulmus::cli {
namespace {

constexpr timespec k_patience = {.tv_sec = 5, .tv_nsec = 0};

std::atomic<bool> g_stop = false;
static_assert(std::atomic<bool>::is_always_lock_free);

std::mutex g_mutex;  // guards the variables below
int g_graceful = 0;
std::string g_message;

[[noreturn]] void end_now() {
  remove_open_temporaries();
  {
    const std::lock_guard lock(g_mutex);
    print_stderr("ulmus: " + (g_message.empty() ? "interrupted" : g_message) + "\n");
  }
  ::_exit(static_cast<int>(ErrorKind::interrupted));
}

sigset_t signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

void watch() {
  const sigset_t set = signals();
  int number = 0;
  while (sigwait(&set, &number) != 0) {
  }
  g_stop = true;
  bool graceful;
  {
    const std::lock_guard lock(g_mutex);
    graceful = g_graceful > 0;
  }
  if (graceful) sigtimedwait(&set, nullptr, &k_patience);  // waits for the second signal, or for the timeout
  end_now();
}

/// Fallback if no thread can wait for signals.
void on_signal(int) { ::_exit(static_cast<int>(ErrorKind::interrupted)); }

}  // namespace

void watch_signals() {
  // A shell that runs us in the background makes us ignore them; a signal sent explicitly must still work.
  for (const int number : {SIGINT, SIGTERM}) std::signal(number, SIG_DFL);
  const sigset_t set = signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // later threads inherit this mask; only the one below gets the signals
  try {
    std::thread(watch).detach();
  } catch (const std::system_error&) {
    for (const int number : {SIGINT, SIGTERM}) std::signal(number, on_signal);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  }
}

bool stop_requested() noexcept { return g_stop; }

GracefulStop::GracefulStop(std::string message) {
  const std::lock_guard lock(g_mutex);
  ++g_graceful;
  g_message = std::move(message);
}

GracefulStop::~GracefulStop() {
  const std::lock_guard lock(g_mutex);
  --g_graceful;
}

}  // namespace ulmus::cli
