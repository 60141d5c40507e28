/*
 * backends - reads the lists of backends: URLs, and groups with a URL.
 *
 * The lists come from the main file, from included files and from the command line. Faults are
 * added to load->errors; a backend with a fault is left out.
 */
#ifndef RONDO_CONFIG_BACKENDS_H
#define RONDO_CONFIG_BACKENDS_H

#include "load_state.h"

/* Reads a value of `backends` and appends to load->backends. */
void config_backends_read(struct config_load *load, const struct config_node *node);

/* Empties load->backends; its tables hold no memory then. */
void config_backends_forget(struct config_load *load);

/* Stores load->backends in the configuration. */
void config_backends_store(struct config_load *load);

#endif
