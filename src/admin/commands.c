#include "commands.h"

#include "base/log.h"
#include "status.h"

#include <stdarg.h>

enum { COMMAND_BYTES = 4096, WEIGHT_MAX = 1000 };

/* ---- answers */

/* {"ok": ..., "text": ...}, to which more may be added. NULL without memory. */
__attribute__((format(printf, 2, 3))) static json_t *verdict(bool good, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Text that is not UTF-8 is not repeated in the answer. */
	json_t *object = json_pack("{s:b, s:s}", "ok", good, "text", text);
	return object ? object : json_pack("{s:b, s:s}", "ok", good, "text", "bad name");
}

static struct status_source source_of(const struct admin *admin)
{
	return (struct status_source){
	    .metrics = admin->with.metrics, .history = admin->with.history};
}

/* ---- commands */

static json_t *run_status(struct admin *admin, struct str arguments)
{
	struct status_source source = source_of(admin);
	json_t *answer = verdict(true, "status");

	(void)arguments;
	json_object_set_new(answer, "status", status_json(&source));
	json_object_set_new(answer, "events", status_events_json(admin->with.history));
	return answer;
}

static json_t *no_such_backend(struct str name)
{
	return verdict(false, "no backend has the name \"%.*s\"",
	    (int)(name.len < 200 ? name.len : 200), name.data);
}

static json_t *run_why(struct admin *admin, struct str arguments)
{
	struct status_source source = source_of(admin);
	struct backend *backend = ring_find_name(admin->with.proxy->ring, arguments);

	if (!backend)
		return no_such_backend(arguments);
	json_t *answer = verdict(true, "why");
	json_object_set_new(answer, "backend", status_backend_json(&source, backend));
	json_object_set_new(answer, "events", status_events_json(admin->with.history));
	return answer;
}

static json_t *set_draining(struct admin *admin, struct str name, bool draining)
{
	struct backend *backend = ring_find_name(admin->with.proxy->ring, name);

	if (!backend)
		return no_such_backend(name);
	if (backend->draining == draining)
		return verdict(true, draining ? "%s is already draining" : "%s is not draining",
		    backend->name);
	backend_set_draining(backend, draining);
	log_info("backend %s: %s by the operator", backend->name,
	    draining ? "drained" : "draining ended");
	history_note(admin->with.history, backend, "%s by the operator",
	    draining ? "drained" : "draining ended");
	if (!draining)
		return verdict(true, "%s takes requests again, it is %s", backend->name,
		    backend_state_word(backend));
	return verdict(
	    true, "%s gets no more requests, %u are under way", backend->name, backend->active);
}

static json_t *run_drain(struct admin *admin, struct str arguments)
{
	return set_draining(admin, arguments, true);
}

static json_t *run_undrain(struct admin *admin, struct str arguments)
{
	return set_draining(admin, arguments, false);
}

/* Takes the last word off the end of *text. */
static struct str take_last_word(struct str *text)
{
	size_t begin = text->len;

	while (begin > 0 && text->data[begin - 1] != ' ')
		begin--;
	struct str word = {text->data + begin, text->len - begin};
	*text = str_trim((struct str){text->data, begin});
	return word;
}

static json_t *run_weight(struct admin *admin, struct str arguments)
{
	struct str wanted = take_last_word(&arguments);
	struct backend *backend = ring_find_name(admin->with.proxy->ring, arguments);
	bool is_default = str_equals(wanted, STR("default"));
	uint64_t weight = 0;

	if (!backend)
		return no_such_backend(arguments);
	if (!is_default && (!str_to_number(wanted, &weight) || weight < 1 || weight > WEIGHT_MAX))
		return verdict(
		    false, "a weight is a number from 1 to %d, or \"default\"", WEIGHT_MAX);
	unsigned before = backend->weight;
	ring_set_weight(admin->with.proxy->ring, backend, (unsigned)weight);
	log_info(
	    "backend %s: weight %u -> %u by the operator", backend->name, before, backend->weight);
	history_note(admin->with.history, backend, "weight %u -> %u by the operator", before,
	    backend->weight);
	return verdict(true, "%s has weight %u, it had %u", backend->name, backend->weight, before);
}

static json_t *run_logs(struct admin *admin, struct str arguments)
{
	const struct admin_control *control = &admin->with.control;
	int error = control->reopen_logs(control->context);

	(void)arguments;
	if (error < 0)
		return verdict(false, "the old log stays in use: %s", strerror(-error));
	return verdict(true, "log files are open again");
}

static const struct command {
	const char *name;
	bool has_arguments;
	json_t *(*run)(struct admin *admin, struct str arguments);
} commands[] = {
    {"status", false, run_status},
    {"why", true, run_why},
    {"drain", true, run_drain},
    {"undrain", true, run_undrain},
    {"weight", true, run_weight},
    {"logs", false, run_logs},
};

static json_t *run_line(struct admin *admin, struct str line)
{
	struct str name = str_split(&line, ' ');
	struct str arguments = str_trim(line);

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const struct command *command = &commands[i];

		if (str_equals(name, str_from(command->name)) &&
		    command->has_arguments == (arguments.len > 0))
			return command->run(admin, arguments);
	}
	return verdict(false, "commands are: status, why NAME, drain NAME, undrain NAME, "
			      "weight NAME N, reload, logs");
}

/* ---- lines */

static void answer(struct admin_request *request, json_t *object)
{
	char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(16)) : NULL;

	json_decref(object);
	request->content = text ? admin_text_create(text, strlen(text)) : NULL;
	if (!request->content)
		buf_append(&request->client->out, STR("{\"ok\":false,\"text\":\"no memory\"}"));
	request_enter(request, ADMIN_ANSWERING);
}

/* ---- reload, the one command whose answer may take a while */

static void keep_line(void *context, const char *line)
{
	const struct admin_request *request = context;

	json_array_append_new(request->lines, status_text_json(line));
}

static void end_reload(void *context, bool good, size_t changes)
{
	struct admin_request *request = context;
	bool has_waited = request->state == ADMIN_WAITING;
	json_t *object =
	    good ? verdict(true, "reloaded, %zu change%s", changes, changes == 1 ? "" : "s")
		 : verdict(false, "refused, the old configuration stays");

	json_object_set_new(object, "lines", request->lines);
	request->lines = NULL;
	answer(request, object);
	if (has_waited)
		session_run(request->session);
}

static void run_reload(struct admin_request *request)
{
	const struct admin_control *control = &request->admin->with.control;
	const struct admin_reload_request reload = {keep_line, end_reload, request};

	request->lines = json_array();
	control->reload(control->context, &reload);
	if (request->state == ADMIN_READING)
		request_enter(request, ADMIN_WAITING);
}

void commands_answer(struct admin_request *request)
{
	struct str text = buf_content(&request->client->in);
	size_t end = str_find(text, '\n');
	struct str line = str_trim((struct str){text.data, end});

	if (end < text.len && end <= COMMAND_BYTES) {
		if (line.len > 0 && line.data[line.len - 1] == '\r')
			line.len--;
		if (str_equals(line, STR("reload")))
			run_reload(request);
		else
			answer(request, run_line(request->admin, line));
	} else if (text.len > COMMAND_BYTES) {
		answer(request, verdict(false, "the line is too long"));
	}
}
