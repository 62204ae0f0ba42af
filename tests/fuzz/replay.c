/* SPDX-License-Identifier: MIT */
/* A fuzz target without a fuzzer: gives it each file of the directories that are named, once, in any compiler's build. */
#include "must.h"

#include <dirent.h>
#include <sys/stat.h>

static void replay_file(const char *directory, const char *name) {
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%s", directory, name);
    must(n > 0 && (size_t)n < sizeof(path));
    FILE *file = fopen(path, "rb");
    struct stat info;
    must(file && fstat(fileno(file), &info) == 0);
    size_t size = (size_t)info.st_size;
    uint8_t *bytes = malloc(size + 1);
    must(bytes && fread(bytes, 1, size, file) == size);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* In the order of their names, so that a failure is always the same one. */
static unsigned replay_directory(const char *directory) {
    struct dirent **entries;
    int n = scandir(directory, &entries, is_visible, alphasort);
    must(n >= 0);
    for (int i = 0; i < n; i++) {
        replay_file(directory, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return (unsigned)n;
}

int main(int argc, char **argv) {
    unsigned n = 0;
    for (int i = 1; i < argc; i++)
        n += replay_directory(argv[i]);
    printf("replayed %u inputs\n", n);
    return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
