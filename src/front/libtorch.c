/* Where libtorch is looked for: what the process has loaded already, then SEED_LIBTORCH, then beside libseed, then by the
 * loader. The first that is found is taken or refused; a place that somebody named is never passed over in silence. */
#define _GNU_SOURCE
#include "front.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libtorch_cpu.so"

/* Places below the folder of libseed: in it, and two for a libtorch that was unpacked there or beside it. */
static const char *const beside[] = {"", "/libtorch/lib", "/../libtorch/lib"};
enum { BESIDE = sizeof beside / sizeof *beside };

/* The file in `folder` + `below`, when it is there. */
static int is_in(const char *folder, const char *below, char path[PATH_MAX]) {
  return snprintf(path, PATH_MAX, "%s%s/" LIBRARY, folder, below) < PATH_MAX && access(path, F_OK) == 0;
}

/* The file that a handle stands for. */
static const char *file_of(void *handle) {
  struct link_map *map = NULL;
  return dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != NULL ? map->l_name : LIBRARY;
}

/* The version in numbers from libtorch itself where it tells; else what the file build-version says, which
 * libtorch's packages have; else that it is not known. */
static void version_of(void *handle, char *version, size_t capacity) {
  uint64_t (*abi_version)(void) = NULL;
  void *address = dlsym(handle, "aoti_torch_abi_version");
  char path[PATH_MAX];
  FILE *file;
  if (address != NULL) {
    uint64_t number;
    memcpy(&abi_version, &address, sizeof address);
    number = abi_version();
    snprintf(version, capacity, "%u.%u.%u", (unsigned)(number >> 56), (unsigned)(number >> 48) & 255,
             (unsigned)(number >> 40) & 255);
    return;
  }
  snprintf(version, capacity, "of a version that it does not tell");
  snprintf(path, sizeof path, "%s", file_of(handle));
  if (strrchr(path, '/') == NULL) return;
  *strrchr(path, '/') = '\0';
  if (strlen(path) + sizeof "/../build-version" > sizeof path) return;
  file = fopen(strcat(path, "/../build-version"), "r");
  if (file == NULL) return;
  if (fgets(path, sizeof path, file) != NULL) {
    path[strcspn(path, " \r\n")] = '\0';
    if (path[0] != '\0') snprintf(version, capacity, "%.60s", path);
  }
  fclose(file);
}

/* Whether the libtorch of `handle` is the one that the core was built with; `how` it was found and the `remedy` go into
 * the refusal. The core itself compares once more, the patch number included. */
static int right_version(void *handle, const char *how, const char *remedy) {
  char version[64];
  version_of(handle, version, sizeof version);
  if (strncmp(version, FRONT_LIBTORCH, strcspn(version, "+")) == 0 && strcspn(version, "+") == strlen(FRONT_LIBTORCH))
    return 1;
  return front_refuse(SEED_ERROR_MISMATCH, "libseed needs libtorch " FRONT_LIBTORCH ", but %s, found %s, is %s; %s",
                      file_of(handle), how, version, remedy);
}

/* Loads `path`. Everything is bound at once: half a libtorch is an error here and not a crash later. */
static int open_file(const char *path, const char *how, const char *remedy) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL)
    return front_refuse(SEED_ERROR_TORCH, "cannot load libtorch from %s, found %s: %s; %s", path, how, dlerror(), remedy);
  return right_version(handle, how, remedy);
}

/* SEED_LIBTORCH: the folder of a libtorch, or its folder lib. */
static int open_named(const char *folder) {
  static const char remedy[] = "set SEED_LIBTORCH to the folder of libtorch " FRONT_LIBTORCH ", or unset it";
  char path[PATH_MAX];
  if (is_in(folder, "/lib", path) || is_in(folder, "", path)) return open_file(path, "by SEED_LIBTORCH", remedy);
  return front_refuse(SEED_ERROR_TORCH, "SEED_LIBTORCH is %s, but neither %s/lib nor %s has a " LIBRARY "; %s", folder, folder,
                      folder, remedy);
}

int front_open_libtorch(const char *folder) {
  const char *named = secure_getenv("SEED_LIBTORCH"), *paths = secure_getenv("LD_LIBRARY_PATH");
  char path[PATH_MAX], reason[1024];
  void *handle = dlopen(LIBRARY, RTLD_LAZY | RTLD_NOLOAD);
  int above = (int)(strrchr(folder, '/') - folder); /* so much of `folder` is the folder that it lies in */
  int i;
  if (handle != NULL)
    return right_version(handle, "in this process already", "link or load libtorch " FRONT_LIBTORCH " in this program");
  if (named != NULL && named[0] != '\0') return open_named(named);
  for (i = 0; i < BESIDE; ++i)
    if (is_in(folder, beside[i], path))
      return open_file(path, "beside libseed", "put libtorch " FRONT_LIBTORCH " there, or set SEED_LIBTORCH to its folder");
  handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (handle != NULL)
    return right_version(handle, "by the loader",
                         "set SEED_LIBTORCH to the folder of libtorch " FRONT_LIBTORCH ", or take the other one out of "
                         "LD_LIBRARY_PATH and /etc/ld.so.conf");
  snprintf(reason, sizeof reason, "%s", dlerror());
  return front_refuse(SEED_ERROR_TORCH,
                      "libseed needs libtorch " FRONT_LIBTORCH " and did not find it: SEED_LIBTORCH is not set; beside "
                      "libseed there is no " LIBRARY " in %s, %s/libtorch/lib or %.*s/libtorch/lib; the loader says: %s "
                      "(LD_LIBRARY_PATH is %s); set SEED_LIBTORCH to the folder of a libtorch " FRONT_LIBTORCH ", or unpack "
                      "one to %.*s/libtorch, or put its folder lib into LD_LIBRARY_PATH or /etc/ld.so.conf",
                      folder, folder, above, folder, reason, paths != NULL && paths[0] != '\0' ? paths : "not set", above,
                      folder);
}
