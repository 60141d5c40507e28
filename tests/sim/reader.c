#include "reader.h"

#include "dice.h"

enum state { HEAD, LENGTH, CHUNK_LINE, CHUNK_DATA, CHUNK_END, TRAILERS, TO_END, DONE };

/* Twice the noise, so that a run that begins anywhere is whole. */
static char noise[2 * NOISE_BYTES];

static void make_noise(void)
{
	struct dice dice = {1};

	for (size_t i = 0; i < NOISE_BYTES; i++)
		noise[i] = noise[i + NOISE_BYTES] = (char)dice_roll(&dice);
	noise[0] = noise[NOISE_BYTES] = 1;
}

size_t noise_run(uint64_t offset, uint32_t key, size_t len, const char **bytes)
{
	if (!noise[0])
		make_noise();
	*bytes = noise + ((key * 40503U + offset) & (NOISE_BYTES - 1));
	return len < NOISE_BYTES ? len : NOISE_BYTES;
}

uint64_t field_hash(uint64_t hash, struct str name, struct str value)
{
	for (size_t i = 0; i < name.len; i++)
		hash = (hash ^ (unsigned char)name.data[i]) * 0x100000001b3U;
	hash = (hash ^ ':') * 0x100000001b3U;
	for (size_t i = 0; i < value.len; i++)
		hash = (hash ^ (unsigned char)value.data[i]) * 0x100000001b3U;
	return (hash ^ '\n') * 0x100000001b3U;
}

bool read_hex(struct str text, uint32_t *value)
{
	*value = 0;
	for (size_t i = 0; i < text.len; i++) {
		char byte = text.data[i];

		if (byte >= '0' && byte <= '9')
			*value = *value << 4 | (uint32_t)(byte - '0');
		else if (byte >= 'a' && byte <= 'f')
			*value = *value << 4 | (uint32_t)(byte - 'a' + 10);
		else
			return false;
	}
	return text.len > 0 && text.len <= 8;
}

void reader_start(struct reader *reader)
{
	reader->state = HEAD;
	reader->differs = false;
	reader->has_trailers = false;
	reader->left = 0;
	reader->content = 0;
	reader->len = 0;
}

bool reader_is_fresh(const struct reader *reader)
{
	return reader->state == HEAD && reader->len == 0;
}

/* Takes one line into the text; READER_HEAD when it is complete. */
static enum reader_result take_line(struct reader *reader, struct str bytes, size_t *used)
{
	const char *newline = memchr(bytes.data, '\n', bytes.len);
	size_t n = newline ? (size_t)(newline - bytes.data) + 1 : bytes.len;

	if (reader->len + n > sizeof(reader->text))
		return READER_BAD;
	memcpy(reader->text + reader->len, bytes.data, n);
	reader->len += n;
	*used += n;
	if (!newline)
		return READER_MORE;
	return reader->len >= 2 && reader->text[reader->len - 2] == '\r' ? READER_HEAD : READER_BAD;
}

/* Is the line that ends here empty? */
static bool is_section_end(const struct reader *reader)
{
	return reader->len == 2 || (reader->len > 3 && reader->text[reader->len - 3] == '\n');
}

static enum reader_result take_content(struct reader *reader, struct str bytes, size_t *used)
{
	size_t n = bytes.len;

	if (reader->state != TO_END && reader->left < n)
		n = (size_t)reader->left;
	for (size_t done = 0; done < n;) {
		const char *wanted;
		size_t run = noise_run(reader->content, reader->key, n - done, &wanted);

		reader->differs |= memcmp(wanted, bytes.data + done, run) != 0;
		reader->content += run;
		done += run;
	}
	*used += n;
	if (reader->state == TO_END)
		return READER_MORE;
	reader->left -= n;
	if (reader->left > 0)
		return READER_MORE;
	reader->len = 0;
	if (reader->state == LENGTH) {
		reader->state = DONE;
		return READER_DONE;
	}
	reader->state = CHUNK_END;
	return READER_MORE;
}

static enum reader_result end_chunk_line(struct reader *reader)
{
	uint32_t size;

	if (!read_hex((struct str){reader->text, reader->len - 2}, &size))
		return READER_BAD;
	reader->len = 0;
	reader->left = size;
	reader->state = size ? CHUNK_DATA : TRAILERS;
	return READER_MORE;
}

static enum reader_result end_line(struct reader *reader)
{
	switch (reader->state) {
	case HEAD:
		return is_section_end(reader) ? READER_HEAD : READER_MORE;
	case CHUNK_LINE:
		return end_chunk_line(reader);
	case CHUNK_END:
		if (reader->len != 2)
			return READER_BAD;
		reader->len = 0;
		reader->state = CHUNK_LINE;
		return READER_MORE;
	default:
		if (!is_section_end(reader))
			return READER_MORE;
		reader->has_trailers = reader->len > 2;
		reader->state = DONE;
		return READER_DONE;
	}
}

enum reader_result reader_feed(struct reader *reader, struct str bytes, size_t *used)
{
	enum reader_result result = READER_MORE;

	*used = 0;
	while (*used < bytes.len && result == READER_MORE) {
		struct str rest = {bytes.data + *used, bytes.len - *used};

		if (reader->state == DONE)
			return READER_DONE;
		if (reader->state == LENGTH || reader->state == CHUNK_DATA ||
		    reader->state == TO_END) {
			result = take_content(reader, rest, used);
			continue;
		}
		result = take_line(reader, rest, used);
		if (result == READER_HEAD)
			result = end_line(reader);
	}
	return result;
}

enum reader_result reader_expect(
    struct reader *reader, enum framing framing, uint64_t length, uint32_t key)
{
	reader->key = key;
	reader->left = length;
	switch (framing) {
	case FRAMING_LENGTH:
		reader->state = LENGTH;
		if (length > 0)
			return READER_MORE;
		break;
	case FRAMING_CHUNKED:
		reader->state = CHUNK_LINE;
		reader->len = 0;
		return READER_MORE;
	case FRAMING_CLOSE:
		reader->state = TO_END;
		return READER_MORE;
	case FRAMING_NONE:
		break;
	}
	reader->state = DONE;
	return READER_DONE;
}

bool reader_end(const struct reader *reader)
{
	return reader->state == TO_END;
}

static struct str take_text_line(struct str *rest)
{
	const char *newline = memchr(rest->data, '\n', rest->len);
	size_t n = newline ? (size_t)(newline - rest->data) + 1 : rest->len;
	struct str line = {rest->data, n >= 2 ? n - 2 : 0};

	rest->data += n;
	rest->len -= n;
	return line;
}

struct str reader_start_line(const struct reader *reader, struct str *fields)
{
	*fields = (struct str){reader->text, reader->len};
	return take_text_line(fields);
}

bool reader_next_field(struct str *fields, struct str *name, struct str *value)
{
	struct str line = take_text_line(fields);
	size_t colon = str_find(line, ':');

	if (line.len == 0)
		return false;
	*name = (struct str){line.data, colon};
	*value = (struct str){NULL, 0};
	if (colon + 2 <= line.len)
		*value = (struct str){line.data + colon + 2, line.len - colon - 2};
	return true;
}
