/* What a session of a student is run by, as the environment and the settings say it; or a process that ends while its threads are inside
 * of ONNX Runtime.
 *
 *   engine STUDENT "" | libtorch | onnxruntime | auto | leave */
#include <pthread.h>
#include <sched.h>
#include <seed.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 64

static seed_session *session;
static int inside;

static void must(seed_error *error) {
  if (error == NULL) return;
  printf("error %d: %s\n", (int)seed_error_code(error), seed_error_message(error));
  seed_error_free(error);
  exit(0);
}

static void *embed(void *unused) {
  static unsigned char pixels[SIDE * SIDE];
  seed_image image;
  (void)unused;
  memset(&image, 0, sizeof image);
  image.struct_size = sizeof image;
  image.data = pixels;
  image.width = image.height = SIDE;
  image.row_stride = SIDE;
  image.format = SEED_PIXEL_MONO8;
  image.device = SEED_DEVICE_CPU;
  for (;;) {
    float row[512];
    size_t length;
    if (seed_session_embed(session, &image, 1, row, 512, &length) != NULL) abort();
    __atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
  }
}

int main(int count, char **arguments) {
  seed_config *config;
  char text[1024] = "";
  size_t length;
  int leaves;
  if (count != 3) return 2;
  leaves = strcmp(arguments[2], "leave") == 0;
  must(seed_init(SEED_ABI_VERSION));
  must(seed_config_new(&config));
  must(seed_config_set_string(config, "device", "cpu"));
  must(seed_config_set_string(config, "precision", "fp32"));
  if (arguments[2][0] != '\0') must(seed_config_set_string(config, "engine", leaves ? "onnxruntime" : arguments[2]));
  must(seed_session_open(arguments[1], config, &session));
  must(seed_session_engine(session, text, sizeof text, &length));
  puts(text);
  if (leaves) {
    pthread_t threads[3];
    int i;
    for (i = 0; i < 3; ++i)
      if (pthread_create(&threads[i], NULL, embed, NULL) != 0) return 2;
    while (__atomic_load_n(&inside, __ATOMIC_SEQ_CST) < 20) sched_yield();
    puts("leaving");
    return 0;
  }
  seed_session_free(session);
  seed_config_free(config);
  return 0;
}
