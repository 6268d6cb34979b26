/* libjpeg-turbo behind a few functions that never jump or print: the border of src/data/jpeg.rs.
 *
 * libjpeg reports an error by not returning, so setjmp catches it here, in C; no Rust frame is ever jumped over. A
 * warning, which means that some pixels would be made up, ends the decode in the same way. */

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <jerror.h>

/* A progressive file may name any number of scans, each of which costs a pass over the image. */
#define MAX_SCANS 100

struct refusal {
    struct jpeg_error_mgr manager; /* first, so that libjpeg's pointer is one to the whole */
    jmp_buf back;
};

/* Why setjmp returns. */
#define REFUSED 1
#define NO_MEMORY 2

static void refuse(j_common_ptr info) {
    longjmp(((struct refusal *)info->err)->back, info->err->msg_code == JERR_OUT_OF_MEMORY ? NO_MEMORY : REFUSED);
}

static void refuse_warnings(j_common_ptr info, int level) {
    if (level < 0) {
        refuse(info);
    }
}

static void refuse_many_scans(j_common_ptr info) {
    if (info->is_decompressor && ((j_decompress_ptr)info)->input_scan_number > MAX_SCANS) {
        refuse(info);
    }
}

static void be_silent(j_common_ptr info) {
    (void)info;
}

static void begin(j_decompress_ptr info, const unsigned char *bytes, size_t length) {
    jpeg_create_decompress(info);
    jpeg_mem_src(info, (unsigned char *)bytes, (unsigned long)length);
    jpeg_read_header(info, TRUE);
}

static struct jpeg_error_mgr *prepare(struct refusal *refusal) {
    struct jpeg_error_mgr *manager = jpeg_std_error(&refusal->manager);
    manager->error_exit = refuse;
    manager->emit_message = refuse_warnings;
    manager->output_message = be_silent;
    return manager;
}

/* Writes width, height and components of a JPEG; 1 where its header is sound, −1 without memory, else 0. */
int seed_jpeg_header(const unsigned char *bytes, size_t length, uint32_t shape[3]) {
    struct jpeg_decompress_struct info = {0};
    struct refusal refusal;
    info.err = prepare(&refusal);
    switch (setjmp(refusal.back)) {
        case 0: break;
        case NO_MEMORY: jpeg_destroy_decompress(&info); return -1;
        default: jpeg_destroy_decompress(&info); return 0;
    }
    begin(&info, bytes, length);
    shape[0] = info.image_width;
    shape[1] = info.image_height;
    shape[2] = (uint32_t)info.num_components;
    jpeg_destroy_decompress(&info);
    return 1;
}

/* Decodes at 1/scale of the sides into (height, width, channels) bytes; 1 where that is sound and fits exactly, −1 without
 * memory, else 0. `memory` bounds what libjpeg may allocate, in bytes. */
int seed_jpeg_decode(const unsigned char *bytes, size_t length, uint32_t scale, unsigned char *pixels, uint32_t width,
                     uint32_t height, uint32_t channels, long memory) {
    struct jpeg_decompress_struct info = {0};
    struct jpeg_progress_mgr progress = {0};
    struct refusal refusal;
    info.err = prepare(&refusal);
    switch (setjmp(refusal.back)) {
        case 0: break;
        case NO_MEMORY: jpeg_destroy_decompress(&info); return -1;
        default: jpeg_destroy_decompress(&info); return 0;
    }
    begin(&info, bytes, length);
    progress.progress_monitor = refuse_many_scans;
    info.progress = &progress;
    info.mem->max_memory_to_use = memory;
    info.scale_num = 1;
    info.scale_denom = scale;
    info.dct_method = JDCT_ISLOW;
    info.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info);
    if (info.output_width != width || info.output_height != height || (uint32_t)info.output_components != channels) {
        refuse((j_common_ptr)&info);
    }
    while (info.output_scanline < height) {
        JSAMPROW row = pixels + (size_t)info.output_scanline * width * channels;
        jpeg_read_scanlines(&info, &row, 1);
    }
    /* Reads to the end marker: a file that lacks it is refused. */
    jpeg_finish_decompress(&info);
    jpeg_destroy_decompress(&info);
    return 1;
}

/* Encodes (height, width, channels) bytes as a baseline JPEG of this quality, 4:2:0 where there is colour; 1 where that worked,
 * else 0. The caller releases `*bytes` by seed_jpeg_release. */
int seed_jpeg_encode(const unsigned char *pixels, uint32_t width, uint32_t height, uint32_t channels, int quality,
                     unsigned char **bytes, unsigned long *length) {
    struct jpeg_compress_struct info = {0};
    struct refusal refusal;
    /* Not changed between setjmp and longjmp: libjpeg keeps the pointers to them. */
    *bytes = NULL;
    *length = 0;
    info.err = prepare(&refusal);
    if (setjmp(refusal.back)) {
        jpeg_destroy_compress(&info);
        free(*bytes);
        *bytes = NULL;
        return 0;
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, bytes, length);
    info.image_width = width;
    info.image_height = height;
    info.input_components = (int)channels;
    info.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    /* mozjpeg's own profile searches for the smallest file and takes ten times as long. */
    jpeg_c_set_int_param(&info, JINT_COMPRESS_PROFILE, JCP_FASTEST);
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    info.dct_method = JDCT_ISLOW;
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < height) {
        JSAMPROW row = (JSAMPROW)pixels + (size_t)info.next_scanline * width * channels;
        jpeg_write_scanlines(&info, &row, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return 1;
}

/* Releases what seed_jpeg_encode gave. */
void seed_jpeg_release(unsigned char *bytes) {
    free(bytes);
}
