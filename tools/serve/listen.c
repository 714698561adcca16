/* tools/serve/listen.c: see tools/serve/listen.h. */
#include "tools/serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 128 };

bool clm_address_is_loopback(const char *text)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, text, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, text, &v6) != 1) return false;
    return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

void clm_address_text(const struct sockaddr *address, char out[64])
{
    const socklen_t size =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    if (getnameinfo(address, size, out, 64, NULL, 0, NI_NUMERICHOST) != 0) snprintf(out, 64, "?");
}

/* A listening socket, or -1 and errno. */
static int try_address(const struct addrinfo *info)
{
    const int yes = 1, fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, 0);
    int why;

    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes); /* what is closing is no server */
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) return fd;
    why = errno;
    close(fd);
    errno = why;
    return -1;
}

static void describe(clm_listener *l)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof address;
    char name[64];
    const struct sockaddr *a = (const struct sockaddr *)&address;

    getsockname(l->fd, (struct sockaddr *)&address, &size);
    l->port = ntohs(a->sa_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address)->sin6_port
                                             : ((const struct sockaddr_in *)&address)->sin_port);
    clm_address_text(a, name);
    l->loopback = clm_address_is_loopback(name);
    snprintf(l->address, sizeof l->address, a->sa_family == AF_INET6 ? "[%.54s]:%u" : "%.54s:%u",
             name, (unsigned)l->port);
}

clm_status clm_listen(const char *host, uint32_t port, clm_listener *out, clm_err *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    const size_t n = strlen(host);
    const bool brackets = n > 2 && host[0] == '[' && host[n - 1] == ']';
    char service[16], name[256];
    int code;

    memset(out, 0, sizeof *out);
    out->fd = -1;
    snprintf(service, sizeof service, "%u", (unsigned)port);
    snprintf(name, sizeof name, "%.*s", (int)(brackets ? n - 2 : n), brackets ? host + 1 : host);
    code = getaddrinfo(name, service, &hints, &list);
    if (code != 0)
        return clm_fail(err, CLM_E_CONFIG, "server.host: '%s': %s", host, gai_strerror(code));
    /* Of a name with both kinds of address ("localhost") the one that every client tries. */
    for (int other = 0; other < 2; other++)
        for (const struct addrinfo *a = list; a != NULL && out->fd < 0; a = a->ai_next)
            if ((a->ai_family != AF_INET) == other) out->fd = try_address(a);
    code = errno;
    freeaddrinfo(list);
    if (out->fd < 0)
        return clm_fail(err, CLM_E_IO, "port %u of %s: %s%s", (unsigned)port, host, strerror(code),
                        code == EADDRINUSE ? ": another program listens there; --port chooses "
                                             "another"
                                           : "");
    describe(out);
    return CLM_OK;
}
