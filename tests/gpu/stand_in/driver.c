/* A stand-in for libcuda.so.1: what libseed asks of the driver. */

#include <stdio.h>

int cuInit(unsigned flags) {
  (void)flags;
  return 0;
}

int cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return 0;
}

int cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, (size_t)length, "Pretend GPU %d", device);
  return 0;
}
