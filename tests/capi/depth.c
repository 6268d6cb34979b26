/* Frames of more than 8 bits and the range that makes levels of them, from push to a student's file. */
#include "check.h"

#include <math.h>
#include <stdlib.h>

enum { SIDE = 64, PIXELS = SIDE * SIDE, WIDTH = 16 };

/* Each format takes a frame of its least row and refuses a shorter one. */
static void formats(void) {
  static const struct {
    int32_t format;
    size_t row; /* bytes of 5 pixels */
  } all[] = {{SEED_PIXEL_MONO10, 10},      {SEED_PIXEL_MONO12, 10},     {SEED_PIXEL_MONO14, 10},
             {SEED_PIXEL_MONO10P, 7},      {SEED_PIXEL_MONO12P, 8},     {SEED_PIXEL_MONO12PACKED, 8},
             {SEED_PIXEL_BAYER_RG8, 5},    {SEED_PIXEL_BAYER_GR8, 5},   {SEED_PIXEL_BAYER_GB8, 5},
             {SEED_PIXEL_BAYER_BG8, 5},    {SEED_PIXEL_BAYER_RG12, 10}, {SEED_PIXEL_BAYER_GR12, 10},
             {SEED_PIXEL_BAYER_GB12, 10},  {SEED_PIXEL_BAYER_BG12, 10}, {SEED_PIXEL_RGB16, 30},
             {SEED_PIXEL_MONO_F32, 20}};
  static const uint8_t zeros[4 * 30] = {0};
  const uint16_t large[2] = {4095, 4096};
  const float bad[2] = {0.5f, (float)NAN};
  const uint8_t packed[3] = {0xBC, 0x3A, 0x12}; /* 0xABC and 0x123 of GenICam's Mono12p */
  const uint8_t gige[3] = {0xAB, 0x3C, 0x12};   /* the same of GigE Vision's Mono12Packed */
  seed_dataset *dataset = NULL;
  seed_image image;
  uint8_t levels[2];
  size_t i, length = 0, index = 0;
  OK(seed_dataset_new(&dataset));
  for (i = 0; i < sizeof all / sizeof *all; ++i) {
    image = frame_of(zeros, 5, 4, all[i].row, all[i].format);
    OK(seed_dataset_push(dataset, &image, NULL, NULL));
    image.row_stride = all[i].row - 1;
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
    image.row_stride = (size_t)-1;
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
    image = frame_of(NULL, 5, 4, all[i].row, all[i].format);
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
    image = frame_of(zeros, 0xffffffffu, 0xffffffffu, (size_t)-1, all[i].format);
    FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  }
  image = frame_of(zeros, 5, 4, 30, SEED_PIXEL_MONO_F32 + 1);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  image = frame_of(large, 2, 1, 4, SEED_PIXEL_MONO12);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  image = frame_of(bad, 2, 1, 8, SEED_PIXEL_MONO_F32);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_push(dataset, &image, NULL, NULL));
  for (i = 0; i < 2; ++i) {
    image = frame_of(i == 0 ? packed : gige, 2, 1, 3, i == 0 ? SEED_PIXEL_MONO12P : SEED_PIXEL_MONO12PACKED);
    OK(seed_dataset_push(dataset, &image, NULL, &index));
    OK(seed_dataset_pixels(dataset, index, NULL, levels, 2, &length));
    CHECK(length == 2 && levels[0] == 0xAB && levels[1] == 0x12);
  }
  seed_dataset_free(dataset);
}

/* A TIFF of two pages of 2 x 1 grey pixels, the first turned by 180 degrees: 10, 20 and 30, 40. */
static size_t two_pages(uint8_t *file) {
  static const uint16_t tags[][2] = {{256, 2}, {257, 1}, {258, 8}, {259, 1}, {262, 1}, {273, 0}, {274, 3}, {277, 1}, {278, 1}, {279, 2}};
  const size_t count = sizeof tags / sizeof *tags, size = 2 + 12 * count + 4;
  size_t page, i;
  memset(file, 0, 12 + 2 * size);
  memcpy(file, "II*\0\x0c\0\0\0\x0a\x14\x1e\x28", 12);
  for (page = 0; page < 2; ++page) {
    uint8_t *at = file + 12 + page * size;
    at[0] = (uint8_t)count;
    for (i = 0; i < count; ++i) {
      uint8_t *entry = at + 2 + 12 * i;
      entry[0] = (uint8_t)tags[i][0];
      entry[1] = (uint8_t)(tags[i][0] >> 8);
      entry[2] = 3;
      entry[4] = 1;
      entry[8] = (uint8_t)tags[i][1];
      if (tags[i][0] == 273) entry[8] = (uint8_t)(8 + 2 * page);
      if (tags[i][0] == 274 && page == 1) entry[8] = 1;
    }
    if (page == 0) at[size - 4] = (uint8_t)(12 + size);
  }
  return 12 + 2 * size;
}

/* Orientation and pages of files, by the data set's settings. */
static void reading(void) {
  uint8_t file[512], pixels[2];
  char text[512];
  const size_t size = two_pages(file);
  seed_config *config = NULL;
  seed_dataset *dataset = NULL;
  size_t length = 0, index = 9, count = 0;
  OK(seed_config_new(&config));
  OK(seed_dataset_new(&dataset));
  OK(seed_image_decode(file, size, NULL, pixels, sizeof pixels, &length));
  CHECK(length == 2 && pixels[0] == 20 && pixels[1] == 10);
  OK(seed_dataset_push_encoded(dataset, file, size, "upright", &index));
  OK(seed_dataset_pixels(dataset, index, NULL, pixels, sizeof pixels, &length));
  CHECK(index == 0 && pixels[0] == 20 && pixels[1] == 10);
  OK(seed_dataset_warnings(dataset, text, sizeof text, &length));
  CHECK(strstr(text, "several pages") != NULL);
  FAILS(SEED_ERROR_CONFIG, seed_config_set_string(config, "exif", "maybe"));
  FAILS(SEED_ERROR_CONFIG, seed_config_set_int(config, "page", -1));
  OK(seed_config_parse(config, "exif=ignore page=0"));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_set_reading(NULL, config));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_set_reading(dataset, NULL));
  OK(seed_dataset_set_reading(dataset, config));
  OK(seed_dataset_push_encoded(dataset, file, size, "pages", &index));
  OK(seed_dataset_count(dataset, &count));
  CHECK(index == 1 && count == 3);
  OK(seed_dataset_pixels(dataset, 1, NULL, pixels, sizeof pixels, &length));
  CHECK(pixels[0] == 10 && pixels[1] == 20);
  OK(seed_dataset_pixels(dataset, 2, NULL, pixels, sizeof pixels, &length));
  CHECK(pixels[0] == 30 && pixels[1] == 40);
  OK(seed_dataset_name(dataset, 2, text, sizeof text, &length));
  CHECK(strcmp(text, "pages#2") == 0);
  OK(seed_config_parse(config, "page=3"));
  OK(seed_dataset_set_reading(dataset, config));
  FAILS(SEED_ERROR_FORMAT, seed_dataset_push_encoded(dataset, file, size, "third", &index));
  OK(seed_dataset_count(dataset, &count));
  CHECK(count == 3);
  /* "P5 2 1 4095": 12 bits of a PGM are kept and shown by their upper 8. */
  OK(seed_dataset_push_encoded(dataset, (const uint8_t *)"P5 2 1 4095\n\x0f\xff\x00\x20", 16, "deep", &index));
  OK(seed_dataset_pixels(dataset, index, NULL, pixels, sizeof pixels, &length));
  CHECK(pixels[0] == 255 && pixels[1] == 2);
  seed_dataset_free(dataset);
  seed_config_free(config);
}

/* Polygons and masks of what a data set ignores. */
static void ignoring(void) {
  static const float triangle[6] = {0, 0, 4, 0, 0, 4}, far[6] = {9, 9, 12, 9, 9, 12}, bad[6] = {0, 0, (float)NAN, 0, 0, 4};
  static const uint8_t expected[16] = {255, 255, 255, 0, 255, 255, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0};
  static const uint8_t white[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7}, black[16] = {0};
  uint8_t mask[16] = {7};
  seed_dataset *dataset = NULL;
  seed_image image;
  size_t length = 0;
  OK(seed_polygon_mask(triangle, 3, 4, 4, NULL, 0, &length));
  CHECK(length == 16 && mask[0] == 7);
  FAILS(SEED_ERROR_BUFFER_TOO_SMALL, seed_polygon_mask(triangle, 3, 4, 4, mask, 15, &length));
  OK(seed_polygon_mask(triangle, 3, 4, 4, mask, sizeof mask, &length));
  CHECK(memcmp(mask, expected, sizeof mask) == 0);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_polygon_mask(triangle, 2, 4, 4, mask, sizeof mask, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_polygon_mask(bad, 3, 4, 4, mask, sizeof mask, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_polygon_mask(far, 3, 4, 4, mask, sizeof mask, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_polygon_mask(triangle, 3, 0, 4, mask, sizeof mask, &length));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_polygon_mask(triangle, (size_t)-1, 4, 4, mask, sizeof mask, &length));
  OK(seed_dataset_new(&dataset));
  image = frame_of(mask, 4, 4, 4, SEED_PIXEL_MONO8);
  OK(seed_dataset_push(dataset, &image, NULL, NULL));
  OK(seed_dataset_set_ignored(dataset, 0, &image));
  OK(seed_dataset_set_ignored(dataset, (size_t)-1, &image));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_set_ignored(dataset, 1, &image));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_set_ignored(NULL, 0, &image));
  image = frame_of(white, 4, 4, 4, SEED_PIXEL_MONO8);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_set_ignored(dataset, 0, &image));
  image = frame_of(black, 4, 4, 4, SEED_PIXEL_MONO8);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_set_ignored(dataset, 0, &image));
  OK(seed_dataset_set_ignored(dataset, 0, NULL));
  OK(seed_dataset_set_ignored(dataset, (size_t)-1, NULL));
  seed_dataset_free(dataset);
}

static void text_of_range(const seed_dataset *dataset, const char *expected) {
  char text[128];
  size_t length = 0;
  OK(seed_dataset_range(dataset, NULL, 0, &length));
  CHECK(length == strlen(expected) + 1);
  OK(seed_dataset_range(dataset, text, sizeof text, &length));
  if (strcmp(text, expected) != 0) fprintf(stderr, "the range is %s\n", text);
  CHECK(strcmp(text, expected) == 0);
}

/* The store gives a frame of 12 bits back as it was, and its file says how many bits are real. */
static void kept(const uint16_t *ramp, const char *folder) {
  char path[512];
  seed_store *store = NULL;
  seed_dataset *dataset = NULL;
  seed_config *config = NULL;
  seed_image image = frame_of(ramp, SIDE, SIDE, 2 * SIDE, SEED_PIXEL_MONO12);
  static uint8_t levels[PIXELS];
  const float floats[4] = {0, 1, 2, 3};
  int64_t id = 0;
  size_t i, length = 0;
  sprintf(path, "%s/frames.store", folder);
  OK(seed_store_open(path, NULL, &store));
  OK(seed_store_push(store, &image, NULL, 1000, &id));
  image = frame_of(floats, 2, 2, 8, SEED_PIXEL_MONO_F32);
  FAILS(SEED_ERROR_UNSUPPORTED, seed_store_push(store, &image, NULL, 1000, &id));
  OK(seed_store_flush(store));
  OK(seed_dataset_open_store(store, NULL, 0, &dataset));
  OK(seed_config_new(&config));
  OK(seed_config_parse(config, "range=fixed range.low=1000 range.high=1255"));
  OK(seed_dataset_set_range(dataset, config));
  OK(seed_dataset_pixels(dataset, 0, NULL, levels, sizeof levels, &length));
  for (i = 0; i < PIXELS; ++i) CHECK(levels[i] == (i < 1000 ? 0 : i > 1255 ? 255 : i - 1000));
  seed_config_free(config);
  seed_dataset_free(dataset);
  OK(seed_store_close(store));
  seed_store_free(store);
}

int main(int count, char **words) {
  static uint16_t ramp[PIXELS];
  static uint8_t levels[PIXELS], seen[256];
  char path[512], text[128];
  const char *range = "range=fixed range.low=409 range.high=3686 range.gamma=1";
  seed_config *config = NULL, *full = NULL;
  seed_dataset *dataset = NULL;
  seed_student *student = NULL;
  seed_trainer *trainer = NULL;
  seed_model *model = NULL;
  seed_session *session = NULL, *plain = NULL;
  seed_image deep, flat;
  float of_deep[WIDTH], of_flat[WIDTH];
  uint8_t brightest = 0;
  size_t i, length = 0, distinct = 0;
  int32_t outcome = -1;
  if (count < 2) return 2;
  OK(seed_init(SEED_ABI_VERSION));
  formats();
  reading();
  ignoring();
  for (i = 0; i < PIXELS; ++i) ramp[i] = (uint16_t)i;
  kept(ramp, words[1]);
  deep = frame_of(ramp, SIDE, SIDE, 2 * SIDE, SEED_PIXEL_MONO16); /* 12 bits that lie low in 16 */

  OK(seed_config_new(&config));
  OK(seed_config_parse(config, "image_width=32 image_height=32 batch_size=2 steps=2 queue_capacity=8 embedding_dim=16 "
                               "precision=fp32 device=cpu method=simclr"));
  OK(seed_dataset_new(&dataset));
  text_of_range(dataset, "");
  OK(seed_config_parse(config, "range=dataset range.low_percentile=10 range.high_percentile=90"));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_set_range(dataset, config)); /* there is no image */
  OK(seed_dataset_push(dataset, &deep, "ramp", NULL));
  OK(seed_dataset_push(dataset, &deep, "again", NULL));
  OK(seed_dataset_pixels(dataset, 0, NULL, levels, sizeof levels, &length));
  for (i = 0; i < PIXELS; ++i) CHECK(levels[i] == i >> 8);
  FAILS(SEED_ERROR_CONFIG, seed_config_parse(config, "range=fixed range.low=7 range.high=7"));
  FAILS(SEED_ERROR_CONFIG, seed_config_parse(config, "range.low_percentile=95"));
  FAILS(SEED_ERROR_CONFIG, seed_config_set_string(config, "range", "half"));
  FAILS(SEED_ERROR_CONFIG, seed_config_set_float(config, "range.gamma", 0));
  FAILS(SEED_ERROR_CONFIG, seed_config_set_float(config, "range.low", (double)NAN));
  OK(seed_dataset_set_range(dataset, config));
  text_of_range(dataset, range);
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_set_range(dataset, NULL));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_dataset_set_range(NULL, config));
  OK(seed_dataset_pixels(dataset, 0, NULL, levels, sizeof levels, &length));
  for (i = 0; i < PIXELS; ++i) {
    double part = ((double)i - 409) / (3686 - 409);
    CHECK(levels[i] == (uint8_t)floor(255 * (part < 0 ? 0 : part > 1 ? 1 : part) + 0.5));
    distinct += !seen[levels[i]];
    seen[levels[i]] = 1;
  }
  CHECK(distinct == 256);

  /* What learns from the data set keeps its range, in its file too. */
  OK(seed_student_new("mobilenet_v3_small", config, &student));
  FAILS(SEED_ERROR_INVALID_ARGUMENT, seed_session_from_student(student, config, &session)); /* not measured */
  OK(seed_trainer_new(config, student, NULL, NULL, dataset, &trainer));
  OK(seed_trainer_run(trainer, 0, NULL, NULL, NULL, &outcome));
  CHECK(outcome == SEED_OUTCOME_FINISHED);
  {
    double loss = 0;
    seed_image pair[2];
    pair[0] = deep;
    pair[1] = deep;
    OK(seed_trainer_step(trainer, pair, 2, &loss));
    CHECK(isfinite(loss));
  }
  OK(seed_model_from_student(student, &model));
  OK(seed_model_range(model, text, sizeof text, &length));
  CHECK(strcmp(text, range) == 0);
  seed_model_free(model);
  sprintf(path, "%s/deep.safetensors", words[1]);
  OK(seed_student_save(student, path));
  model = NULL;
  OK(seed_model_open(path, &model));
  OK(seed_model_range(model, text, sizeof text, &length));
  CHECK(strcmp(text, range) == 0);
  seed_model_free(model);

  /* A session of the file sees deep frames by it, also where the configuration says "dataset"; another one sees what was made levels by hand. */
  OK(seed_config_new(&full));
  OK(seed_config_parse(full, "device=cpu precision=fp32 range=dataset"));
  OK(seed_session_open(path, full, &session));
  OK(seed_config_parse(full, "range=full"));
  OK(seed_session_open(path, full, &plain));
  flat = frame_of(levels, SIDE, SIDE, SIDE, SEED_PIXEL_MONO8);
  OK(seed_session_embed(session, &deep, 1, of_deep, WIDTH, &length));
  OK(seed_session_embed(plain, &flat, 1, of_flat, WIDTH, &length));
  for (i = 0; i < WIDTH; ++i) CHECK(fabsf(of_deep[i] - of_flat[i]) < 1e-5f);
  {
    static uint8_t seen_of_deep[32 * 32 * 3], seen_of_flat[32 * 32 * 3], dark[32 * 32 * 3];
    OK(seed_session_preprocess(session, &deep, 1, seen_of_deep, sizeof dark, &length));
    OK(seed_session_preprocess(plain, &flat, 1, seen_of_flat, sizeof dark, &length));
    OK(seed_session_preprocess(plain, &deep, 1, dark, sizeof dark, &length));
    CHECK(length == sizeof dark && memcmp(seen_of_deep, seen_of_flat, sizeof dark) == 0);
    for (i = 0; i < sizeof dark; ++i) brightest = dark[i] > brightest ? dark[i] : brightest;
    CHECK(brightest <= 15); /* the upper 8 of 16 bits */
  }
  /* The data set's own range counts, and the session says that its is another. */
  OK(seed_session_warnings(plain, NULL, 0, &length));
  CHECK(length == 1);
  {
    float rows[2 * WIDTH];
    OK(seed_session_embed_dataset(plain, dataset, NULL, NULL, NULL, rows, 2 * WIDTH, &length));
    for (i = 0; i < WIDTH; ++i) CHECK(fabsf(rows[i] - of_deep[i]) < 1e-5f);
  }
  OK(seed_session_warnings(plain, NULL, 0, &length));
  CHECK(length > 20);

  /* A student that has a range keeps it over images and a configuration that say nothing of one, and takes another one that is said. */
  {
    seed_dataset *silent = NULL;
    OK(seed_dataset_new(&silent));
    OK(seed_dataset_push(silent, &deep, NULL, NULL));
    OK(seed_dataset_push(silent, &deep, NULL, NULL));
    for (i = 0; i < 2; ++i) {
      seed_config *next = NULL;
      seed_trainer_free(trainer);
      trainer = NULL;
      OK(seed_config_new(&next));
      OK(seed_config_parse(next, "device=cpu precision=fp32 method=moco_v2 batch_size=2 steps=1 queue_capacity=4"));
      OK(seed_config_parse(next, "image_width=32 image_height=32"));
      if (i == 1) OK(seed_config_parse(next, "range=frame"));
      OK(seed_trainer_new(next, student, NULL, NULL, silent, &trainer));
      model = NULL;
      OK(seed_model_from_student(student, &model));
      OK(seed_model_range(model, text, sizeof text, &length));
      CHECK((strcmp(text, range) == 0) == (i == 0));
      seed_model_free(model);
      seed_config_free(next);
    }
    /* The region of a run is the student's from then on, as its range is: it sees a frame as another one sees what is cut out of it. */
    {
      static uint8_t of_region[32 * 32 * 3], of_cut[32 * 32 * 3];
      seed_config *next = NULL;
      seed_session *region = NULL;
      seed_image cut = frame_of(levels + 8 * SIDE + 16, 40, 48, SIDE, SEED_PIXEL_MONO8);
      seed_trainer_free(trainer);
      trainer = NULL;
      OK(seed_config_new(&next));
      OK(seed_config_parse(next, "device=cpu precision=fp32 method=moco_v2 batch_size=2 steps=1 queue_capacity=4 range=full"));
      OK(seed_config_parse(next, "image_width=32 image_height=32 roi.x=16 roi.y=8 roi.width=40 roi.height=48"));
      OK(seed_trainer_new(next, student, NULL, NULL, silent, &trainer));
      OK(seed_student_save(student, path));
      seed_config_free(next);
      next = NULL;
      OK(seed_config_new(&next));
      OK(seed_config_parse(next, "device=cpu precision=fp32"));
      for (i = 0; i < 2; ++i) {
        if (i == 0) OK(seed_session_from_student(student, next, &region));
        if (i == 1) OK(seed_session_open(path, next, &region));
        OK(seed_session_preprocess(region, &flat, 1, of_region, sizeof of_region, &length));
        OK(seed_session_preprocess(plain, &cut, 1, of_cut, sizeof of_cut, &length));
        CHECK(length == sizeof of_cut && memcmp(of_region, of_cut, sizeof of_cut) == 0);
        seed_session_free(region);
        region = NULL;
      }
      seed_config_free(next);
    }
    seed_dataset_free(silent);
  }

  seed_session_free(session);
  seed_session_free(plain);
  seed_trainer_free(trainer);
  seed_student_free(student);
  seed_dataset_free(dataset);
  seed_config_free(full);
  seed_config_free(config);
  if (failures == 0) printf("depth: all checks passed\n");
  return failures != 0;
}
