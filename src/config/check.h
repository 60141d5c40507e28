/*
 * check - faults that concern more than one setting.
 */
#ifndef RONDO_CONFIG_CHECK_H
#define RONDO_CONFIG_CHECK_H

#include "load_state.h"

/* For a configuration that is filled. Faults go to load->errors; what is allowed and hardly meant
 * becomes its warning. A default that does not fit what was set gives way. */
void config_check(struct config_load *load);

#endif
