/* SPDX-License-Identifier: MIT */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/error.h"
#include "toolstack/http.h"
#include "toolstack/size.h"

#define BODY_LIMIT (1u << 20)

struct body {
	char *data;
	size_t used;
};

static size_t take(char *data, size_t size, size_t count, void *context)
{
	struct body *body = context;
	size_t n = size * count;

	if (n > BODY_LIMIT - body->used)
		return 0; /* curl ends the transfer */
	body->data = error_memory(realloc(body->data, body->used + n + 1));
	memcpy(body->data + body->used, data, n);
	body->used += n;
	return n;
}

json_t *http_status(const struct registry_server *server)
{
	char url[96], address[SIZE_TEXT_MAX];
	struct body body = {0};
	json_t *status = NULL;
	CURL *curl;

	if (!server->http)
		return NULL;
	snprintf(url, sizeof(url), "http://%s:%u/status", size_ipv4_text(server->address, address),
		server->http);
	curl = error_memory(curl_easy_init());
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 2000L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	if (curl_easy_perform(curl) == CURLE_OK && body.data)
		status = json_loadb(body.data, body.used, 0, NULL);
	curl_easy_cleanup(curl);
	free(body.data);
	if (status && !json_is_object(status)) {
		json_decref(status);
		status = NULL;
	}
	return status;
}
