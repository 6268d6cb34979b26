/* The places of a life where something below can fail. A place is the Nth operation of a class: of those with one name, in one
 * stage of the life, on one kind of thing (a file's role, a size, with or without a gradient). Classes are what a sweep covers;
 * and since other threads work too, the Nth of a class is the same operation in each life where the Nth of all is not. */
#ifndef PLACES_H
#define PLACES_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What of all below is counted and fails in this process. */
enum family { NOTHING, OPERATIONS, FILES, ALLOCATIONS };
static atomic_int family_now;

struct place_class {
  const char *stage, *name, *detail;
  long number; /* of bytes, or whether there is a gradient, or whether a file is only read */
  long seen;   /* since places_arm */
  long total;  /* in a life without faults */
};

#define MOST_CLASSES 8192
static struct place_class classes[MOST_CLASSES];
static int class_count, slots[4 * MOST_CLASSES]; /* number of the class + 1; 0 is free */
static atomic_flag places_lock = ATOMIC_FLAG_INIT;

/* What fails after the fault. */
enum after { NOTHING_AFTER, ALL_AFTER, WRITES_AFTER };

static int armed_class = -1, struck;
static enum after armed_after;
static long armed_nth;

/* Where a life stands. */
static const char *volatile stage = "";

static inline void places_hold(void) {
  while (atomic_flag_test_and_set_explicit(&places_lock, memory_order_acquire)) continue;
}

static inline void places_release(void) { atomic_flag_clear_explicit(&places_lock, memory_order_release); }

static inline uint32_t hashed(uint32_t hash, const char *text) {
  for (; *text != '\0'; ++text) hash = (hash ^ (uint8_t)*text) * 16777619u;
  return hash * 31u;
}

/* Texts must stay where they are. */
static inline struct place_class *class_of(const char *name, const char *detail, long number) {
  const char *where = stage;
  uint32_t at = hashed(hashed(hashed(2166136261u, where), name), detail) + (uint32_t)number * 2654435761u;
  for (;; ++at) {
    int *slot = &slots[at % (4 * MOST_CLASSES)];
    struct place_class *found = &classes[*slot == 0 ? class_count : *slot - 1];
    if (*slot == 0) {
      if (class_count == MOST_CLASSES - 1) abort();
      found->stage = where;
      found->name = name;
      found->detail = detail;
      found->number = number;
      *slot = ++class_count;
      return found;
    }
    if (found->number == number && strcmp(found->stage, where) == 0 && strcmp(found->name, name) == 0 &&
        strcmp(found->detail, detail) == 0)
      return found;
  }
}

/* Counts an operation; 1 where it shall fail. It must not allocate: malloc asks too. */
static inline int place_strikes(enum family family, const char *name, const char *detail, long number) {
  struct place_class *class_now;
  int hit;
  if (atomic_load_explicit(&family_now, memory_order_relaxed) != (int)family) return 0;
  places_hold();
  class_now = class_of(name, detail, number);
  ++class_now->seen;
  hit = (class_now == classes + armed_class && class_now->seen == armed_nth) || 
        (struck && (armed_after == ALL_AFTER || (armed_after == WRITES_AFTER && number == 0)));
  struck |= hit;
  places_release();
  return hit;
}

/* From now on operation `nth` of a class fails, and some of those after it; a class of -1: none. */
static inline void places_arm(int number_of_class, long nth, enum after after) {
  int i;
  places_hold();
  for (i = 0; i < class_count; ++i) classes[i].seen = 0;
  armed_class = number_of_class;
  armed_nth = nth;
  armed_after = after;
  struck = 0;
  places_release();
}

/* Ends the fault; whether it was made. */
static inline int places_disarm(void) {
  int made;
  places_hold();
  made = struck;
  armed_class = -1;
  armed_after = NOTHING_AFTER;
  struck = 0;
  places_release();
  return made;
}

/* ---- which places a sweep takes ---- */

struct place {
  int number_of_class;
  long nth;
};

static inline uint32_t mixed(uint32_t x) {
  x = (x ^ x >> 16) * 0x7feb352du;
  x = (x ^ x >> 15) * 0x846ca68bu;
  return x ^ x >> 16;
}

/* `wanted` places of the life that was counted last, or fewer if there are fewer; 0: all, -1: one of each class. Classes come in
 * turn, and which of a class's operations fails is drawn by lot; so every class is there once before one is there twice, and a
 * sample of fewer is spread evenly over the life. The caller frees `*out`. */
static inline long places_choose(long wanted, struct place **out) {
  long total = 0, count = 0, before = 0, round, i;
  for (i = 0; i < class_count; ++i) total += classes[i].total = classes[i].seen;
  if (wanted == -1)
    for (wanted = 0, i = 0; i < class_count; ++i) wanted += classes[i].total > 0;
  if (wanted == 0 || wanted > total) wanted = total;
  *out = (struct place *)calloc((size_t)total + 1, sizeof **out);
  for (round = 0; count < wanted; ++round)
    for (before = count, i = 0; i < class_count; ++i) {
      struct place *next = *out + count;
      long all = classes[i].total;
      if (all <= round) continue;
      next->number_of_class = (int)i;
      next->nth = ((long)(mixed((uint32_t)i + 1) % (unsigned long)all) + round) % all + 1;
      ++count;
    }
  /* The last round may be more than is wanted: an even part of it. */
  for (i = before; i < wanted; ++i) (*out)[i] = (*out)[before + (i - before) * (count - before) / (wanted - before)];
  return wanted;
}

#endif
