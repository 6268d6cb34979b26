/* seed-doctor: says which libseed and libtorch this machine's programs get, from where, on which devices, and whether they
 * compute. Installed beside the library. C99 and POSIX, knows seed.h only.
 *
 *   seed-doctor
 *
 * The exit code is 0 when programs will work and 1 when not; then the last lines say what to do. */
#include "seed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *advice = NULL;

/* Prints what failed and the library's words, frees the error, and tells whether there was one. */
static int failed(const char *what, seed_error *error) {
  if (error == NULL) return 0;
  printf("  FAILED  %s: error %d: %s\n", what, (int)seed_error_code(error), seed_error_message(error));
  seed_error_free(error);
  return 1;
}

/* One thing that holds or does not. */
static int holds(int condition, const char *what) {
  printf("  %s  %s\n", condition ? "ok    " : "FAILED", what);
  return condition;
}

/* What to do when seed_init refuses; its own words come before. */
static const char *start_advice(int code) {
  switch (code) {
  case SEED_ERROR_TORCH: return "libtorch is missing; docs/install.md of libseed says where to get it and where to put it.";
  case SEED_ERROR_MISMATCH: return "Another libtorch is in the way. The first place that has one counts: SEED_LIBTORCH, beside "
                                   "libseed,\nthe loader.";
  case SEED_ERROR_NOT_INITIALIZED: return "This program and the library are of different ABIs. Compile it with the library's "
                                          "own seed.h.";
  default: return "Unpack libseed anew.";
  }
}

/* Versions: of this program's header and of the library that the loader found. */
static int versions(void) {
  char built[32];
  seed_error *error = NULL;
  snprintf(built, sizeof built, "%d.%d.%d", SEED_VERSION_MAJOR, SEED_VERSION_MINOR, SEED_VERSION_PATCH);
  printf("versions\n  header   %s, ABI %d\n  library  %s\n", built, SEED_ABI_VERSION, seed_version());
  if (strcmp(built, seed_version()) != 0)
    printf("  note: header and library differ; that is fine as long as the ABI is the same\n");
  error = seed_init(SEED_ABI_VERSION);
  if (error == NULL) {
    const char *libtorch = seed_libtorch_version();
    printf("  libtorch %s\n", libtorch != NULL ? libtorch : "of no known version");
    return 1;
  }
  advice = start_advice(seed_error_code(error));
  failed("start", error);
  return 0;
}

/* Which of the libraries that matter are in this process, and their files: /proc/self/maps has a line for each piece, the
 * path last. An installed libseed.so loads its core after libtorch; one of a development build has no core of its own. */
static int loaded(void) {
  static const char *const names[] = {"libseed.so", "libtorch_cpu.so", "libtorch_cuda.so", "libc10.so", "libcudart",
                                      "libgomp",    "libseed_core.so"};
  char found[sizeof names / sizeof *names][1024], line[4096];
  const char *folder = getenv("SEED_LIBTORCH"), *path = getenv("LD_LIBRARY_PATH");
  size_t i;
  FILE *maps = fopen("/proc/self/maps", "r");
  memset(found, 0, sizeof found);
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    const char *file = strchr(line, '/'), *name;
    if (file == NULL) continue;
    line[strcspn(line, "\n")] = '\0';
    name = strrchr(file, '/') + 1;
    for (i = 0; i < sizeof names / sizeof *names; ++i)
      if (strncmp(name, names[i], strlen(names[i])) == 0) snprintf(found[i], sizeof found[i], "%s", file);
  }
  if (maps != NULL) fclose(maps);
  printf("loaded\n");
  for (i = 0; i < sizeof names / sizeof *names; ++i)
    if (found[i][0] != '\0' || strcmp(names[i], "libseed_core.so") != 0)
      printf("  %-16s %s\n", names[i], found[i][0] != '\0' ? found[i] : "not loaded");
  printf("  SEED_LIBTORCH    %s\n", folder != NULL ? folder : "not set");
  printf("  LD_LIBRARY_PATH  %s\n", path != NULL ? path : "not set");
  return found[2][0] != '\0';
}

enum { SIDE = 64, IMAGES = 8, WIDTH = 16 };

static uint8_t pixels[IMAGES][SIDE * SIDE];

/* Fixed grey images, each of stripes of its own period. */
static seed_image picture(int number) {
  seed_image image;
  int x, y;
  for (y = 0; y < SIDE; ++y)
    for (x = 0; x < SIDE; ++x) pixels[number][y * SIDE + x] = (uint8_t)((x / (2 + number) + y / 16) % 2 ? 210 : 50);
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = pixels[number];
  image.width = SIDE;
  image.height = SIDE;
  image.row_stride = SIDE;
  image.format = SEED_PIXEL_MONO8;
  image.device = SEED_DEVICE_CPU;
  return image;
}

/* A configuration for small work on `device`; NULL after an error. */
static seed_config *settings(const char *device, int64_t seed) {
  static const struct {
    const char *key;
    int64_t value;
  } whole[] = {{"image_width", SIDE}, {"image_height", SIDE},    {"embedding_dim", WIDTH}, {"batch_size", IMAGES},
               {"steps", 3},          {"queue_capacity", 4 * IMAGES}};
  seed_config *config = NULL;
  size_t i;
  int bad = failed("settings", seed_config_new(&config));
  for (i = 0; !bad && i < sizeof whole / sizeof *whole; ++i)
    bad = failed(whole[i].key, seed_config_set_int(config, whole[i].key, whole[i].value));
  bad = bad || failed("seed", seed_config_set_int(config, "seed", seed)) ||
        failed("precision", seed_config_set_string(config, "precision", "fp32")) ||
        failed("device", seed_config_set_string(config, "device", device));
  if (!bad) return config;
  seed_config_free(config);
  return NULL;
}

/* A student of fixed random numbers embeds a fixed image twice: unit vectors, the same ones. */
static int embeds(seed_student *student, const seed_config *config) {
  float first[WIDTH], second[WIDTH];
  seed_session *session = NULL;
  seed_image image = picture(0);
  char how[128] = "";
  size_t length = 0, i;
  double square = 0, apart = 0;
  int good = 0;
  if (failed("a session", seed_session_from_student(student, config, &session))) return 0;
  if (failed("the session's description", seed_session_describe(session, how, sizeof how, &length))) goto end;
  printf("  session: %s\n", how);
  if (failed("an embedding", seed_session_embed(session, &image, 1, first, WIDTH, &length))) goto end;
  if (failed("an embedding", seed_session_embed(session, &image, 1, second, WIDTH, &length))) goto end;
  for (i = 0; i < WIDTH; ++i) {
    square += (double)first[i] * (double)first[i];
    apart = fmax(apart, fabs((double)first[i] - (double)second[i]));
  }
  good = holds(fabs(sqrt(square) - 1) < 1e-3, "an embedding has length 1");
  good = holds(apart < 1e-5, "the same image gives the same embedding") && good;
end:
  seed_session_free(session);
  return good;
}

/* Three steps of distillation on fixed images. The teacher is a student's file in a folder for passing things. */
static int distils(const seed_config *config, seed_student *student) {
  char file[512];
  const char *folder = getenv("TMPDIR");
  seed_image images[IMAGES];
  seed_student *source = NULL;
  seed_teacher *teacher = NULL;
  seed_trainer *trainer = NULL;
  seed_config *other = NULL;
  double losses[3] = {NAN, NAN, NAN};
  int i, good = 0;
  snprintf(file, sizeof file, "%s/seed-doctor-%ld.safetensors", folder != NULL ? folder : "/tmp", (long)getpid());
  for (i = 0; i < IMAGES; ++i) images[i] = picture(i);
  other = settings("cpu", 2);
  if (other == NULL || failed("a network", seed_student_new("mobilenet_v3_small", other, &source))) goto end;
  if (failed("writing a network", seed_student_save(source, file))) {
    advice = "The self-test writes 5 MB to TMPDIR (or /tmp). Point TMPDIR to a folder that can be written.";
    goto end;
  }
  if (failed("reading a teacher", seed_teacher_load(file, "mobilenet_v3_small", config, &teacher))) goto end;
  if (failed("a trainer", seed_trainer_new(config, student, teacher, NULL, NULL, &trainer))) goto end;
  for (i = 0; i < 3; ++i)
    if (failed("a step of distillation", seed_trainer_step(trainer, images, IMAGES, &losses[i]))) goto end;
  printf("  losses: %.4f %.4f %.4f\n", losses[0], losses[1], losses[2]);
  good = holds(isfinite(losses[0]) && isfinite(losses[1]) && isfinite(losses[2]), "losses are finite");
  /* A cross-entropy over queue and teacher's own row: from 0 to a few times the logarithm of their number. */
  for (i = 0; i < 3; ++i) good = good && losses[i] >= 0 && losses[i] < 10 * log(4 * IMAGES + 1);
  good = holds(good, "losses are in range");
end:
  seed_trainer_free(trainer);
  seed_teacher_free(teacher);
  seed_student_free(source);
  seed_config_free(other);
  remove(file);
  return good;
}

static int computes(const char *device) {
  seed_config *config = settings(device, 1);
  seed_student *student = NULL;
  int good = config != NULL;
  printf("self-test on %s\n", device);
  good = good && !failed("a network", seed_student_new("mobilenet_v3_small", config, &student));
  good = good && embeds(student, config);
  good = good && distils(config, student);
  seed_student_free(student);
  seed_config_free(config);
  return good;
}

/* A device, its name and its memory, in a line. */
static void describe(const char *device) {
  const double gib = 1024.0 * 1024 * 1024;
  char name[256] = "";
  size_t length;
  seed_memory memory = {0};
  memory.struct_size = sizeof memory;
  printf("  %-7s", device);
  if (!failed("its name", seed_device_name(device, name, sizeof name, &length))) printf(" %s", name);
  if (!failed("its memory", seed_memory_use(device, &memory)))
    printf(", %.1f of %.1f GiB free", (double)memory.device_free_bytes / gib, (double)memory.device_total_bytes / gib);
  printf("\n");
}

/* Products whose result is known: the cosines of (3, 4) with the axes are .6 and .8. */
static int multiplies(void) {
  const float query[2] = {3, 4}, axes[4] = {1, 0, 0, 1};
  uint32_t nearest[2] = {9, 9};
  float cosines[2] = {0, 0};
  size_t length;
  if (failed("a product", seed_neighbours_in(query, 1, axes, 2, 2, 2, nearest, cosines, 2, &length))) return 0;
  return holds(nearest[0] == 1 && nearest[1] == 0 && fabs(cosines[0] - .8) < 1e-6 && fabs(cosines[1] - .6) < 1e-6,
               "cosines are the known ones");
}

/* Lists the devices and tests each; gives the number of those that compute wrongly. */
static int devices(int cuda_loaded) {
  char name[24];
  uint32_t count = 0, i;
  size_t length;
  int wrong = 0;
  printf("devices\n");
  describe("cpu");
  if (failed("counting devices", seed_device_count(&count))) ++wrong;
  for (i = 0; i < count; ++i) {
    snprintf(name, sizeof name, "cuda:%u", (unsigned)i);
    describe(name);
  }
  if (count == 0) {
    /* The library says why when it is asked for one. */
    seed_error *reason = seed_device_name("cuda", name, sizeof name, &length);
    printf("  no CUDA%s%s\n", reason != NULL ? ": " : "", reason != NULL ? seed_error_message(reason) : "");
    seed_error_free(reason);
    if (!cuda_loaded)
      printf("  to use a GPU, set SEED_LIBTORCH to the folder of a CUDA libtorch of the same version\n");
  }
  printf("self-test\n");
  if (!multiplies() || !computes("cpu")) {
    ++wrong;
    if (advice == NULL) advice = "The library loads but does not compute on this CPU. Please report this whole text.";
  }
  for (i = 0; i < count; ++i) {
    snprintf(name, sizeof name, "cuda:%u", (unsigned)i);
    if (!computes(name)) {
      ++wrong;
      if (advice == NULL)
        advice = "A GPU is there but does not compute. Check its memory (nvidia-smi) and that driver and libtorch belong\n"
                 "together; programs can go on with \"device\" set to \"cpu\".";
    }
  }
  return wrong;
}

int main(void) {
  int good = versions();
  int cuda_loaded = loaded();
  if (good) good = devices(cuda_loaded) == 0;
  if (good) {
    printf("all is well\n");
    return EXIT_SUCCESS;
  }
  printf("something is wrong\n");
  if (advice != NULL) printf("%s\n", advice);
  return EXIT_FAILURE;
}
