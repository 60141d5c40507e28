/*
 * A configuration file: it is taken, or there is a reason; one that was taken is read again from its own dump
 * with the same values.
 */
#include "config/changes.h"
#include "config/load.h"
#include "config/settings.h"
#include "config/show.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Loads `text` as the file of this descriptor; a file in memory has no neighbours to include. */
static struct config *load(int fd, const void *text, size_t len, struct config_errors *errors)
{
	char path[32];
	struct config_source source = {.file = path};
	ssize_t written;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (ftruncate(fd, 0) < 0)
		abort();
	written = pwrite(fd, text, len, 0);
	assert(written == (ssize_t)len);
	return config_load(&source, errors);
}

static void assert_reasons(const struct config_errors *errors)
{
	FILE *nowhere = fopen("/dev/null", "w");

	assert(nowhere && errors->count > 0 && !errors->incomplete);
	for (size_t i = 0; i < errors->count; i++)
		assert(errors->items[i].message && *errors->items[i].message);
	config_errors_write(errors, nowhere);
	fclose(nowhere);
}

static void say_change(void *context, const char *line)
{
	(void)context;
	fprintf(stderr, "changed by the dump: %s\n", line);
}

/* The dump names included files in a comment only, and lists their backends itself. */
static void assert_same_values(const struct config *a, const struct config *b)
{
	struct settings all = settings_all();

	for (size_t i = 0; i < all.count; i++)
		if (all.items[i].type != SETTING_BACKENDS &&
		    strcmp(all.items[i].path, "include") != 0)
			assert(strcmp(a->values[i].text, b->values[i].text) == 0);
	assert(a->backend_count == b->backend_count);
	if (!*a->include)
		assert(config_describe_changes(a, b, say_change, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_errors errors = {0};
	int fd = memfd_create("config", MFD_CLOEXEC);
	struct config *config, *again;
	char *dump = NULL;
	size_t len = 0;
	FILE *out;

	assert(fd >= 0);
	config = load(fd, data, size, &errors);
	if (!config) {
		assert_reasons(&errors);
	} else {
		assert(errors.count == 0);
		out = open_memstream(&dump, &len);
		assert(out);
		config_show(config, out);
		fclose(out);
		again = load(fd, dump, len, &errors);
		if (!again)
			config_errors_write(&errors, stderr);
		assert(again);
		assert_same_values(config, again);
		config_drop(again);
		config_drop(config);
	}
	free(dump);
	config_errors_finish(&errors);
	close(fd);
	return 0;
}
