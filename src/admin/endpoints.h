/*
 * endpoints - what admin.http answers: the page, JSON, metrics, health.
 */
#ifndef RONDO_ADMIN_ENDPOINTS_H
#define RONDO_ADMIN_ENDPOINTS_H

#include "clients.h"

/* The run_request of clients of admin.http. */
void endpoints_run(struct admin_client *client);

#endif
