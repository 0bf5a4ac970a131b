/* SPDX-License-Identifier: MIT */
#include "lib/log.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/console.h"
#include "service/core.h"
#include "service/manage.h"
#include "service/view.h"
#include "service/stopped.h"

#define POLL_NS   10000000ull /* between looks at the port */
#define ANSWER_NS 500000ull /* between 16 bytes of an answer */

static struct manage manage;
static struct view_end end;

static void rest(uint64_t ns, bool may_halt)
{
	if (!may_halt) {
		clock_wait(ns);
		return;
	}
	apic_timer(ns);
	core_halt();
}

void stopped_run(const char *state, const char *reason, bool may_halt)
{
	int c;

	log_take_over();
	end.state = state;
	end.reason = reason;
	may_halt = may_halt && apic_timer_take();
	console_manage_init();
	manage_init(&manage, view_end_answer, &end, console_manage_write);
	for (;;) {
		while ((c = console_manage_read()) >= 0)
			manage_byte(&manage, (char)c);
		end.now = clock_now();
		rest(manage_turn(&manage) ? ANSWER_NS : POLL_NS, may_halt);
	}
}
