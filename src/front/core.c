/* Loads the core once, behind libtorch, and keeps the reason when that fails. */
#define _GNU_SOURCE
#include "front.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The front's errors. While there is no core they are the only ones, and when there is one, they are none. */
struct seed_error {
  int32_t code;
  char message[8192];
};

static struct seed_error refusal;
static atomic_int loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

int front_refuse(int32_t code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(refusal.message, sizeof refusal.message, format, values);
  va_end(values);
  refusal.code = code;
  return 0;
}

/* The folder of the front's own file, links followed: a link to it may lie elsewhere, its companions do not. */
static int own_folder(char folder[PATH_MAX]) {
  Dl_info self;
  if (dladdr(&refusal, &self) == 0 || self.dli_fname == NULL || realpath(self.dli_fname, folder) == NULL)
    return front_refuse(SEED_ERROR_IO, "cannot tell in which folder libseed lies: is /proc mounted and readable?");
  *strrchr(folder, '/') = '\0';
  return 1;
}

static int open_core(const char *folder) {
  char path[PATH_MAX];
  void *core;
  size_t i;
  if (snprintf(path, sizeof path, "%s/%s", folder, FRONT_CORE) >= (int)sizeof path)
    return front_refuse(SEED_ERROR_IO, "the path of libseed is too long: %s", folder);
  if (access(path, F_OK) != 0)
    return front_refuse(SEED_ERROR_IO, "%s is missing; the folder of libseed is not whole, unpack it anew", path);
  /* Local: the core's symbols have the same names as ours and are for nobody else. */
  core = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (core == NULL)
    return front_refuse(SEED_ERROR_MISMATCH,
                        "cannot load the core of libseed with this libtorch (%s); it needs the CPU or CUDA build of "
                        "libtorch " FRONT_LIBTORCH " for C++11's ABI, such as that of PyTorch's wheel",
                        dlerror());
  for (i = 0; i < front_slot_count; ++i) {
    void *address = dlsym(core, front_slots[i].name);
    if (address == NULL)
      return front_refuse(SEED_ERROR_MISMATCH, "%s has no %s; it is not of libseed " FRONT_VERSION ", unpack libseed anew",
                          path, front_slots[i].name);
    /* A function's address travels as bytes; C has no conversion for it. */
    memcpy(front_slots[i].place, &address, sizeof address);
  }
  if (strcmp(front_core_version(), FRONT_VERSION) != 0)
    return front_refuse(SEED_ERROR_MISMATCH, "%s is of libseed %s, expected " FRONT_VERSION "; unpack libseed anew", path,
                        front_core_version());
  return 1;
}

static void load(void) {
  char folder[PATH_MAX];
  if (own_folder(folder) && front_open_libtorch(folder) && open_core(folder))
    atomic_store_explicit(&loaded, 1, memory_order_release);
}

int front_loaded(void) { return atomic_load_explicit(&loaded, memory_order_acquire); }

int front_ready(void) {
  if (front_loaded()) return 1;
  pthread_once(&once, load);
  return front_loaded();
}

seed_error *front_refusal(void) { return &refusal; }

int32_t front_error_code(const seed_error *error) { return error != NULL ? error->code : SEED_OK; }

const char *front_error_message(const seed_error *error) { return error != NULL ? error->message : ""; }
