/* SPDX-License-Identifier: Apache-2.0 */
/* trail.h - where a message has been: what its header says of hops and of those it was delivered to. */
#ifndef AGENT_TRAIL_H
#define AGENT_TRAIL_H

#include "util/str.h"

/* Has the header (lines in CRLF or LF) a Delivered-To field with this address?  In any case of letters. */
bool     trail_delivered(struct str header, struct str address);
unsigned trail_received(struct str header);            /* Received fields */

#endif
