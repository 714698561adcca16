/* tools/serve/listen.h: the socket that the server listens on.
 *
 * Layer    tools.
 */
#ifndef CLM_SERVE_LISTEN_H
#define CLM_SERVE_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include "runtime/clm.h"

typedef struct clm_listener {
    int fd;
    uint16_t port;    /* the one that was found, for port 0 */
    bool loopback;    /* only this machine's programs reach it */
    char address[64]; /* "127.0.0.1:8080", "[::1]:8080" */
} clm_listener;

/* `host`: a name or an address, IPv6 also in brackets. Returns CLM_OK, CLM_E_CONFIG (no such host) or CLM_E_IO (port in use ...). */
clm_status clm_listen(const char *host, uint32_t port, clm_listener *out, clm_err *err);

/* Of a numeric address: 127.0.0.0/8, ::1, or the former written as IPv6. */
bool clm_address_is_loopback(const char *text);
/* "192.0.2.1", of a peer's address. */
struct sockaddr;
void clm_address_text(const struct sockaddr *address, char out[64]);

#endif
