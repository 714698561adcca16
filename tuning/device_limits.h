/* tuning/device_limits.h: what a device can do at best, measured by probe kernels (cl/limit_*.cl):
 * the measure of every speed that `clm bench` reports, and of shares between devices.
 *
 * Layer    tuning.
 * Threads  the device is used alone while it is measured.
 */
#ifndef CLM_TUNING_DEVICE_LIMITS_H
#define CLM_TUNING_DEVICE_LIMITS_H

#include "host/device.h"

/* 1 GB is 1e9 bytes; a multiply-add counts as two operations. */
typedef struct clm_device_limits {
    double read_gbps;    /* reading far more than the caches hold, several streams per work-item */
    double fp32_gflops;  /* fused multiply-adds on registers */
    double int8_gops;    /* 8-bit products summed in 32 bits, by the best means but tiles */
    double bf16_gflops;  /* products of tiles (cl/amx.cl, cl/mma.cl) on registers; 0: it has none */
    double launch_us;    /* one of many small launches in the in-order queue */
    double roundtrip_us; /* one small launch and waiting for it */
} clm_device_limits;

/* Measures `dev` in about a second, plus building the probes once. Each figure is the best over
 * some variants of a kernel. Another busy program makes them too low: compare two measurements.
 * Takes an eighth of the device's memory at most. Returns CLM_OK, CLM_E_DEVMEM, CLM_E_BUILD,
 * CLM_E_CL or CLM_E_NOMEM. */
clm_status clm_device_limits_measure(clm_device *dev, clm_device_limits *out, clm_err *err);

/* Only read_gbps, for comparing: when it is lower than before, something else uses the memory. */
clm_status clm_device_read_measure(clm_device *dev, double *gbps, clm_err *err);

#endif
