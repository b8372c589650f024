/* The floor: a chat server that only does TLS. It sends what one connection says to all others with one
 * SSL_write and one send each: no parsing, no rooms, no log. argv: port, folder of certificates.
 *
 * With a third argument, a file, it also does the work that chatd's guarantees require: a write and an
 * fdatasync before it sends a message, and for each receiver an AES-256-GCM seal under its own key and as
 * many bytes as a sealed chatd event has. It sends the plain text, so that the load generator can read it. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 8192
/* The event of a message of 120 characters has 303 bytes; its record adds a header and tag of 31. */
#define EVENT 303
#define RECORD (EVENT + 31)
#define CONTEXT 35
static SSL *all[MAX_CONNECTIONS];
static EVP_CIPHER_CTX *keys[MAX_CONNECTIONS];
static int count, log_fd = -1;

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
    if (!good) { fprintf(stderr, "cannot load the certificates in %s\n", certs); exit(1); }
    return ctx;
}

static void take(SSL_CTX *ctx, int listener, int poll) {
    int one = 1, fd = accept(listener, NULL, NULL);
    if (fd < 0 || count == MAX_CONNECTIONS) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) != 1) { SSL_free(ssl); close(fd); return; }
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = count};
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    if (log_fd >= 0) {
        unsigned char key[32];
        RAND_bytes(key, sizeof key);
        keys[count] = EVP_CIPHER_CTX_new();
        EVP_EncryptInit_ex(keys[count], EVP_aes_256_gcm(), NULL, key, NULL);
    }
    all[count++] = ssl;
}

static void seal(int to, const char *text) {
    static unsigned char number[12], context[CONTEXT], sealed[RECORD], tag[16];
    int size;
    for (int i = 11; !++number[i] && i; i--) ;
    EVP_EncryptInit_ex(keys[to], NULL, NULL, NULL, number);
    EVP_EncryptUpdate(keys[to], NULL, &size, context, sizeof context);
    EVP_EncryptUpdate(keys[to], sealed, &size, (const unsigned char *)text, EVENT);
    EVP_EncryptFinal_ex(keys[to], sealed + size, &size);
    EVP_CIPHER_CTX_ctrl(keys[to], EVP_CTRL_GCM_GET_TAG, sizeof tag, tag);
}

static int keep(char *text, int size) {
    if (size > RECORD || write(log_fd, text, size) != size || fdatasync(log_fd)) exit(1);
    memset(text + size, ' ', RECORD - size);
    return RECORD;
}

static void say(unsigned from) {
    static char text[16384];
    do {
        int size = SSL_read(all[from], text, sizeof text);
        if (size <= 0) { close(SSL_get_fd(all[from])); SSL_free(all[from]); all[from] = NULL; return; }
        if (log_fd >= 0) size = keep(text, size);
        for (int to = 0; to < count; to++) {
            if (!all[to] || to == (int)from) continue;
            if (log_fd >= 0) seal(to, text);
            SSL_write(all[to], text, size);
        }
    } while (SSL_pending(all[from]));
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    if (argc > 3 && (log_fd = open(argv[3], O_WRONLY | O_CREAT | O_APPEND, 0600)) < 0) return 1;
    SSL_CTX *ctx = context(argv[2]);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 512)) return 1;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = MAX_CONNECTIONS}, ready[512];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int found = epoll_wait(poll, ready, 512, -1);
        for (int i = 0; i < found; i++) {
            if (ready[i].data.u32 == MAX_CONNECTIONS) take(ctx, listener, poll);
            else if (all[ready[i].data.u32]) say(ready[i].data.u32);
        }
    }
}
