/* SPDX-License-Identifier: MIT */
/*
 * The management channel: the domain's second serial port (0x2f8 in the VMM, type='pty' in
 * libvirt). One request line, one answer line, both ended by \n.
 *
 *   request  annex/1 ID COMMAND [ARGUMENT]     ID: 1..16 of [0-9a-zA-Z]
 *   answer   {"annex":1,"id":"ID","ok":true,"result":{...}}
 *            {"annex":1,"id":"ID","ok":false,"error":"text"}
 *
 * A reader skips lines that are not JSON or carry another id. The VMM drops request lines longer
 * than MANAGE_REQUEST_MAX; an answer never exceeds MANAGE_ANSWER_MAX.
 *
 * Commands and their results:
 *   status     {"version":S,"uptime_ns":N,"state":"booting|running|stalled|stopped|refused","reason":S,
 *               "cpus":N,"far":{"base":N,"pages":N,"zero":N,"remote":N,"filling":N,"resident":N,
 *               "unsettled":N,"victim_clean":N,"victim_dirty":N,"cleaning":N,"moving":N},
 *               "frames":{"total":N,"free":N,"low":N,"high":N},
 *               "extents":{"total":N,"leased":N,"lost":N},"pinned_bytes":N,"vmm_bytes":N,
 *               "servers":[{"name":S,"address":S,"state":S,"since_ns":N,"rtt_ns":N,"mtu":N,
 *               "reconnects":N}]}
 *              A VMM that has stopped for good answers version, uptime_ns, state and reason only:
 *              "refused" (it has not started the guest) or "stopped" (a fault of its own), and log.
 *   counters   {"far":{NAME:N,...},"fabric":{NAME:N,...},"nic":{NAME:N,...},
 *               "virt":{NAME:N,...},"service":{NAME:N,...}}
 *   histogram  {"remote":{STAGE:H,...},"zero":{STAGE:H},"victim":{STAGE:H}}; stages queue, wire,
 *               map, total; H = {"count":N,"p50":N,"p99":N,"p999":N,"max":N}, times in ns
 *   agent      {"state":"none|alive|silent|ended","session":N,"age_ns":N,"pinned":N,"budget":N,
 *              "queued":N,"message":N,"replied":N,"report":HEX}: the guest's agent (doorbell.h); silent
 *              after 3 s without a request, ended with its session; age_ns since the last one;
 *              pages; number of the last message and of the last replied to; annex/report.h in
 *              hexadecimal digits, "" without one
 *   tell TEXT  {"message":N}: TEXT, to the line's end, waits for the agent; a message before it that
 *              was not replied to is forgotten; error without a session
 *   reply      {"message":N,"text":S}: the agent's last reply
 *   log [N]    {"next":N,"lines":[S,...]} from line number N (default: oldest kept); as many as fit
 */
#ifndef ANNEX_MANAGE_H
#define ANNEX_MANAGE_H

#define MANAGE_VERSION     1
#define MANAGE_REQUEST_MAX 256
#define MANAGE_ANSWER_MAX  4096
#define MANAGE_ID_MAX      16

#endif
