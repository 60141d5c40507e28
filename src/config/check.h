/*
 * check - faults that concern more than one setting.
 */
#ifndef RONDO_CONFIG_CHECK_H
#define RONDO_CONFIG_CHECK_H

#include "load_state.h"

/* Checks a filled configuration. Faults are added to load->errors; a value that is allowed but
 * probably a mistake becomes its warning. A default that contradicts a value that was set is
 * adapted to it. */
void config_check(struct config_load *load);

#endif
