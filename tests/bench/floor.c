/* The floor: a chat server that does nothing but TLS. What one connection says, all connections get:
 * one SSL_write and one send for each, no parsing, no rooms, no log. argv: port, folder of certificates. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 8192
static SSL *all[MOST];
static int count;

static SSL_CTX *context(const char *certs) {
    char path[4096];
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_num_tickets(ctx, 0);
    snprintf(path, sizeof path, "%s/server.pem", certs);
    int good = SSL_CTX_use_certificate_chain_file(ctx, path);
    snprintf(path, sizeof path, "%s/server.key", certs);
    good = good && SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM);
    snprintf(path, sizeof path, "%s/ca.pem", certs);
    good = good && SSL_CTX_load_verify_locations(ctx, path, NULL);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    if (!good) { fprintf(stderr, "certificates of %s\n", certs); exit(1); }
    return ctx;
}

static void take(SSL_CTX *ctx, int listener, int poll) {
    int one = 1, fd = accept(listener, NULL, NULL);
    if (fd < 0 || count == MOST) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) != 1) { SSL_free(ssl); close(fd); return; }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = count};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    all[count++] = ssl;
}

static void say(unsigned from) {
    static char text[16384];
    do {
        int size = SSL_read(all[from], text, sizeof text);
        if (size <= 0) { close(SSL_get_fd(all[from])); SSL_free(all[from]); all[from] = NULL; return; }
        for (int to = 0; to < count; to++)
            if (all[to] && to != (int)from) SSL_write(all[to], text, size);
    } while (SSL_pending(all[from]));
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    SSL_CTX *ctx = context(argv[2]);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 512)) return 1;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = MOST}, ready[512];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int found = epoll_wait(poll, ready, 512, -1);
        for (int i = 0; i < found; i++) {
            if (ready[i].data.u32 == MOST) take(ctx, listener, poll);
            else if (all[ready[i].data.u32]) say(ready[i].data.u32);
        }
    }
}
