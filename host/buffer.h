/* host/buffer.h: memory on a device, with an element type.
 *
 * Layer    host.
 * Threads  as the device: one thread at a time.
 */
#ifndef CLM_HOST_BUFFER_H
#define CLM_HOST_BUFFER_H

#include <stddef.h>
#include <stdint.h>
#include "host/device.h"

typedef enum clm_elem {
    CLM_ELEM_U8,
    CLM_ELEM_I8,
    CLM_ELEM_F16,
    CLM_ELEM_BF16,
    CLM_ELEM_I32,
    CLM_ELEM_F32
} clm_elem;

size_t clm_elem_bytes(clm_elem type);

typedef struct clm_buffer clm_buffer;

/* Allocates `count` elements. More than the device's largest allocation is refused before the
 * driver sees it. Returns CLM_OK, CLM_E_DEVMEM (sizes are in the sentence), CLM_E_CL, CLM_E_NOMEM. */
clm_status clm_buffer_create(clm_device *dev, clm_elem type, size_t count, clm_buffer **out,
                             clm_err *err);
void clm_buffer_destroy(clm_buffer *buf);

clm_elem clm_buffer_type(const clm_buffer *buf);
clm_device *clm_buffer_device(const clm_buffer *buf);
size_t clm_buffer_count(const clm_buffer *buf);

/* Copies `count` elements from `first` on; blocking. A range outside the buffer is CLM_E_INTERNAL. */
clm_status clm_buffer_write(clm_buffer *buf, size_t first, size_t count, const void *data,
                            clm_err *err);
clm_status clm_buffer_read(const clm_buffer *buf, size_t first, size_t count, void *data,
                           clm_err *err);
/* Makes the whole buffer writable by the host; what was in it is lost. On a CPU that is the buffer's own
 * memory, elsewhere the driver may copy. The buffer must not be used until it is unmapped, which
 * also hands the data over. */
clm_status clm_buffer_map(clm_buffer *buf, void **data, clm_err *err);
clm_status clm_buffer_unmap(clm_buffer *buf, void *data, clm_err *err);

/* Sets the first element of an I32 buffer without waiting for the device. */
clm_status clm_buffer_set_i32(clm_buffer *buf, int32_t value, clm_err *err);
/* Sets all bytes to `byte`. */
clm_status clm_buffer_fill(clm_buffer *buf, unsigned char byte, clm_err *err);

#endif
