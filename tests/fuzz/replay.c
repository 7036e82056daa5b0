/* SPDX-License-Identifier: Apache-2.0 */
/* replay - feed files (or all files of directories) to a fuzz target without libFuzzer.  Fails when there was nothing to feed:
 * a check that checks nothing must not pass. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { LARGEST = 16 << 20 };

static size_t replayed;

static void
replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(LARGEST), *exact;
	size_t n;

	if (f == NULL || data == NULL) {
		perror(path);
		exit(1);
	}
	n = fread(data, 1, LARGEST, f);
	fclose(f);
	/* In a block of its own size, so that a read past the end is seen. */
	exact = malloc(n ? n : 1);
	if (exact == NULL)
		abort();
	for (size_t i = 0; i < n; i++)
		exact[i] = data[i];
	free(data);
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	replayed++;
}

static void
replay_path(const char *path)
{
	struct stat st;
	struct dirent *e;
	DIR *d;

	if (stat(path, &st) < 0) {
		perror(path);
		exit(1);
	}
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path);
		return;
	}
	d = opendir(path);
	while (d && (e = readdir(d)) != NULL) {
		char below[4096];

		if (e->d_name[0] != '.' && snprintf(below, sizeof below, "%s/%s", path, e->d_name) < (int)sizeof below)
			replay_path(below);
	}
	if (d)
		closedir(d);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay_path(argv[i]);
	printf("%zu inputs\n", replayed);
	return replayed == 0;
}
