/* host/map_fault.h: what happens when a mapped file cannot be read any more.
 *
 * Layer    host.
 * Threads  all of it may be called from any thread.
 *
 * Somebody cuts a file short, or its disk or network fails: then the kernel answers a read of the map with SIGBUS, which
 * ends a program without a word.
 */
#ifndef CLM_HOST_MAP_FAULT_H
#define CLM_HOST_MAP_FAULT_H

#include <stddef.h>
#include <stdint.h>

/* From now on such a read ends the program with one sentence about the file, and the exit code `code`. Other
 * causes of SIGBUS end it as ever. */
void clm_map_faults_end_program(int code);

/* A file was mapped, is unmapped (host/file.c). More than 256 at once are not named. */
void clm__map_watch(const uint8_t *data, size_t size, const char *path);
void clm__map_unwatch(const uint8_t *data);

#endif
