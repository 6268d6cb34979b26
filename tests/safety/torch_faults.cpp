// Faults of libtorch: an operation of this thread throws. A fallback for a dispatch key that libtorch keeps for such tests
// sees every operation that comes from outside or from the backward pass, before it is computed; it asks the program whether
// it fails, and throws or passes the operation on. So no call of the library needs a hook, and every one is reached.

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <atomic>
#include <new>

// The program's: whether this operation shall fail. The names stay where they are.
extern "C" int operation_strikes(const char *name, const char *overload, int gradient);

namespace {

constexpr auto KEY = c10::DispatchKey::TESTING_ONLY_GenericMode;

std::atomic<bool> no_memory{false};

void ask_and_pass(const c10::OperatorHandle &operation, torch::jit::Stack *stack) {
  const auto &name = operation.operator_name();
  if (operation_strikes(name.name.c_str(), name.overload_name.c_str(), at::GradMode::is_enabled()) != 0) {
    if (no_memory) throw std::bad_alloc();
    TORCH_CHECK(false, "a fault on purpose in ", name.name);
  }
  c10::impl::ExcludeDispatchKeyGuard below{c10::DispatchKeySet(KEY)};
  operation.callBoxed(stack);
}

} // namespace

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&ask_and_pass>());
}

extern "C" {

// Watches this thread from now on; what fails says that there is no memory, or gives an error.
void torch_faults_watch(int memory) {
  no_memory = memory != 0;
  c10::impl::tls_set_dispatch_key_included(KEY, true);
}

} // extern "C"
