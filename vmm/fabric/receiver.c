/* SPDX-License-Identifier: MIT */
#include "fabric/receiver.h"

#include <string.h>
#include "annex/rpc.h"

void receiver_init(struct receiver *r, uint32_t expected)
{
	memset(r, 0, sizeof(*r));
	r->expected = expected;
}

bool receiver_wants(uint8_t opcode)
{
	return opcode <= WIRE_READ_REQUEST || opcode == WIRE_COMPARE_SWAP ||
	       opcode == WIRE_FETCH_ADD || opcode == WIRE_SEND_LAST_INVALIDATE ||
	       opcode == WIRE_SEND_ONLY_INVALIDATE;
}

static enum receiver_verdict answer_with(
	const struct receiver *r, struct wire_packet *answer, uint32_t psn, uint8_t syndrome)
{
	answer->opcode = WIRE_ACK;
	answer->psn = psn;
	answer->syndrome = syndrome;
	answer->msn = r->completed;
	return RECEIVER_ANSWER;
}

enum receiver_verdict receiver_input(
	struct receiver *r, const struct wire_packet *packet, struct wire_packet *answer)
{
	int32_t ahead = wire_psn_diff(packet->psn, r->expected);

	if (r->refused)
		return RECEIVER_SILENT;
	if (ahead < 0)
		return answer_with(
			r, answer, wire_psn_add(r->expected, WIRE_PSN_MASK), WIRE_SYNDROME_ACK);
	if (ahead > 0) {
		if (r->nak_sent)
			return RECEIVER_SILENT;
		r->nak_sent = true;
		return answer_with(r, answer, r->expected, WIRE_SYNDROME_SEQUENCE);
	}
	/* Control messages fit one packet; whatever else is asked of us is not in the protocol. */
	if (packet->opcode != WIRE_SEND_ONLY || packet->length > RPC_MESSAGE_MAX) {
		r->refused = true;
		return answer_with(r, answer, r->expected, WIRE_SYNDROME_INVALID);
	}
	r->nak_sent = false;
	r->expected = wire_psn_add(r->expected, 1);
	r->completed = wire_psn_add(r->completed, 1);
	if (!packet->ack_request)
		return RECEIVER_DELIVER;
	answer_with(r, answer, packet->psn, WIRE_SYNDROME_ACK);
	return RECEIVER_DELIVER_ANSWER;
}
