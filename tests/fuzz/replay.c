/* Runs a fuzz target over the files of a folder, without a fuzzer: the corpus as a test, in TAP.
 * usage: fuzz_replay_<target> FOLDER */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int
replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return -1;
    /* Exactly as large as the file, so that a sanitizer sees any step beyond it. */
    fseek(f, 0, SEEK_END);
    long len = ftell(f);
    rewind(f);
    uint8_t *data = malloc(len > 0 ? (size_t)len : 1);
    if (data == NULL || fread(data, 1, (size_t)len, f) != (size_t)len)
        len = -1;
    else
        LLVMFuzzerTestOneInput(data, (size_t)len);
    free(data);
    fclose(f);
    return len < 0 ? -1 : 0;
}

int
main(int argc, char **argv)
{
    struct dirent *entry;
    char path[4096];
    int files = 0, unread = 0;
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;

    if (dir == NULL) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
        files++;
        if (replay(path) != 0)
            unread++;
    }
    closedir(dir);
    printf("1..1\n%s 1 - every file of the corpus is handled (%d files)\n",
        files > 0 && unread == 0 ? "ok" : "not ok", files);
    return files > 0 && unread == 0 ? 0 : 1;
}
