/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "guest-agent/agent.h"
#include "guest-agent/applications.h"
#include "guest-agent/status.h"

static const enum hint_kind kinds[ANNEX_HINT_KINDS] = {
	[ANNEX_HINT_PIN] = HINT_PIN,
	[ANNEX_HINT_UNPIN] = HINT_UNPIN,
	[ANNEX_HINT_PREFETCH] = HINT_PREFETCH,
	[ANNEX_HINT_COLD] = HINT_COLD,
};

static enum annex_hint_result result_of(enum hint_answer answer, enum hint_kind kind)
{
	switch (answer) {
	case HINT_DONE:
	case HINT_PENDING:
		return ANNEX_HINT_OK;
	case HINT_OVER_BUDGET:
	case HINT_OVER_QUOTA:
		return ANNEX_HINT_OVER_LIMIT;
	case HINT_NOBODY:
		/* What was not pinned is unpinned. */
		return kind == HINT_UNPIN ? ANNEX_HINT_OK : ANNEX_HINT_GONE;
	case HINT_NO_SESSION:
	case HINT_TOO_MANY:
		return ANNEX_HINT_BUSY;
	case HINT_BAD:
		return ANNEX_HINT_BAD_REQUEST;
	case HINT_HIDDEN:
	case HINT_ANSWERS:
		break;
	}
	return ANNEX_HINT_REFUSED;
}

void applications_hint(void *context, const struct socket_hint *hint, struct socket_answer *answer)
{
	struct agent *a = context;
	struct hint_range range = {
		.pid = hint->pid,
		.start = hint->starttime,
		.owner = hint->uid,
		.kind = kinds[hint->kind],
		.address = hint->address,
		.length = hint->length,
	};
	struct hint_outcome outcome;

	hints_range(a->hints, &range, &outcome);
	memset(answer, 0, sizeof(*answer));
	answer->result = result_of(outcome.answer, range.kind);
	answer->pages = outcome.pages < UINT32_MAX ? (uint32_t)outcome.pages : UINT32_MAX;
	answer->used = hints_applications(a->hints, UINT32_MAX) * RANGES_PAGE;
	answer->limit = a->config.applications_pin_pages * RANGES_PAGE;
	if (outcome.answer == HINT_OVER_BUDGET || outcome.answer == HINT_OVER_QUOTA) {
		answer->used = outcome.pinned * RANGES_PAGE;
		answer->limit = outcome.budget * RANGES_PAGE;
	}
	if (answer->result != ANNEX_HINT_OK)
		hints_outcome_text(&outcome, answer->reason, sizeof(answer->reason));
}

size_t applications_status(void *context, char *text, size_t size)
{
	return status_json(context, text, size);
}
