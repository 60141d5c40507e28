/*
 * client - those who ask.
 *
 * A client opens a connection, asks on it what it has been dealt, one request after the other or several at once, and reads the
 * answers as slowly as it likes; then it opens another, until the requests of the world are used up. Some go away in the
 * middle, some end their side, some ask what is no request.
 */
#ifndef RONDO_SIM_CLIENT_H
#define RONDO_SIM_CLIENT_H

#include "world.h"

/* Makes `count` of them, each about to connect. */
void clients_start(size_t count);

/* Those who are still connected go away. */
void clients_dismiss(void);

/* Nobody may be connected any more. */
void clients_finish(void);

#endif
