/* SPDX-License-Identifier: MIT */
#include <libvirt/virterror.h>
#include <libxml/uri.h>
#include <stdlib.h>
#include <string.h>
#include "toolstack/connect.h"

static bool lost(int code)
{
	return code == VIR_ERR_NO_CONNECT || code == VIR_ERR_RPC || code == VIR_ERR_AUTH_FAILED ||
	       code == VIR_ERR_AUTH_UNAVAILABLE || code == VIR_ERR_AUTH_CANCELLED;
}

int connect_failed(const char *what, const char *advice)
{
	virErrorPtr error = virGetLastError();
	const char *text = error && error->message ? error->message : "unknown error";

	if (error && lost(error->code))
		return error_set(ERROR_LIBVIRT, "%s: %s. Is libvirtd still running?", what, text);
	return error_set(
		ERROR_FAILED, "%s: %s%s%s", what, text, advice ? ". " : "", advice ? advice : "");
}

int connect_open(struct annex *annex)
{
	const char *uri = annex->uri && *annex->uri ? annex->uri : "qemu:///system";
	virErrorPtr error;

	if (annex->connection)
		return 0;
	if (virEventRegisterDefaultImpl() < 0)
		return connect_failed("cannot start libvirt's event loop", NULL);
	annex->connection = virConnectOpen(uri);
	if (annex->connection)
		return 0;
	error = virGetLastError();
	return error_set(ERROR_LIBVIRT,
		"cannot reach libvirt at %s: %s. Start libvirtd (systemctl start libvirtd), or "
		"name "
		"another one with --connect URI",
		uri, error && error->message ? error->message : "unknown error");
}

void connect_close(struct annex *annex)
{
	if (annex->connection)
		virConnectClose(annex->connection);
	annex->connection = NULL;
}

int connect_local(struct annex *annex)
{
	char *text = virConnectGetURI(annex->connection);
	xmlURIPtr uri = text ? xmlParseURI(text) : NULL;
	bool remote = uri && uri->server && *uri->server;
	int code = 0;

	if (remote)
		code = error_set(ERROR_REFUSED,
			"remote libvirt not supported yet: %s is on another machine, and the "
			"guest's "
			"files would lie on this one. Run annex there",
			text);
	xmlFreeURI(uri);
	free(text);
	return code;
}

virDomainPtr connect_domain(struct annex *annex, const char *name)
{
	virDomainPtr domain;

	if (connect_open(annex))
		return NULL;
	domain = virDomainLookupByName(annex->connection, name);
	if (!domain)
		domain = virDomainLookupByUUIDString(annex->connection, name);
	if (domain)
		return domain;
	if (virGetLastErrorCode() != VIR_ERR_NO_DOMAIN && lost(virGetLastErrorCode()))
		connect_failed("cannot look up the domain", NULL);
	else
		error_set(ERROR_NOT_FOUND, "no guest '%s'. annex guest list names those there are",
			name);
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(virDomainGetName(*(const virDomainPtr *)a),
		virDomainGetName(*(const virDomainPtr *)b));
}

int connect_each(
	struct annex *annex, int (*visit)(virDomainPtr domain, void *context), void *context)
{
	virDomainPtr *domains;
	int count, code = connect_open(annex);

	if (code)
		return code;
	count = virConnectListAllDomains(annex->connection, &domains, 0);
	if (count < 0)
		return connect_failed("cannot list the domains", NULL);
	qsort(domains, (size_t)count, sizeof(virDomainPtr), by_name);
	for (int i = 0; i < count; i++) {
		if (!code)
			code = visit(domains[i], context);
		virDomainFree(domains[i]);
	}
	free(domains);
	return code;
}

bool connect_is_guest(virDomainPtr domain)
{
	char *far = virDomainGetMetadata(
		domain, VIR_DOMAIN_METADATA_ELEMENT, ANNEX_NAMESPACE, VIR_DOMAIN_AFFECT_CURRENT);

	free(far);
	return far;
}

virDomainPtr connect_guest(struct annex *annex, const char *name)
{
	virDomainPtr domain = connect_domain(annex, name);

	if (domain && !connect_is_guest(domain)) {
		error_set(ERROR_NOT_FOUND,
			"domain '%s' is no Annex guest: its XML has no <annex:far> element. Define "
			"it "
			"with annex guest define FILE.xml",
			name);
		virDomainFree(domain);
		return NULL;
	}
	return domain;
}

const char *connect_state(virDomainPtr domain)
{
	static const char *const names[] = {
		[VIR_DOMAIN_NOSTATE] = "no state",
		[VIR_DOMAIN_RUNNING] = "running",
		[VIR_DOMAIN_BLOCKED] = "running",
		[VIR_DOMAIN_PAUSED] = "paused",
		[VIR_DOMAIN_SHUTDOWN] = "in shutdown",
		[VIR_DOMAIN_SHUTOFF] = "shut off",
		[VIR_DOMAIN_CRASHED] = "crashed",
		[VIR_DOMAIN_PMSUSPENDED] = "suspended",
	};
	int state;

	if (virDomainGetState(domain, &state, NULL, 0) < 0 || state < 0 ||
		state > VIR_DOMAIN_PMSUSPENDED)
		return "unknown";
	return names[state];
}
