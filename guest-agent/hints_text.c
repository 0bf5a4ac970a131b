/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include "guest-agent/hints_state.h"
#include "toolstack/size.h"

const char *hints_kind_text(enum hint_kind kind)
{
	static const char *const names[HINT_KINDS] = {
		[HINT_PIN] = "pin",
		[HINT_UNPIN] = "unpin",
		[HINT_PREFETCH] = "prefetch",
		[HINT_COLD] = "cold",
	};

	return kind < HINT_KINDS ? names[kind] : "?";
}

static const char *pages_text(uint64_t pages, char out[SIZE_TEXT_MAX])
{
	return size_text(pages * RANGES_PAGE, out);
}

void hints_outcome_text(const struct hint_outcome *outcome, char *out, size_t size)
{
	char needs[SIZE_TEXT_MAX], pinned[SIZE_TEXT_MAX], budget[SIZE_TEXT_MAX];

	pages_text(outcome->needs, needs);
	pages_text(outcome->pinned, pinned);
	pages_text(outcome->budget, budget);
	switch (outcome->answer) {
	case HINT_DONE:
		snprintf(out, size, "%s of far memory", pages_text(outcome->pages, needs));
		return;
	case HINT_PENDING:
		snprintf(out, size, "%s of far memory so far, under way",
			pages_text(outcome->pages, needs));
		return;
	case HINT_OVER_BUDGET:
		snprintf(out, size, "over budget: needs %s, %s of %s are pinned", needs, pinned,
			budget);
		return;
	case HINT_OVER_QUOTA:
		snprintf(out, size,
			"over the limit of applications' pins: needs %s, %s of %s are pinned",
			needs, pinned, budget);
		return;
	case HINT_NOBODY:
		snprintf(out, size, "there is no such process, file or pin");
		return;
	case HINT_NO_SESSION:
		snprintf(out, size, "no session with the VMM now: try again");
		return;
	case HINT_TOO_MANY:
		snprintf(out, size, "too many hints at a time");
		return;
	case HINT_BAD:
		snprintf(out, size, "no range of addresses");
		return;
	case HINT_HIDDEN:
		snprintf(out, size, "the kernel does not show where this memory lies");
		return;
	case HINT_ANSWERS:
		break;
	}
	snprintf(out, size, "?");
}

static int describe(const struct hint *hint, char *out, size_t size)
{
	static const char *const origins[] = {
		[HINT_OF_POLICY] = "policy",
		[HINT_OF_OPERATOR] = "operator",
		[HINT_OF_APPLICATION] = "application",
	};
	uint64_t found = hint->walking ? hint->taken : hint->pages;
	char selector[600], pages[SIZE_TEXT_MAX], refused[64] = "", policy[16] = "";

	selector_text(&hint->request.selector, selector, sizeof(selector));
	if (hint->request.policy)
		snprintf(policy, sizeof(policy), " %u", hint->request.policy);
	if (hint->refused)
		snprintf(refused, sizeof(refused), ", %s of it over budget",
			pages_text(hint->refused, pages));
	if (hint->walking && hint->current)
		found += ranges_pages(&hint->current->found);
	pages_text(found, pages);
	return snprintf(out, size, "hint %u: %s %s (%s%s): %u %s, %s%s%s\n", hint->id,
		hints_kind_text(hint->request.kind), selector, origins[hint->request.origin],
		policy, hint->member_count,
		hint->request.selector.keys & SELECTOR_FILE ? "files" : "processes", pages, refused,
		hint->walking ? ", under way" : "");
}

void hints_text(const struct hints *h, char *out, size_t size)
{
	size_t used = 0;

	if (size)
		out[0] = '\0';
	for (const struct hint *hint = h->first; hint; hint = hint->next) {
		int length = describe(hint, out + used, size - used);

		if (length < 0 || (size_t)length >= size - used) {
			out[used] = '\0'; /* whole lines only */
			return;
		}
		used += (size_t)length;
	}
}
