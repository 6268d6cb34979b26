// Faults of libtorch: the Nth operation of this thread throws. A fallback for a dispatch key that libtorch keeps for such
// tests sees every operation that comes from outside or from the backward pass, before it is computed; it counts, throws or
// passes the operation on. So no call of the library needs a hook, and every one is reached.

#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <atomic>
#include <cstring>
#include <new>

namespace {

constexpr auto KEY = c10::DispatchKey::TESTING_ONLY_GenericMode;

std::atomic<long> seen{0}, nth{0};
std::atomic<int> kind{0};
char failed[128] = "";

void count_and_pass(const c10::OperatorHandle &operation, torch::jit::Stack *stack) {
  if (++seen == nth.load()) {
    std::strncpy(failed, operation.schema().name().c_str(), sizeof failed - 1);
    if (kind == 1) throw std::bad_alloc();
    TORCH_CHECK(false, "a fault on purpose in ", failed);
  }
  c10::impl::ExcludeDispatchKeyGuard below{c10::DispatchKeySet(KEY)};
  operation.callBoxed(stack);
}

} // namespace

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&count_and_pass>());
}

extern "C" {

// Counts from 1 again; operation number `number` fails, none where it is 0 (then the name of the last one is kept). `what`: 0 an error, 1 no memory.
void torch_faults_arm(long number, int what) {
  seen = 0, nth = number, kind = what;
  if (number != 0) failed[0] = '\0';
}

// Watches this thread from now on, or no longer.
void torch_faults_watch(int on) { c10::impl::tls_set_dispatch_key_included(KEY, on != 0); }

long torch_faults_seen(void) { return seen; }

const char *torch_faults_failed(void) { return failed; }

} // extern "C"
