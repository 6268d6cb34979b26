/* libjpeg-turbo behind a few functions that never jump or print: the border of src/data/jpeg.rs.
 *
 * libjpeg reports an error by not returning, so setjmp catches it here, in C; no Rust frame is ever jumped over. A
 * warning, which means that some pixels would be made up, ends the decode in the same way, as in `djpeg -strict`. */

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* A progressive file may name any number of scans, each of which costs a pass over the image. */
#define MAX_SCANS 100

/* What the components mean: the values of src/data/jpeg.rs. */
#define COLOURS_AS_MARKED 0 /* JFIF and Adobe markers say it, else the components' numbers */
#define COLOURS_RAW 1       /* samples are given as they are stored */
#define COLOURS_YCBCR 2     /* luma and chroma, whatever the markers say */

struct refusal {
    struct jpeg_error_mgr manager; /* first, so that libjpeg's pointer is one to the whole */
    jmp_buf back;
    char *message; /* JMSG_LENGTH_MAX bytes for the reason, or NULL */
};

/* Why setjmp returns. */
#define REFUSED 1
#define NO_MEMORY 2

static void refuse(j_common_ptr info) {
    struct refusal *refusal = (struct refusal *)info->err;
    if (refusal->message != NULL) {
        info->err->format_message(info, refusal->message);
    }
    longjmp(refusal->back, info->err->msg_code == JERR_OUT_OF_MEMORY ? NO_MEMORY : REFUSED);
}

static void refuse_warnings(j_common_ptr info, int level) {
    if (level < 0) {
        refuse(info);
    }
}

/* Refuses with a text of our own. */
static void refuse_for(j_common_ptr info, const char *why) {
    struct refusal *refusal = (struct refusal *)info->err;
    if (refusal->message != NULL) {
        strncpy(refusal->message, why, JMSG_LENGTH_MAX - 1);
    }
    longjmp(refusal->back, REFUSED);
}

static void refuse_many_scans(j_common_ptr info) {
    if (info->is_decompressor && ((j_decompress_ptr)info)->input_scan_number > MAX_SCANS) {
        refuse_for(info, "more than 100 scans");
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

static struct jpeg_error_mgr *prepare(struct refusal *refusal, char *message) {
    struct jpeg_error_mgr *manager = jpeg_std_error(&refusal->manager);
    manager->error_exit = refuse;
    manager->emit_message = refuse_warnings;
    manager->output_message = be_silent;
    refusal->message = message;
    if (message != NULL) {
        memset(message, 0, JMSG_LENGTH_MAX);
    }
    return manager;
}

/* How many bytes a message may take, its end included. */
size_t seed_jpeg_message_length(void) {
    return JMSG_LENGTH_MAX;
}

/* Writes width, height and components of a JPEG; 1 where its header is sound, −1 without memory, else 0 and the reason in
 * `message`. */
int seed_jpeg_header(const unsigned char *bytes, size_t length, uint32_t shape[3], char *message) {
    struct jpeg_decompress_struct info = {0};
    struct refusal refusal;
    info.err = prepare(&refusal, message);
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

/* a·b/255, rounded, as PIL computes it. */
static int share(int a, int b) {
    int product = a * b + 128;
    return (product + (product >> 8)) >> 8;
}

/* One row of four inks → red, green, blue. The inks are stored inverted, as Adobe's programs write them and PIL reads them. */
static void row_of_inks(const unsigned char *inks, unsigned char *pixels, uint32_t width) {
    for (uint32_t x = 0; x < width; x++, inks += 4, pixels += 3) {
        int light = inks[3];
        for (int i = 0; i < 3; i++) {
            pixels[i] = (unsigned char)(light - share(255 - inks[i], light));
        }
    }
}

/* Decodes at 1/scale of the sides into (height, width, channels) bytes; 1 where that is sound and fits exactly, −1 without
 * memory, else 0 and the reason in `message`. Channels are 1 for a grey image and 3 for others, but the number of components
 * where they are wanted raw. `memory` bounds what libjpeg may allocate, in bytes. */
int seed_jpeg_decode(const unsigned char *bytes, size_t length, uint32_t scale, int colours, unsigned char *pixels,
                     uint32_t width, uint32_t height, uint32_t channels, long memory, char *message) {
    struct jpeg_decompress_struct info = {0};
    struct jpeg_progress_mgr progress = {0};
    struct refusal refusal;
    JSAMPARRAY inks = NULL;
    info.err = prepare(&refusal, message);
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
    if (colours == COLOURS_RAW) {
        info.jpeg_color_space = JCS_UNKNOWN;
        info.out_color_space = JCS_UNKNOWN;
    } else if (info.num_components == 4) {
        info.out_color_space = JCS_CMYK;
    } else {
        if (colours == COLOURS_YCBCR && info.num_components == 3) {
            info.jpeg_color_space = JCS_YCbCr;
        }
        info.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    }
    jpeg_start_decompress(&info);
    int inked = info.out_color_space == JCS_CMYK;
    if (info.output_width != width || info.output_height != height ||
        (uint32_t)info.output_components != (inked ? 4 : channels) || (inked && channels != 3)) {
        refuse_for((j_common_ptr)&info, "other sides or channels than the header says");
    }
    if (inked) {
        inks = info.mem->alloc_sarray((j_common_ptr)&info, JPOOL_IMAGE, width * 4, 1);
    }
    while (info.output_scanline < height) {
        JSAMPROW row = pixels + (size_t)info.output_scanline * width * channels;
        if (inked) {
            jpeg_read_scanlines(&info, inks, 1);
            row_of_inks(inks[0], row, width);
        } else {
            jpeg_read_scanlines(&info, &row, 1);
        }
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
    info.err = prepare(&refusal, NULL);
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
