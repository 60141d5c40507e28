#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_BYTES = 4 << 20,
	FILE_STEP = 16384,
	INCLUDE_DEPTH = 10,
	INCLUDE_FILES = 1000, /* each time it is included counts */
	NOT_REGULAR = -1      /* beside errno */
};

/* The context of a byte. An @include inside a string or a comment is ignored. */
enum place { PLACE_CODE, PLACE_STRING, PLACE_COMMENT };

struct reading {
	struct config_text *text;
	struct config_errors *errors;
	enum place place;
	unsigned depth;
};

static bool read_lines(struct reading *reading, const char *file, const struct config_line *from);

char *config_text_path(const char *file, struct str name)
{
	const char *slash = strrchr(file, '/');
	int directory = slash ? (int)(slash - file) + 1 : 0;
	char *path;

	if (str_starts_with(name, STR("/")))
		directory = 0;
	if (asprintf(&path, "%.*s%.*s", directory, file, STR_ARGS(name)) < 0)
		return NULL;
	return path;
}

/* Makes room for `needed` items, and may move them. NULL, and nothing changed, without memory.
 */
static void *grown(void *items, size_t *size, size_t needed, size_t item)
{
	size_t wanted = *size ? *size : 64;
	void *moved;

	if (needed <= *size)
		return items;
	while (wanted < needed)
		wanted *= 2;
	moved = realloc(items, wanted * item);
	if (moved)
		*size = wanted;
	return moved;
}

/* A file's content while it is read. */
struct content {
	char *data;
	size_t len;
	size_t size;
};

/* Reads up to the end of the file; 0 or an errno, EFBIG when it is too large for a
 * configuration. */
static int read_all(int fd, struct content *content)
{
	ssize_t got = 1;

	while (got != 0) {
		char *data = grown(content->data, &content->size, content->len + FILE_STEP, 1);

		if (!data)
			return ENOMEM;
		content->data = data;
		got = read(fd, data + content->len, FILE_STEP);
		if (got < 0 && errno != EINTR)
			return errno;
		if (got > 0)
			content->len += (size_t)got;
		if (content->len > FILE_BYTES)
			return EFBIG;
	}
	return 0;
}

/* Reads a whole file; the caller frees content->data in either case. A pipe or a device could keep
 * its reader waiting for ever. */
static int read_file(const char *file, struct content *content)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;
	int error;

	if (fd < 0)
		return errno;
	if (fstat(fd, &status) < 0)
		error = errno;
	else if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
		error = NOT_REGULAR;
	else
		error = read_all(fd, content);
	close(fd);
	return error;
}

static const char *reason(int error)
{
	return error == NOT_REGULAR ? "it is a pipe or a device, not a file" : strerror(error);
}

static bool append_line(struct config_text *text, const struct config_line *line)
{
	struct str s = line->text;
	char *all = grown(text->all, &text->size, text->len + s.len + 2, 1);
	struct config_line *lines;

	if (!all)
		return false;
	text->all = all;
	lines = grown(text->lines, &text->line_size, text->line_count + 1, sizeof(*lines));
	if (!lines)
		return false;
	text->lines = lines;
	if (s.len)
		memcpy(text->all + text->len, s.data, s.len);
	text->len += s.len;
	text->all[text->len++] = '\n';
	text->all[text->len] = '\0';
	/* `all` may still move, so pointers into it are set at the end. */
	text->lines[text->line_count++] = *line;
	return true;
}

/* Tracks strings and comments through a line: the context at the start of the next line. */
static enum place place_after(enum place place, struct str line)
{
	for (size_t i = 0; i < line.len; i++) {
		char c = line.data[i];
		char next = '\n';

		if (i + 1 < line.len)
			next = line.data[i + 1];
		if (place == PLACE_COMMENT) {
			if (c == '*' && next == '/') {
				place = PLACE_CODE;
				i++;
			}
		} else if (c == '"') {
			place = place == PLACE_STRING ? PLACE_CODE : PLACE_STRING;
		} else if (place == PLACE_STRING) {
			i += c == '\\';
		} else if (c == '#' || (c == '/' && next == '/')) {
			break;
		} else if (c == '/' && next == '*') {
			place = PLACE_COMMENT;
			i++;
		}
	}
	/* A string without an end on its line is a fault, reported later: it must not hide the rest
	 * of the file. */
	return place == PLACE_STRING ? PLACE_CODE : place;
}

/* Is the line an @include? Sets *name to the file then. */
static bool is_include(struct str line, struct str *name)
{
	struct str directive = STR("@include");
	size_t end;

	line = str_trim(line);
	if (!str_starts_with(line, directive))
		return false;
	line = str_trim((struct str){line.data + directive.len, line.len - directive.len});
	if (!str_starts_with(line, STR("\"")))
		return false;
	line = (struct str){line.data + 1, line.len - 1};
	end = str_find(line, '"');
	*name = (struct str){line.data, end};
	if (end == line.len)
		return false;
	line = str_trim((struct str){line.data + end + 1, line.len - end - 1});
	return line.len == 0 || line.data[0] == '#' || str_starts_with(line, STR("//"));
}

static bool include_file(struct reading *reading, struct str name, const struct config_line *from)
{
	char *path = config_text_path(from->file, name);
	bool good = false;

	if (reading->depth == INCLUDE_DEPTH)
		config_errors_add(reading->errors, (struct config_fault){from, NULL},
		    "files include each other more than %d deep", INCLUDE_DEPTH);
	else if (reading->text->file_count == INCLUDE_FILES)
		config_errors_add(reading->errors, (struct config_fault){from, NULL},
		    "more than %d files are included", INCLUDE_FILES);
	else if (path) {
		reading->depth++;
		good = read_lines(reading, path, from);
		reading->depth--;
	}
	free(path);
	return good;
}

static bool read_line(struct reading *reading, const struct config_line *line)
{
	struct config_text *text = reading->text;
	struct str name;

	if (reading->place == PLACE_CODE && is_include(line->text, &name))
		return include_file(reading, name, line);
	if (str_find(line->text, '\0') != line->text.len) {
		config_errors_add(reading->errors, (struct config_fault){line, NULL},
		    "the line holds a NUL byte");
		return false;
	}
	reading->place = place_after(reading->place, line->text);
	if (text->len + line->text.len > FILE_BYTES) {
		config_errors_add(reading->errors, (struct config_fault){line, NULL},
		    "the configuration is larger than 4 MiB");
		return false;
	}
	if (append_line(text, line))
		return true;
	reading->errors->incomplete = true;
	return false;
}

/* Keeps the name for as long as the text lives. */
static const char *keep_name(struct config_text *text, const char *file)
{
	char **files = realloc(text->files, (text->file_count + 1) * sizeof(*files));
	char *name;

	if (!files)
		return NULL;
	text->files = files;
	if (!(name = strdup(file)))
		return NULL;
	return files[text->file_count++] = name;
}

/* Adds the lines of `file`; `from` is the line that includes it, NULL for the first file. */
static bool read_lines(struct reading *reading, const char *file, const struct config_line *from)
{
	struct config_line line = {.file = keep_name(reading->text, file)};
	struct config_line whole = {.file = file};
	struct content content = {0};
	struct str rest;
	int error = line.file ? read_file(file, &content) : ENOMEM;
	bool good = error == 0;

	if (error && from)
		config_errors_add(reading->errors, (struct config_fault){from, NULL},
		    "cannot read %s: %s", file, reason(error));
	else if (error)
		config_errors_add(reading->errors, (struct config_fault){&whole, NULL},
		    "cannot be read: %s", reason(error));
	rest = (struct str){content.data, content.len};
	if (str_starts_with(rest, STR("\xef\xbb\xbf")))
		rest = (struct str){rest.data + 3, rest.len - 3};
	while (good && rest.len) {
		line.number++;
		line.text = str_split(&rest, '\n');
		if (line.text.len && line.text.data[line.text.len - 1] == '\r')
			line.text.len--;
		good = read_line(reading, &line);
	}
	free(content.data);
	return good;
}

bool config_text_read(struct config_text *text, const char *file, struct config_errors *errors)
{
	struct reading reading = {.text = text, .errors = errors};
	char *at;

	*text = (struct config_text){0};
	if (!read_lines(&reading, file, NULL))
		return false;
	/* Even an empty text has a line, for messages. */
	if (text->line_count == 0 &&
	    !append_line(text, &(struct config_line){.file = text->files[0], .number = 1})) {
		errors->incomplete = true;
		return false;
	}
	at = text->all;
	for (size_t i = 0; i < text->line_count; i++) {
		text->lines[i].text.data = at;
		at += text->lines[i].text.len + 1;
	}
	return true;
}

void config_text_finish(struct config_text *text)
{
	for (size_t i = 0; i < text->file_count; i++)
		free(text->files[i]);
	free(text->files);
	free(text->lines);
	free(text->all);
	*text = (struct config_text){0};
}

const struct config_line *config_text_line(const struct config_text *text, size_t number)
{
	if (number > text->line_count)
		number = text->line_count;
	return &text->lines[number ? number - 1 : 0];
}
