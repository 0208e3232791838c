/* tests/lib/access_log.c - writes a web server's access log in the NCSA combined format.
 *
 * usage: access_log BYTES [SEED]      whole lines, at most BYTES of them, to standard output
 *
 * The same seed gives the same bytes everywhere. Addresses are from the documentation ranges. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

#define PICK(list, random) ((list)[(random) % (sizeof(list) / sizeof(*(list)))])

static int
line_write(char *out, size_t size, uint64_t *state, uint64_t second)
{
    static const char *const methods[] = {"GET", "GET", "GET", "GET", "POST", "HEAD", "PUT"};
    static const char *const paths[] = {"/", "/index.html", "/api/v1/orders", "/static/app.js",
        "/images/logo.png", "/search?q=stream", "/login", "/feed.xml", "/favicon.ico"};
    static const char *const agents[] = {
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko)",
        "curl/7.88.1", "Go-http-client/2.0", "Examplebot/1.0 (+http://example.com/bot)"};
    static const char *const nets[] = {"192.0.2", "198.51.100", "203.0.113"};
    static const int codes[] = {200, 200, 200, 200, 200, 304, 301, 404, 500};
    static const char *const referers[] = {
        "-", "-", "https://example.com/", "https://example.org/a"};
    uint64_t a = next(state), b = next(state);
    return snprintf(out, size,
        "%s.%u - %s [%02u/Nov/2026:%02u:%02u:%02u +0000] \"%s %s%s%llx HTTP/1.1\" %d %llu \"%s\" "
        "\"%s\"\n",
        PICK(nets, a >> 3), (unsigned)(a >> 8 & 0xff), (a >> 16 & 15) == 0 ? "frank" : "-",
        (unsigned)(1 + second / 86400 % 28), (unsigned)(second / 3600 % 24),
        (unsigned)(second / 60 % 60), (unsigned)(second % 60), PICK(methods, a >> 20),
        PICK(paths, a >> 28),
        (a >> 36 & 3) == 0 ? "&id=" : "?id=", (unsigned long long)(b & 0xffffff),
        PICK(codes, b >> 24), (unsigned long long)(b >> 32 & 0xffff), PICK(referers, b >> 48),
        PICK(agents, b >> 52));
}

int
main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: access_log BYTES [SEED]\n");
        return 2;
    }
    uint64_t left = strtoull(argv[1], NULL, 10);
    uint64_t state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    char line[1024];
    for (uint64_t i = 0;; i++) {
        int len = line_write(line, sizeof(line), &state, i / 50);
        if (len <= 0 || (uint64_t)len > left)
            break;
        if (fwrite(line, 1, (size_t)len, stdout) != (size_t)len)
            return 1;
        left -= (uint64_t)len;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
