/* Faults from below: a file operation on files of one folder fails, or an allocation of at least some size (places.h). The
 * functions of libc are defined here again and, since a program's symbols come before those of its libraries, libseed and
 * libtorch call these: link with -rdynamic. Nothing in the library knows of it. Beside that, live memory is counted. */
#ifndef FAULTS_H
#define FAULTS_H

#ifndef _GNU_SOURCE
#error "define _GNU_SOURCE before everything else"
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "places.h"

static atomic_size_t memory_bound = SIZE_MAX; /* smaller allocations are never failed nor counted */
static atomic_long live_bytes, live_blocks;
static const char *watched_folder; /* files elsewhere are never failed nor counted */
static atomic_uchar watched_descriptors[4096]; /* number of the role; 0: not watched */

/* ---- memory ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static inline int memory_strikes(size_t size, const char *what) {
  if (size < atomic_load_explicit(&memory_bound, memory_order_relaxed)) return 0;
  if (!place_strikes(ALLOCATIONS, what, "", (long)size)) return 0;
  errno = ENOMEM;
  return 1;
}

static inline void *memory_count(void *block) {
  if (block != NULL) {
    atomic_fetch_add_explicit(&live_bytes, (long)malloc_usable_size(block), memory_order_relaxed);
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
  }
  return block;
}

static inline void memory_forget(void *block) {
  if (block == NULL) return;
  atomic_fetch_sub_explicit(&live_bytes, (long)malloc_usable_size(block), memory_order_relaxed);
  atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
}

void *malloc(size_t size) { return memory_strikes(size, "malloc") ? NULL : memory_count(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) {
  return memory_strikes(count * size, "calloc") ? NULL : memory_count(__libc_calloc(count, size));
}

void *realloc(void *block, size_t size) {
  long before = block == NULL ? 0 : (long)malloc_usable_size(block);
  void *moved;
  if (memory_strikes(size, "realloc")) return NULL;
  moved = __libc_realloc(block, size);
  if (moved == NULL && size > 0) return NULL;
  if (block != NULL) {
    atomic_fetch_sub_explicit(&live_bytes, before, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
  }
  return memory_count(moved);
}

void free(void *block) {
  memory_forget(block);
  __libc_free(block);
}

void *memalign(size_t alignment, size_t size) {
  return memory_strikes(size, "memalign") ? NULL : memory_count(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **place, size_t alignment, size_t size) {
  void *block = memory_strikes(size, "posix_memalign") ? NULL : memory_count(__libc_memalign(alignment, size));
  if (block == NULL) return ENOMEM;
  *place = block;
  return 0;
}

/* ---- files ---- */

#define MOST_ROLES 200
static char roles[MOST_ROLES][120];
static int role_count = 1; /* 0 is none */

/* What a file is to a life: its path below the folder with one # for each number in it. 0 for files elsewhere. */
static inline int role_of(const char *path) {
  char text[sizeof *roles];
  size_t length = 0;
  int role;
  if (watched_folder == NULL || path == NULL || strncmp(path, watched_folder, strlen(watched_folder)) != 0) return 0;
  for (path += strlen(watched_folder); *path != '\0' && length < sizeof text - 1; ++path) {
    int digit = *path >= '0' && *path <= '9';
    if (digit && length > 0 && text[length - 1] == '#') continue;
    text[length++] = digit ? '#' : *path;
  }
  text[length] = '\0';
  places_hold();
  for (role = 1; role < role_count && strcmp(roles[role], text) != 0; ++role) continue;
  if (role == MOST_ROLES) abort();
  if (role == role_count) memcpy(roles[role_count++], text, length + 1);
  places_release();
  return role;
}

static inline int role_of_descriptor(int descriptor) {
  return descriptor >= 0 && descriptor < (int)sizeof watched_descriptors ? watched_descriptors[descriptor] : 0;
}

static inline int file_strikes(int role, const char *what, int error) {
  static const char *const reading[] = {"open", "read", "pread64", "mmap", "lock", "flock"};
  int reads = 0;
  unsigned i;
  for (i = 0; i < sizeof reading / sizeof *reading; ++i) reads |= strcmp(what, reading[i]) == 0;
  if (role == 0 || !place_strikes(FILES, what, roles[role], reads)) return 0;
  errno = error;
  return 1;
}

static inline int open_watched(const char *path, int flags, mode_t mode) {
  int role = role_of(path), descriptor;
  if (file_strikes(role, flags & O_CREAT ? "create" : "open", flags & O_CREAT ? ENOSPC : EIO)) return -1;
  descriptor = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (descriptor >= 0 && descriptor < (int)sizeof watched_descriptors)
    watched_descriptors[descriptor] = (unsigned char)role;
  return descriptor;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  mode_t mode;
  va_start(rest, flags);
  mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_watched(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  mode_t mode;
  va_start(rest, flags);
  mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_watched(path, flags | O_LARGEFILE, mode);
}

/* libtorch writes by streams. */
static inline FILE *open_stream(const char *path, const char *mode, const char *name) {
  FILE *(*next)(const char *, const char *);
  int role = role_of(path), descriptor;
  FILE *file;
  if (file_strikes(role, "fopen", *mode == 'r' ? EIO : ENOSPC)) return NULL;
  *(void **)&next = dlsym(RTLD_NEXT, name);
  file = next(path, mode);
  descriptor = file == NULL ? -1 : fileno(file);
  if (descriptor >= 0 && descriptor < (int)sizeof watched_descriptors)
    watched_descriptors[descriptor] = (unsigned char)role;
  return file;
}

FILE *fopen(const char *path, const char *mode) { return open_stream(path, mode, "fopen"); }

FILE *fopen64(const char *path, const char *mode) { return open_stream(path, mode, "fopen64"); }

int close(int descriptor) {
  if (descriptor >= 0 && descriptor < (int)sizeof watched_descriptors) watched_descriptors[descriptor] = 0;
  return (int)syscall(SYS_close, descriptor);
}

/* A name for what is called and how it fails; the rest goes to the kernel. */
#define ON_DESCRIPTOR(type, name, error, parameters, ...)                                                              \
  type name parameters {                                                                                               \
    if (file_strikes(role_of_descriptor(descriptor), #name, error)) return (type)-1;                                \
    return (type)syscall(__VA_ARGS__);                                                                                 \
  }
#define ON_PATH(name, error, parameters, ...)                                                                          \
  int name parameters {                                                                                                \
    if (file_strikes(role_of(path), #name, error)) return -1;                                                  \
    return (int)syscall(__VA_ARGS__);                                                                                  \
  }

ON_DESCRIPTOR(ssize_t, read, EIO, (int descriptor, void *bytes, size_t count), SYS_read, descriptor, bytes, count)
ON_DESCRIPTOR(ssize_t, pread64, EIO, (int descriptor, void *bytes, size_t count, off64_t at), SYS_pread64, descriptor,
              bytes, count, at)
ON_DESCRIPTOR(ssize_t, write, ENOSPC, (int descriptor, const void *bytes, size_t count), SYS_write, descriptor, bytes,
              count)
ON_DESCRIPTOR(ssize_t, pwrite64, ENOSPC, (int descriptor, const void *bytes, size_t count, off64_t at), SYS_pwrite64,
              descriptor, bytes, count, at)
ON_DESCRIPTOR(ssize_t, writev, ENOSPC, (int descriptor, const struct iovec *parts, int count), SYS_writev, descriptor,
              parts, count)
ON_DESCRIPTOR(int, fsync, EIO, (int descriptor), SYS_fsync, descriptor)
ON_DESCRIPTOR(int, fdatasync, EIO, (int descriptor), SYS_fdatasync, descriptor)
ON_DESCRIPTOR(int, ftruncate64, ENOSPC, (int descriptor, off64_t length), SYS_ftruncate, descriptor, length)
ON_DESCRIPTOR(int, fallocate, ENOSPC, (int descriptor, int mode, off_t from, off_t length), SYS_fallocate, descriptor,
              mode, from, length)
ON_DESCRIPTOR(int, flock, ENOLCK, (int descriptor, int operation), SYS_flock, descriptor, operation)
ON_PATH(rename, EIO, (const char *path, const char *to), SYS_rename, path, to)
ON_PATH(renameat2, EIO, (int from, const char *path, int into, const char *to, unsigned int flags), SYS_renameat2, from,
        path, into, to, flags)
ON_PATH(mkdir, ENOSPC, (const char *path, mode_t mode), SYS_mkdir, path, mode)
ON_PATH(unlink, EIO, (const char *path), SYS_unlink, path)
ON_PATH(rmdir, EIO, (const char *path), SYS_rmdir, path)

/* Locks that SQLite takes. It can always give one back, and other commands are no operations on files. */
static inline int control(int descriptor, int command, void *argument) {
  int locks = (command == F_SETLK || command == F_SETLKW) && ((struct flock *)argument)->l_type != F_UNLCK;
  if (locks && file_strikes(role_of_descriptor(descriptor), "lock", ENOLCK)) return -1;
  return (int)syscall(SYS_fcntl, descriptor, command, argument);
}

#define CONTROL(name)                                                                                                  \
  int name(int descriptor, int command, ...) {                                                                         \
    va_list rest;                                                                                                      \
    void *argument;                                                                                                    \
    va_start(rest, command);                                                                                           \
    argument = va_arg(rest, void *);                                                                                   \
    va_end(rest);                                                                                                      \
    return control(descriptor, command, argument);                                                                     \
  }
CONTROL(fcntl)
CONTROL(fcntl64)

static inline void *map(void *place, size_t length, int protection, int flags, int descriptor, off64_t at) {
  if (file_strikes(role_of_descriptor(descriptor), "mmap", ENOMEM)) return MAP_FAILED;
  return (void *)syscall(SYS_mmap, place, length, protection, flags, descriptor, at);
}

void *mmap64(void *place, size_t length, int protection, int flags, int descriptor, off64_t at) {
  return map(place, length, protection, flags, descriptor, at);
}

void *mmap(void *place, size_t length, int protection, int flags, int descriptor, off_t at) {
  return map(place, length, protection, flags, descriptor, at);
}

#endif
