/*
 * settings - the table of all settings.
 *
 * Each row has the name of a setting, its type, range and default, where its value is stored,
 * whether a reload applies it, and a help text. Reading a file, checking, -T, --explain, --set, the
 * example file and the list in the manual all use it. Other code names a setting only where it is
 * checked against others or replaced by the command line. Two small tables have the members of the
 * groups of a backend and of an address to listen on.
 */
#ifndef RONDO_CONFIG_SETTINGS_H
#define RONDO_CONFIG_SETTINGS_H

#include "config/config.h"

enum setting_type {
	SETTING_DURATION,  /* int64_t microseconds: "250ms" */
	SETTING_SIZE,      /* size_t or uint64_t bytes: "16k" */
	SETTING_INTEGER,   /* unsigned or size_t */
	SETTING_BOOLEAN,   /* bool */
	SETTING_CHOICE,    /* an enum: one of `words` */
	SETTING_FIELD,     /* name of a field, or "" */
	SETTING_TARGET,    /* path of a request, or "" */
	SETTING_AUTHORITY, /* value of a field Host, or "" */
	SETTING_TEXT,      /* any text without control bytes */
	SETTING_MODE,      /* unsigned, the mode of a file: "0660"; 0 for "" */
	SETTING_STATUSES,  /* unsigned[RULES_STATUSES] and their number */
	SETTING_RANGES,    /* struct check_range[CHECK_RANGES] and their number */
	SETTING_BLOCKS,    /* struct net_block * and their number */
	SETTING_PROTOCOLS, /* names of struct http_upgrades and their number */
	SETTING_HOSTS,     /* names of hosts, const char *const *, and their number */
	SETTING_LISTEN,    /* struct config_listen * and their number */
	SETTING_ADDRESS,   /* struct config_listen *, NULL for "" */
	SETTING_BACKENDS,  /* struct config_backend * and their number */
	SETTING_TYPES
};

struct setting {
	const char *path; /* "retry.tries" */
	enum setting_type type;
	bool needs_restart;
	int64_t min, max;         /* in the type's unit */
	size_t offset;            /* of the value in its struct */
	size_t width;             /* of the value, where that is one number or string */
	size_t count_offset;      /* of the number of elements, for lists */
	const char *const *words; /* SETTING_CHOICE: in the order of the enum, then NULL */
	const char *fallback;     /* the default, as after --set KEY=; NULL: must be given */
	const char *help;
};

struct settings {
	const struct setting *items;
	size_t count;
};

/* All of a configuration: offsets are into struct config. */
struct settings settings_all(void);

/* The members of a backend's group: offsets are into struct backend_options. */
struct settings settings_of_backend(void);

/* The members of the group of an address to listen on: offsets are into struct config_listen. */
struct settings settings_of_listen(void);

/* The row with this path, or NULL. */
const struct setting *settings_find(struct settings settings, struct str path);

/* The index of this path in settings_all; it must exist. */
size_t settings_row(const char *path);

/* "retry" for "retry.tries"; empty for a setting outside of groups. */
struct str setting_group(const struct setting *setting);

/* "tries" for "retry.tries". */
const char *setting_name(const struct setting *setting);

/* Does this group exist? */
bool settings_has_group(struct settings settings, struct str group);

/* The existing path that is most similar to `path`; NULL when none is similar. */
const char *settings_suggest(struct settings settings, const char *path);

/* The existing group that is most similar to `name`; empty when none is similar. */
struct str settings_suggest_group(struct settings settings, const char *name);

/* Number of single-character edits (swaps of neighbours included) that turn `a` into `b`. */
size_t settings_distance(struct str a, struct str b);

/* "duration", "size", ... */
const char *setting_type_text(enum setting_type type);

#endif
