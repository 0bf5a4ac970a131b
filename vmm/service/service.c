/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>
#include <string.h>
#include "boot/config.h"
#include "fabric/fabric.h"
#include "fabric/session.h"
#include "far/far.h"
#include "lib/log.h"
#include "lib/panic.h"
#include "lib/text.h"
#include "machine/apic.h"
#include "machine/clock.h"
#include "machine/console.h"
#include "machine/layout.h"
#include "machine/memory.h"
#include "nic/card.h"
#include "service/core.h"
#include "service/doorbell.h"
#include "service/manage.h"
#include "service/view.h"
#include "service/service.h"
#include "virt/virt.h"

#define MS 1000000ull

#define RECEIVE_BUDGET 32u
#define SPIN_NS        20000ull /* idle turns before the first halt: a peer may share our CPU */
#define TICK_NS        (20 * MS) /* longest sleep: the management port has no interrupt of ours */
#define LOOK_NS        20000ull /* first look at a silent card, */
#define LOOK_PART      8u /* and again after this part of the time for which nothing came */
#define POLL_NS        (5 * MS) /* between looks at the management port */
#define ANSWER_NS      500000ull /* between 16 bytes of an answer */
#define MANAGE_LATE_NS (10 * MS) /* its turn comes after this though faults keep coming */
#define SLOW_TURN_NS   MS
#define STALL_LOG_NS   (1000 * MS)
#define WAITING_END_NS (60000 * MS) /* a server that does not answer for so long stops the boot */
#define WAITING_LOG_NS (5000 * MS) /* between lines that say what the boot waits for */

_Atomic uint32_t service_asleep;
_Atomic uint32_t service_ready;
uint32_t service_apic_id;

struct service {
	const struct config *config;
	const struct slat_window *window;
	struct nic nic;
	struct fabric *fabric;
	struct session *session[CONFIG_SERVERS];
	struct far *far;
	struct session_events events;
	struct doorbell doorbell;
	struct manage manage;
	struct view view;
	uint64_t manage_at; /* next look at the port, or next bytes */
	uint64_t busy_at; /* last turn that found work */
	uint64_t shown[SHOOTDOWN_CPUS]; /* each mailbox's time of posting when last served */
	bool holding;
	bool stall_said;
};

static struct service service;

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static const char *server_name(const struct service *s, unsigned server)
{
	return server < s->config->servers ? s->config->server[server].name : "?";
}

/*
 * A mailbox was posted that the engine has not been shown yet. (One that waits for its READ stays
 * posted, and must neither keep the loop awake nor the management channel silent.)
 */
static bool fault_is_new(const struct service *s)
{
	for (unsigned i = 0; i < s->view.cpus; i++) {
		const struct mailbox *m = &virt_mailbox[i];

		if (__atomic_load_n((const uint32_t *)&m->state, __ATOMIC_ACQUIRE) ==
				MAILBOX_POSTED &&
			m->posted != s->shown[i])
			return true;
	}
	return false;
}

/* One that is posted behind this look and served all the same counts as new once more: harmless. */
static void show_faults(struct service *s)
{
	for (unsigned i = 0; i < s->view.cpus; i++) {
		const struct mailbox *m = &virt_mailbox[i];

		if (__atomic_load_n((const uint32_t *)&m->state, __ATOMIC_ACQUIRE) ==
			MAILBOX_POSTED)
			s->shown[i] = m->posted;
	}
}

/* The port's registers are exits on an emulated machine: looked at rarely, and not before faults. */
static void turn_manage(struct service *s, uint64_t now)
{
	int c;

	if (now < s->manage_at)
		return;
	if (s->view.state != VIEW_STOPPED && fault_is_new(s) && now < s->manage_at + MANAGE_LATE_NS)
		return;
	for (unsigned i = 0; i < 32 && (c = console_manage_read()) >= 0; i++)
		manage_byte(&s->manage, (char)c);
	s->view.now = now;
	s->view.counters.kicks = virt_shootdown.kicks;
	s->view.counters.requests = s->manage.requests;
	s->view.counters.requests_dropped = s->manage.dropped;
	s->manage_at = now + (manage_turn(&s->manage) ? ANSWER_NS : POLL_NS);
}

static void hold(struct service *s, bool on)
{
	if (s->holding == on)
		return;
	s->holding = on;
	s->view.counters.holds += on;
	log_warning(on ? "all vCPUs are held until far memory is back" : "all vCPUs go on");
	virt_hold(on);
}

/* The state is told at once, the log's lines only when it lasts: a slow peer would fill the ring. */
static void turn_stall(struct service *s, uint64_t now)
{
	struct view *v = &s->view;
	struct far_stall stall;

	far_stall(s->far, &stall);
	hold(s, stall.stalled && stall.hold);
	v->state = stall.stalled ? VIEW_STALLED : VIEW_RUNNING;
	if (!stall.stalled) {
		v->reason[0] = 0;
		if (s->stall_said)
			log_info("faults go on");
		s->stall_said = false;
	} else {
		text_format(v->reason, sizeof(v->reason), "server %s: %s",
			server_name(s, stall.server), stall.reason);
		if (!s->stall_said && now > stall.since + STALL_LOG_NS) {
			log_warning("a fault waits: %s", v->reason);
			s->stall_said = true;
		}
	}
}

/* One turn of the loop; true if it found work. */
static bool turn(struct service *s)
{
	uint64_t now = clock_now(), end;
	bool work = false;

	if (s->far) {
		work = fault_is_new(s);
		show_faults(s);
		far_serve(s->far, now);
	}
	if (s->fabric) {
		work |= fabric_receive(s->fabric, clock_now(), RECEIVE_BUDGET) > 0;
		virt_wake_waiting();
		fabric_turn(s->fabric, clock_now());
	}
	if (s->far) {
		work |= doorbell_turn(&s->doorbell, virt_ring, s->view.cpus, clock_now());
		far_reclaim(s->far, clock_now());
		virt_wake_waiting();
		shootdown_turn(&virt_shootdown, clock_now());
		work |= far_busy(s->far);
	}
	turn_manage(s, clock_now());
	end = clock_now();
	s->view.counters.turns++;
	s->view.counters.slow_turns += end - now > SLOW_TURN_NS;
	if (service_ready && end - now > s->view.counters.longest_turn_ns)
		s->view.counters.longest_turn_ns = end - now;
	return work;
}

/*
 * A card that cannot interrupt is looked at by a timer: soon while there is something to wait for,
 * later the longer nothing came.
 */
static uint64_t look_again(const struct service *s, uint64_t now)
{
	uint64_t idle = now > s->busy_at ? (now - s->busy_at) / LOOK_PART : 0;

	return now + (idle > LOOK_NS ? idle : LOOK_NS);
}

static uint64_t deadline(const struct service *s, uint64_t now)
{
	uint64_t at = now + TICK_NS;

	if (s->nic.silent)
		at = earlier(at, look_again(s, now));
	if (manage_busy(&s->manage))
		at = earlier(at, s->manage_at);
	if (s->fabric)
		at = earlier(at, fabric_deadline(s->fabric));
	if (s->far)
		at = earlier(at, far_deadline(s->far));
	return at;
}

/*
 * Halts until the earliest deadline, a frame or a mailbox (architecture section 4): whoever posts
 * after the last look here sees service_asleep and sends the interrupt that ends the HLT.
 */
static void rest(struct service *s)
{
	uint64_t now = clock_now(), at;

	__atomic_store_n((uint32_t *)&service_asleep, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!s->nic.ops->notify(&s->nic, true) && !fault_is_new(s) &&
		!doorbell_posted(virt_ring, s->view.cpus) && !(s->far && far_busy(s->far))) {
		/* Asked behind notify(): it may have sent what a timer waits for. */
		at = deadline(s, now);
		if (at > now) {
			s->view.counters.sleeps++;
			apic_timer(at - now);
			core_halt();
		}
	}
	__atomic_store_n((uint32_t *)&service_asleep, 0, __ATOMIC_SEQ_CST);
	s->nic.ops->notify(&s->nic, false);
}

static void turn_and_rest(struct service *s)
{
	uint64_t now;

	if (turn(s)) {
		s->busy_at = clock_now();
		return;
	}
	/* The only CPU's APIC is the guest's: nothing of ours would end a halt. */
	if (layout_one_cpu())
		return;
	now = clock_now();
	if (now - s->busy_at > SPIN_NS)
		rest(s);
}

static void start_nic(struct service *s)
{
	const struct config *c = s->config;
	const char *reason;
	char where[16];

	text_format(
		where, sizeof(where), "%02x:%02x.%x", c->nic >> 8, c->nic >> 3 & 31, c->nic & 7);
	s->nic.polled = layout_one_cpu();
	if (card_bind(&s->nic, c->nic, &reason) || s->nic.ops->start(&s->nic, &reason))
		panic_boot("nic = %s: %s", where, reason);
	log_info("fabric NIC %s: %s, %02x:%02x:%02x:%02x:%02x:%02x, MTU %u", where,
		s->nic.ops->name, s->nic.mac[0], s->nic.mac[1], s->nic.mac[2], s->nic.mac[3],
		s->nic.mac[4], s->nic.mac[5], s->nic.mtu);
	if (c->mtu > s->nic.mtu_max)
		log_warning("mtu = %u, but the NIC says %u", c->mtu, s->nic.mtu_max);
}

static void start_fabric(struct service *s)
{
	const struct config *c = s->config;
	struct fabric_config fabric = {
		.nic = &s->nic,
		.address = c->address,
		.prefix = c->prefix,
		.gateway = c->gateway,
		.mtu = c->mtu ? c->mtu : s->nic.mtu,
		.now = clock_now(),
		.sessions = c->servers,
	};
	const char *reason = "unknown";

	for (unsigned i = 0; i < 4; i++)
		fabric.random[i] = core_random();
	fabric.memory = memory_take(fabric_memory_size(c->servers), 4096, "fabric");
	s->fabric = fabric_start(&fabric, &reason);
	if (!s->fabric)
		panic_boot("fabric: %s", reason);
}

static _Noreturn void address_taken(const struct service *s, const uint8_t mac[6])
{
	uint32_t address = s->config->address;

	panic_boot("address = %u.%u.%u.%u: %02x:%02x:%02x:%02x:%02x:%02x has it already",
		address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255, mac[0],
		mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* Until nobody is known to have our address, and the guest is prepared. */
static void wait_for_probe(struct service *s, const service_window *window)
{
	enum fabric_state state;
	uint8_t mac[6];

	while ((state = fabric_state(s->fabric, mac)) == FABRIC_PROBING || !atomic_load(window))
		turn_and_rest(s);
	if (state == FABRIC_CONFLICT)
		address_taken(s, mac);
	s->window = atomic_load(window);
	s->view.far_base = s->window->base;
}

/* Extents of the window that stand on `server`: extent i is on server i % servers. */
static uint32_t extents_of(const struct service *s, unsigned server)
{
	uint64_t bytes = (uint64_t)s->window->pages * SESSION_PAGE;
	uint32_t total = (uint32_t)((bytes + RPC_EXTENT_SIZE - 1) >> RPC_EXTENT_SHIFT);

	return total / s->config->servers + (server < total % s->config->servers);
}

static void open_sessions(struct service *s)
{
	const struct config *c = s->config;
	uint64_t number;

	do
		number = core_random();
	while (!number);
	for (unsigned i = 0; i < c->servers; i++) {
		struct session_config session = {
			.address = c->server[i].address,
			.port = c->server[i].port,
			.tenant = c->tenant,
			.number = number,
			.extents = extents_of(s, i),
			.server = i,
		};

		text_format(session.name, sizeof(session.name), "%s", c->server[i].name);
		memcpy(session.domain, c->domain, sizeof(session.domain));
		s->session[i] = session_open(s->fabric, &session);
		if (!s->session[i])
			panic_boot(
				"server %s: the fabric has no room for its session", session.name);
	}
	s->view.sessions = c->servers;
}

static const char *advice(enum rpc_error code)
{
	switch (code) {
	case RPC_ERROR_POOL:
		return "; make far smaller, or the server's pool larger";
	case RPC_ERROR_QUOTA:
		return "; make far smaller, or the tenant's quota on the server larger";
	case RPC_ERROR_VERSION:
		return "; the VMM or the server is too old";
	case RPC_ERROR_TENANT:
	case RPC_ERROR_DOMAIN:
		return "; see annex server show";
	default:
		return "";
	}
}

static _Noreturn void refused(unsigned server, enum rpc_error code, const char *text)
{
	panic_boot("server %s refuses: %s%s", server_name(&service, server), text, advice(code));
}

/* While the guest does not exist yet, a refusal stops the boot instead of the guest. */
static void session_ended(void *context, unsigned server, enum rpc_error code, const char *text)
{
	if (!service_ready)
		refused(server, code, text);
	far_session_events.ended(context, server, code, text);
}

static void start_far(struct service *s)
{
	const char *reason = "unknown";
	uint32_t frames = 0;
	struct far_config far = {
		.window = *s->window,
		.shootdown = &virt_shootdown,
		.mailbox = virt_mailbox,
		.cpus = layout_guest_cpus(),
		.clock = clock_now,
		.ranges = layout.frames_count,
		.servers = s->config->servers,
		.prefetch = s->config->prefetch,
		.pin = (uint32_t)(s->config->pin / SESSION_PAGE),
	};

	check(layout.frames_count <= FAR_RANGES);
	for (unsigned i = 0; i < layout.frames_count; i++) {
		far.range[i].memory = (void *)layout.frames[i].start;
		far.range[i].hpa = layout.frames[i].start;
		far.range[i].frames = (uint32_t)(layout.frames[i].bytes / SESSION_PAGE);
		frames += far.range[i].frames;
	}
	memcpy(far.server, s->session, sizeof(s->session));
	for (unsigned i = 0; i < s->config->servers; i++)
		far.server_name[i] = s->config->server[i].name;
	far.tables = memory_take(far_tables_size(frames, s->window->pages), 4096, "frame tables");
	s->far = far_start(&far, &reason);
	if (!s->far)
		panic_boot("far memory: %s", reason);
	s->view.vmm_bytes = memory_taken();
	s->events = far_session_events;
	s->events.ended = session_ended;
	for (unsigned i = 0; i < s->config->servers; i++)
		session_listen(s->session[i], &s->events, s->far);
}

static void say_waiting(const struct service *s, unsigned server, const struct session_info *info)
{
	const struct config_server *c = &s->config->server[server];

	log_warning("waiting for server %s (%u.%u.%u.%u:%u): %s%s%s", c->name, c->address >> 24,
		c->address >> 16 & 255, c->address >> 8 & 255, c->address & 255, c->port,
		session_state_name(info->reached), *info->text ? ", " : "", info->text);
}

static bool all_ready(struct service *s, bool say)
{
	struct session_info info;
	bool ready = true;

	for (unsigned i = 0; i < s->config->servers; i++) {
		session_info(s->session[i], &info);
		if (info.state == SESSION_ENDED)
			refused(i, info.code, info.text);
		if (info.state == SESSION_READY)
			continue;
		if (ready)
			text_format(s->view.reason, sizeof(s->view.reason),
				"waiting for server %s: %s", server_name(s, i), info.text);
		ready = false;
		if (say)
			say_waiting(s, i, &info);
	}
	return ready;
}

static void no_answer(const struct service *s)
{
	for (unsigned i = 0; i < s->config->servers; i++) {
		const struct config_server *c = &s->config->server[i];
		struct session_info info;

		session_info(s->session[i], &info);
		if (info.state != SESSION_READY)
			panic_boot(
				"config line %u: server %s (%u.%u.%u.%u:%u) does not answer: %s; "
				"start it, or name another",
				c->line, c->name, c->address >> 24, c->address >> 16 & 255,
				c->address >> 8 & 255, c->address & 255, c->port,
				session_state_name(info.reached));
	}
}

static void wait_for_servers(struct service *s)
{
	uint64_t end = clock_now() + WAITING_END_NS;
	uint64_t say_at = clock_now() + WAITING_LOG_NS;
	bool say = false;
	uint8_t mac[6];

	while (!all_ready(s, say)) {
		turn_and_rest(s);
		if (fabric_clash(s->fabric, mac))
			address_taken(s, mac);
		if (clock_now() > end)
			no_answer(s);
		say = clock_now() > say_at;
		if (say)
			say_at = clock_now() + WAITING_LOG_NS;
	}
}

static void start_view(struct service *s)
{
	struct view *v = &s->view;

	v->state = VIEW_BOOTING;
	v->config = s->config;
	v->nic = &s->nic;
	v->session = s->session;
	v->cpus = layout_guest_cpus();
	v->doorbell = &s->doorbell;
	for (unsigned i = 0; i < layout.pinned_count; i++)
		v->pinned_bytes += layout.pinned[i].bytes;
	check(v->cpus <= SHOOTDOWN_CPUS);
	manage_init(&s->manage, view_answer, v, console_manage_write);
}

void service_start(const struct config *config, const service_window *window)
{
	struct service *s = &service;

	s->config = config;
	service_apic_id = apic_id();
	core_prepare(layout_one_cpu());
	start_view(s);
	start_nic(s);
	start_fabric(s);
	s->view.fabric = s->fabric;
	wait_for_probe(s, window);
	open_sessions(s);
	start_far(s);
	s->view.far = s->far;
	doorbell_start(&s->doorbell, s->far, s->window->base, s->window->pages, clock_now());
	wait_for_servers(s);
	s->view.state = VIEW_RUNNING;
	s->view.reason[0] = 0;
	log_info("all servers ready");
	__atomic_store_n((uint32_t *)&service_ready, 1, __ATOMIC_SEQ_CST);
}

_Noreturn void service_run(const struct config *config, const service_window *window)
{
	service_start(config, window);
	for (;;) {
		turn_and_rest(&service);
		turn_stall(&service, clock_now());
	}
}

bool service_turn(void)
{
	bool work = turn(&service);

	turn_stall(&service, clock_now());
	return work;
}

/*
 * Only the management channel: panic_guest() may stand inside an engine's or a session's event, so
 * neither is turned again.
 */
_Noreturn void service_stopped(const char *reason)
{
	struct service *s = &service;

	s->view.state = VIEW_STOPPED;
	text_format(s->view.reason, sizeof(s->view.reason), "%s", reason);
	for (;;) {
		turn_manage(s, clock_now());
		if (layout_one_cpu())
			continue; /* its interrupts are off for good (virt) */
		apic_timer(manage_busy(&s->manage) ? ANSWER_NS : POLL_NS);
		core_halt();
	}
}

const struct far *service_far(void)
{
	return service.far;
}
