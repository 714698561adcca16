/* host/clock.h: time that only goes forward.
 *
 * Layer    host.
 */
#ifndef CLM_HOST_CLOCK_H
#define CLM_HOST_CLOCK_H

/* Seconds since some fixed moment. */
double clm_clock_seconds(void);

#endif
