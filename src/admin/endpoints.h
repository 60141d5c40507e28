/*
 * endpoints - the answers of admin.http: page, JSON, metrics, health.
 */
#ifndef RONDO_ADMIN_ENDPOINTS_H
#define RONDO_ADMIN_ENDPOINTS_H

#include "request.h"

/* The `answer` of clients of admin.http. */
void endpoints_answer(struct admin_request *request);

#endif
