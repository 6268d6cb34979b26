/* The front of the installed library: libseed.so.0.N, which programs link. It has the functions of seed.h and no need of
 * libtorch, so a program starts where libtorch is missing and is told what to do. At the first call it finds libtorch
 * (libtorch.c), loads it and then libseed_core.so.0.N, the Rust library (core.c), and from then on passes every call on
 * (forward.c, which xtask/src/front.rs makes out of seed.h). */
#ifndef SEED_FRONT_H
#define SEED_FRONT_H

#include <seed.h>

/* Whether calls can be passed on. The first call loads libtorch and the core; later ones, from any thread, are cheap. */
int front_ready(void);

/* The same without loading: 0 until front_ready has given 1. */
int front_loaded(void);

/* Why calls cannot be passed on, once front_ready has given 0: one static object, which needs no freeing. */
seed_error *front_refusal(void);
int32_t front_error_code(const seed_error *error);
const char *front_error_message(const seed_error *error);

/* Fills in the refusal: a code and a sentence. Always gives 0. */
int front_refuse(int32_t code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Finds, loads and checks libtorch; 0 after a refusal. `folder` is where the front's own file lies. */
int front_open_libtorch(const char *folder);

/* One function of the core: its name and where its address belongs. forward.c has the list. */
struct front_slot {
  const char *name;
  void *place;
};
extern const struct front_slot front_slots[];
extern const size_t front_slot_count;

/* The core's own seed_version. */
const char *front_core_version(void);

#endif
